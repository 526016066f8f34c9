//! Who we are to a registry: Docker's `config.json` and its credential helpers.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Docker Hub's name in `config.json`, from the days of its first interface.
const DOCKER_HUB_ACCOUNT: &str = "https://index.docker.io/v1/";
const CONFIG_LIMIT: u64 = 4 << 20;
const HELPER_LIMIT: u64 = 64 << 10;
const HELPER_TIME: Duration = Duration::from_secs(30);

/// Where credentials are looked up. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    config: DockerConfig,
}

/// What a registry or its token server is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// User name and password.
    Password {
        /// The user name.
        user: String,
        /// The password, or an access token in its place.
        password: Secret,
    },
    /// A token that the authorization server changes for access tokens.
    IdentityToken(Secret),
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Why credentials can't be looked up.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not Docker's `config.json`.
    #[error("{}: not a valid Docker config.json: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong; never has a value in it.
        reason: String,
    },
    /// The `auth` of a registry is not `user:password` in base 64.
    #[error("credentials for {registry} in Docker's config.json are malformed; log in again")]
    Auth {
        /// The registry.
        registry: String,
    },
    /// The helper can't be run or says something else than it should.
    #[error("credential helper {helper} failed for {registry}: {reason}")]
    Helper {
        /// The program.
        helper: String,
        /// The registry.
        registry: String,
        /// What happened.
        reason: String,
    },
}

#[derive(Clone, Default, Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Auth>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
struct Auth {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<Secret>,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: Secret,
}

impl Credentials {
    /// What `docker login` left: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`. None where there is no
    /// such file.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn from_environment() -> Result<Self, CredentialError> {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = || std::env::home_dir().map(|home| home.join(".docker"));
        match folder.or_else(home).map(|folder| folder.join("config.json")) {
            Some(path) if path.is_file() => Self::load(&path),
            _ => Ok(Self::default()),
        }
    }

    /// Reads Docker's `config.json` at `path`.
    ///
    /// # Errors
    /// When it can't be read or is malformed.
    pub fn load(path: &Path) -> Result<Self, CredentialError> {
        let malformed = |reason: String| CredentialError::Malformed { path: path.to_owned(), reason };
        let read = |source| CredentialError::Read { path: path.to_owned(), source };
        if path.metadata().map_err(read)?.len() > CONFIG_LIMIT {
            return Err(malformed(format!("longer than {CONFIG_LIMIT} bytes")));
        }
        let bytes = std::fs::read(path).map_err(read)?;
        // serde's message could quote a secret: only its place is told.
        let config = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(format!("line {}, column {}", error.line(), error.column())))?;
        Ok(Self { config })
    }

    /// The credentials for `account`: a registry as a reference names it, or a mirror's host and port.
    pub(crate) async fn find(&self, account: &str) -> Result<Option<Credential>, CredentialError> {
        let helper = entry(&self.config.helpers, account).map(|(_, helper)| helper);
        if let Some(helper) = helper.or(self.config.store.as_ref()) {
            return ask_helper(helper, account).await;
        }
        match entry(&self.config.auths, account) {
            Some((_, auth)) => auth.credential(account),
            None => Ok(None),
        }
    }
}

impl Auth {
    fn credential(&self, registry: &str) -> Result<Option<Credential>, CredentialError> {
        let given = |secret: &&Secret| !secret.0.is_empty();
        if let Some(token) = self.identity_token.as_ref().filter(given) {
            return Ok(Some(Credential::IdentityToken(token.clone())));
        }
        if let Some(auth) = self.auth.as_ref().filter(given) {
            let credential = decode(&auth.0);
            return credential
                .map(Some)
                .ok_or_else(|| CredentialError::Auth { registry: registry.to_owned() });
        }
        Ok(match (&self.username, &self.password) {
            (Some(user), Some(password)) => {
                Some(Credential::Password { user: user.clone(), password: password.clone() })
            }
            _ => None,
        })
    }
}

