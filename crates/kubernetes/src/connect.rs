//! Which cluster, and how to reach it: the kubeconfig's contexts, or the pod's own cluster.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use minato_sync::{Cluster, Redactor};

use crate::api::Api;
use crate::normal::plain;

/// How Argo CD names the cluster that it runs in.
const OWN_CLUSTER: &str = "https://kubernetes.default.svc";

/// For the TCP connection and TLS to the API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What a target is told besides its cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// `spec.destination.namespace`: for Objects that name none.
    pub namespace: String,
    /// Sync option `CreateNamespace=true`: make that namespace when it is missing. It is not tracked, so never pruned.
    pub create_namespace: bool,
    /// Hides secret values.
    pub redactor: Redactor,
    /// Name under which fields are applied.
    pub field_manager: String,
    /// The kubeconfig to read instead of `$KUBECONFIG` and `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
}

impl Options {
    /// Namespace `default`, which is not created, and field manager `minato`.
    pub fn new(redactor: Redactor) -> Self {
        let (namespace, field_manager) = ("default".to_owned(), "minato".to_owned());
        Self { namespace, create_namespace: false, redactor, field_manager, kubeconfig: None }
    }
}

/// Why there is no way to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no kubeconfig.
    #[error(
        "no kubeconfig: {paths} does not exist; set KUBECONFIG or write one (`kubectl config view` shows what kubectl uses)"
    )]
    NoKubeconfig {
        /// Where it was looked for.
        paths: String,
    },
    /// The kubeconfig can't be read.
    #[error("kubeconfig: {message}")]
    Kubeconfig {
        /// What is wrong with it; never a credential.
        message: String,
    },
    /// No cluster of the kubeconfig has this address.
    #[error("no cluster of the kubeconfig has the server {server}; it has {known}")]
    NoSuchServer {
        /// The address.
        server: String,
        /// Those that it has.
        known: String,
    },
    /// The kubeconfig has no such context.
    #[error("the kubeconfig has no context {context:?}; it has {known}")]
    NoSuchContext {
        /// The context.
        context: String,
        /// Those that it has.
        known: String,
    },
    /// `https://kubernetes.default.svc` outside of a cluster.
    #[error(
        "{OWN_CLUSTER} is the cluster that a pod runs in, and this is no pod ({message}); name a context of the kubeconfig in spec.destination.name instead"
    )]
    NotInCluster {
        /// What is missing.
        message: String,
    },
    /// Credentials or certificates that can't be used.
    #[error("cluster {server}: {message}")]
    Credentials {
        /// The cluster.
        server: String,
        /// What is wrong.
        message: String,
    },
}

/// The API of the cluster. No request is made yet, but a credential plugin may run.
pub(crate) async fn connect(cluster: &Cluster, options: &Options) -> Result<Api, ConnectError> {
    let mut config = match cluster {
        Cluster::Server(server) if is_own_cluster(server) => {
            Config::incluster().map_err(|error| ConnectError::NotInCluster { message: error.to_string() })?
        }
        cluster => {
            let paths = options.kubeconfig.clone().map_or_else(kubeconfig_paths, |path| vec![path]);
            let kubeconfig = read_kubeconfig(&paths)?;
            let context = choose(&kubeconfig, cluster)?;
            Config::from_custom_kubeconfig(kubeconfig, &context).await.map_err(unusable)?
        }
    };
    config.connect_timeout = Some(CONNECT_LIMIT);
    // `sync` decides when to ask again, and tells.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let message = |error: kube::Error| match error {
        kube::Error::Auth(error) => explain_credentials(&error),
        error => error.to_string(),
    };
    match Client::try_from(config) {
        Ok(client) => Ok(Api::new(client, &server)),
        Err(error) => Err(ConnectError::Credentials { server, message: message(error) }),
    }
}

/// What is wrong with credentials. Neither the output of a credential plugin nor its command line is repeated: they
/// may hold a token.
pub(crate) fn explain_credentials(error: &kube::client::AuthError) -> String {
    match error {
        kube::client::AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            format!("the kubeconfig's credential plugin failed ({}): {}", out.status, plain(last.trim()))
        }
        kube::client::AuthError::AuthExecParse(_) => {
            "the credential plugin did not answer with an ExecCredential".to_owned()
        }
        error => error.to_string(),
    }
}

fn is_own_cluster(server: &str) -> bool {
    let server = server.trim_end_matches('/');
    server == OWN_CLUSTER || server.strip_suffix(":443") == Some(OWN_CLUSTER)
}

/// `$KUBECONFIG` (several files, separated as in PATH), else `~/.kube/config`.
fn kubeconfig_paths() -> Vec<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let paths: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    if !paths.is_empty() {
        return paths;
    }
    std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
}

