//! Who we are to a registry: Docker's `config.json`, its credential helpers, and AWS for the registries of ECR.

mod config_file;
mod ecr;
mod helper;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use self::config_file::DockerConfig;
use self::ecr::{Ecr, EcrTokens};
use self::helper::Helper;

/// Docker Hub's name in `config.json`, from the days of its first interface.
const DOCKER_HUB_ACCOUNT: &str = "https://index.docker.io/v1/";

/// Where credentials are looked up. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    config: DockerConfig,
    /// What AWS gives for its own registries; `None` where it is not asked.
    ecr: Option<Arc<EcrTokens>>,
}

/// Docker's `config.json` as the place where logins are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialFile {
    path: PathBuf,
}

/// Where a login is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeptIn {
    /// In the file, encoded and not encrypted.
    File(PathBuf),
    /// In this credential helper.
    Helper(String),
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

/// Why credentials can't be looked up or kept.
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
    /// The file can't be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There is no home folder to keep the file in.
    #[error("there is no home folder for .docker/config.json; set HOME or DOCKER_CONFIG")]
    NoHome,
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
    /// AWS gives no token for its registry.
    #[error("{registry}: AWS gives no token: {reason}")]
    Aws {
        /// The registry.
        registry: String,
        /// What happened.
        reason: String,
    },
}

impl Credentials {
    /// What `docker login` or `minato login` left in `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`, and for
    /// the registries of Amazon ECR what AWS gives to the credentials of its standard chain.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn from_environment() -> Result<Self, CredentialError> {
        let config = match CredentialFile::from_environment() {
            Ok(file) => DockerConfig::load_if_there(&file.path)?,
            Err(_) => DockerConfig::default(),
        };
        Ok(Self { config, ecr: Some(Arc::default()) })
    }

    /// Reads Docker's `config.json` at `path`.
    ///
    /// # Errors
    /// When it can't be read or is malformed.
    pub fn load(path: &Path) -> Result<Self, CredentialError> {
        Ok(Self { config: DockerConfig::load(path)?, ecr: None })
    }

    /// One credential for one registry, as a reference names it, and no other.
    pub fn only(account: &str, credential: &Credential) -> Self {
        let mut config = DockerConfig::default();
        config.set(account, credential);
        Self { config, ecr: None }
    }

    /// Whether AWS is asked for `registry`, as a reference names it, when nobody has logged in to it.
    pub fn come_from_aws(registry: &str) -> bool {
        Ecr::of_registry(registry).is_some()
    }

    /// The credentials for `account`: a registry as a reference names it, or a mirror's host and port.
    pub(crate) async fn find(&self, account: &str) -> Result<Option<Credential>, CredentialError> {
        let kept = match self.config.helper(account) {
            Some(helper) => Helper::new(helper, account)?.get().await?,
            None => self.config.credential(account)?,
        };
        match (kept, &self.ecr, Ecr::of_registry(account)) {
            (None, Some(tokens), Some(ecr)) => tokens.get(&ecr, account).await,
            (kept, ..) => Ok(kept),
        }
    }
}

impl CredentialFile {
    /// `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`, whether or not it is there.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn from_environment() -> Result<Self, CredentialError> {
        let folder = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = || std::env::home_dir().map(|home| home.join(".docker"));
        let folder = folder.or_else(home).ok_or(CredentialError::NoHome)?;
        Ok(Self { path: folder.join("config.json") })
    }

    /// The file at `path`.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Keeps `credential` for the registry `account`: in the credential helper that the file names for it, else in the
    /// file, readable by its owner only. Nothing else in the file changes.
    ///
    /// # Errors
    /// When the helper says no, or the file can't be read or written.
    pub async fn store(&self, account: &str, credential: &Credential) -> Result<KeptIn, CredentialError> {
        let config = DockerConfig::load_if_there(&self.path)?;
        match config.helper(account) {
            Some(name) => {
                Helper::new(name, account)?.store(credential).await?;
                config_file::write(&self.path, account, None)?;
                Ok(KeptIn::Helper(format!("docker-credential-{name}")))
            }
            None => {
                config_file::write(&self.path, account, Some(credential))?;
                Ok(KeptIn::File(self.path.clone()))
            }
        }
    }

    /// Forgets the registry `account`; tells whether it was known.
    ///
    /// # Errors
    /// When the helper says no, or the file can't be read or written.
    pub async fn erase(&self, account: &str) -> Result<bool, CredentialError> {
        let config = DockerConfig::load_if_there(&self.path)?;
        let in_helper = match config.helper(account) {
            Some(name) => Helper::new(name, account)?.erase().await?,
            None => false,
        };
        Ok(config_file::remove(&self.path, account)? || in_helper)
    }
}

/// How helpers and `config.json` call a registry.
fn account_key(account: &str) -> &str {
    if account == "docker.io" { DOCKER_HUB_ACCOUNT } else { account }
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

    #[tokio::test]
    async fn a_login_is_kept_in_the_file_beside_what_was_there() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.json");
        let file = CredentialFile::at(&path);
        assert!(!file.erase("ghcr.io").await.unwrap());
        assert_eq!(file.store("ghcr.io", &password("u", "p:q")).await.unwrap(), KeptIn::File(path.clone()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let config = r#"{"HttpHeaders":{"A":"b"},"auths":{"https://ghcr.io/v1/":{"auth":"eDp5"},"other":{"auth":"dTpw","x":1}},"psFormat":"{{.ID}}"}"#;
        std::fs::write(&path, config).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        file.store("ghcr.io", &password("u", "p:q")).await.unwrap();
        file.store("docker.io", &Credential::IdentityToken(Secret::new("t"))).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let known = Credentials::load(&path).unwrap();
        assert_eq!(known.find("ghcr.io").await.unwrap(), Some(password("u", "p:q")));
        assert_eq!(known.find("docker.io").await.unwrap(), Some(Credential::IdentityToken(Secret::new("t"))));
        assert!(file.erase("ghcr.io").await.unwrap() && file.erase("docker.io").await.unwrap());
        let left: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected =
            r#"{"HttpHeaders":{"A":"b"},"auths":{"other":{"auth":"dTpw","x":1}},"psFormat":"{{.ID}}"}"#;
        assert_eq!(left.to_string(), expected);
    }

    #[tokio::test]
    async fn a_link_to_the_file_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("config.json"));
        std::fs::write(&real, "{}").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        CredentialFile::at(&link).store("a.example", &password("u", "p")).await.unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().contains("a.example"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", password("u", "hidden")), r#"Password { user: "u", password: *** }"#);
    }
}