fn decode(auth: &str) -> Option<Credential> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker once padded passwords with NULs.
    let password = Secret(password.trim_end_matches('\0').to_owned());
    Some(Credential::Password { user: user.to_owned(), password })
}

/// An entry by any of the spellings that tools have used for a registry.
fn entry<'a, T>(entries: &'a HashMap<String, T>, account: &str) -> Option<(&'a String, &'a T)> {
    let name = if account == "docker.io" { DOCKER_HUB_ACCOUNT } else { account };
    entries.get_key_value(name).or_else(|| entries.iter().find(|(key, _)| host(key) == host(name)))
}

fn host(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

/// Asks `docker-credential-HELPER` as Docker does: the registry on stdin, JSON on stdout.
async fn ask_helper(helper: &str, account: &str) -> Result<Option<Credential>, CredentialError> {
    let failed = |reason: String| CredentialError::Helper {
        helper: format!("docker-credential-{helper}"),
        registry: account.to_owned(),
        reason,
    };
    if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(failed("its name is not a plain file name".to_owned()));
    }
    let url = if account == "docker.io" { DOCKER_HUB_ACCOUNT } else { account };
    let answer = tokio::time::timeout(HELPER_TIME, run_helper(helper, url)).await;
    let (success, stdout) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer within {} seconds", HELPER_TIME.as_secs()))),
    };
    if !success {
        let message = String::from_utf8_lossy(&stdout);
        // Helpers say "credentials not found in native keychain" and exit 1.
        return match message.contains("not found") {
            true => Ok(None),
            false => Err(failed(message.trim().chars().take(200).collect())),
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&stdout)
        .map_err(|_| failed("its answer is not the expected JSON".to_owned()))?;
    Ok(Some(match answer.user.as_str() {
        "<token>" => Credential::IdentityToken(answer.secret),
        _ => Credential::Password { user: answer.user, password: answer.secret },
    }))
}

async fn run_helper(helper: &str, url: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        let _ = stdin.write_all(url.as_bytes()).await;
    }
    let mut stdout = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(HELPER_LIMIT).read_to_end(&mut stdout).await?;
    }
    Ok((child.wait().await?.success(), stdout))
}

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret, to be sent and never to be shown.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credentials for {} registries", self.auths.len() + self.helpers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(config: &str, account: &str) -> Result<Option<Credential>, CredentialError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Credentials::load(&path)?.find(account).await
    }

    fn password(user: &str, password: &str) -> Credential {
        Credential::Password { user: user.to_owned(), password: Secret::new(password) }
    }

    #[tokio::test]
    async fn entries_are_found_under_every_spelling_of_a_registry() {
        // u:p
        for (key, account) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io/v2/", "ghcr.io"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#);
            assert_eq!(find(&config, account).await.unwrap(), Some(password("u", "p")), "{key}");
            assert_eq!(find(&config, "other.example").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn identity_tokens_and_plain_passwords_are_read() {
        let config = r#"{"auths":{"a":{"auth":"dTpw","identitytoken":"t"},"b":{"username":"u","password":"p:q"},"c":{}}}"#;
        assert_eq!(find(config, "a").await.unwrap(), Some(Credential::IdentityToken(Secret::new("t"))));
        assert_eq!(find(config, "b").await.unwrap(), Some(password("u", "p:q")));
        assert_eq!(find(config, "c").await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_malformed_is_an_error_without_the_secret() {
        for (config, expected) in [
            (r#"{"auths":{"a":{"auth":"c2VjcmV0"}}}"#, "log in again"),
            (r#"{"auths":{"a":{"auth":"%%%secret"}}}"#, "log in again"),
            (r#"{"auths":{"a":"secret"}}"#, "line 1"),
            (r#"{"credsStore":"../../secret-helper"}"#, "plain file name"),
            (
                r#"{"credHelpers":{"a":"minato-test-missing"}}"#,
                "docker-credential-minato-test-missing failed for a",
            ),
        ] {
            let error = find(config, "a").await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("c2VjcmV0") && !error.contains("%%%"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", password("u", "hidden")), r#"Password { user: "u", password: *** }"#);
    }
}