/// The files merged; as for kubectl, files that are missing don't count while one is there.
fn read_kubeconfig(paths: &[PathBuf]) -> Result<Kubeconfig, ConnectError> {
    let there: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(ConnectError::NoKubeconfig { paths: paths.join(", ") });
    }
    there.iter().try_fold(Kubeconfig::default(), |merged, path| {
        let next = Kubeconfig::read_from(path).map_err(|error| match error {
            KubeconfigError::Parse(error) => {
                // The parser's own text shows the lines around the mistake, and these may be credentials.
                let line = error.location().map(|place| format!(":{}", place.line())).unwrap_or_default();
                let message = format!("{}{line}: not a kubeconfig", path.display());
                ConnectError::Kubeconfig { message }
            }
            error => unusable(error),
        })?;
        merged.merge(next).map_err(unusable)
    })
}

fn unusable(error: KubeconfigError) -> ConnectError {
    ConnectError::Kubeconfig { message: error.to_string() }
}

/// The context to use. A server may be in several contexts: the current one if it is among them, else the first.
fn choose(kubeconfig: &Kubeconfig, cluster: &Cluster) -> Result<KubeConfigOptions, ConnectError> {
    let context = match cluster {
        Cluster::Context(context) => {
            let names = || kubeconfig.contexts.iter().map(|named| &named.name);
            if !names().any(|name| name == context) {
                let known = list(names());
                return Err(ConnectError::NoSuchContext { context: context.clone(), known });
            }
            context.clone()
        }
        Cluster::Server(server) => context_of_server(kubeconfig, server)?,
    };
    Ok(KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() })
}

fn context_of_server(kubeconfig: &Kubeconfig, server: &str) -> Result<String, ConnectError> {
    let address = |cluster: &kube::config::NamedCluster| cluster.cluster.as_ref()?.server.clone();
    let same = |text: &str| text.trim_end_matches('/') == server.trim_end_matches('/');
    let clusters: Vec<&str> = kubeconfig
        .clusters
        .iter()
        .filter(|cluster| address(cluster).is_some_and(|text| same(&text)))
        .map(|cluster| cluster.name.as_str())
        .collect();
    let contexts: Vec<&String> = kubeconfig
        .contexts
        .iter()
        .filter(|named| {
            named.context.as_ref().is_some_and(|context| clusters.contains(&context.cluster.as_str()))
        })
        .map(|named| &named.name)
        .collect();
    let current = contexts.iter().find(|name| Some(**name) == kubeconfig.current_context.as_ref());
    match current.or(contexts.first()) {
        Some(name) => Ok((*name).clone()),
        None => {
            let known: Vec<String> = kubeconfig.clusters.iter().filter_map(address).collect();
            Err(ConnectError::NoSuchServer { server: server.to_owned(), known: list(known.iter()) })
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    const TWO: &str = "
apiVersion: v1
kind: Config
current-context: b
clusters:
- {name: one, cluster: {server: 'https://one:6443'}}
- {name: two, cluster: {server: 'https://two:6443/'}}
contexts:
- {name: a, context: {cluster: one, user: u}}
- {name: b, context: {cluster: one, user: u}}
- {name: c, context: {cluster: two, user: u}}
users:
- {name: u, user: {token: hush}}
";

    #[test]
    fn a_cluster_is_found_by_context_or_by_address() {
        let folder = tempfile::tempdir().unwrap();
        let read = read_kubeconfig(&[kubeconfig(&folder, "config", TWO)]).unwrap();
        let check = |cluster: Cluster, expected: &str| {
            let chosen = choose(&read, &cluster).map(|options| options.context.unwrap());
            assert_eq!(chosen.unwrap_or_else(|error| error.to_string()), expected);
        };
        check(Cluster::Context("a".into()), "a");
        check(Cluster::Server("https://one:6443".into()), "b");
        check(Cluster::Server("https://one:6443/".into()), "b");
        check(Cluster::Server("https://two:6443".into()), "c");
        check(Cluster::Context("x".into()), "the kubeconfig has no context \"x\"; it has a, b, c");
        check(
            Cluster::Server("https://x".into()),
            "no cluster of the kubeconfig has the server https://x; it has https://one:6443, https://two:6443/",
        );
    }

    #[test]
    fn files_are_merged_and_missing_ones_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let first = kubeconfig(&folder, "first", "current-context: c\n");
        let second = kubeconfig(&folder, "second", TWO);
        let merged = read_kubeconfig(&[first, folder.path().join("missing"), second]).unwrap();
        assert_eq!((merged.current_context.as_deref(), merged.contexts.len()), (Some("c"), 3));
        let error = read_kubeconfig(&[folder.path().join("missing")]).unwrap_err();
        assert!(error.to_string().contains("missing does not exist"), "{error}");
    }

    #[test]
    fn a_broken_kubeconfig_is_named_by_line_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = kubeconfig(&folder, "config", "users:\n- name: u\n  user: [hush\n");
        let error = read_kubeconfig(&[path]).unwrap_err().to_string();
        assert!(error.contains("config:") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn the_pods_own_cluster_has_argo_cds_name() {
        for own in [OWN_CLUSTER, "https://kubernetes.default.svc/", "https://kubernetes.default.svc:443"] {
            assert!(is_own_cluster(own), "{own}");
        }
        assert!(!is_own_cluster("https://kubernetes.default.svc.example"));
    }
}
