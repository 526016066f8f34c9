//! Docker's `config.json`: who we are to which registry, and which program keeps that.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Credential, CredentialError, Secret, account_key};

const LIMIT: u64 = 4 << 20;

/// The fields that say who we are.
#[derive(Clone, Default, Deserialize)]
pub(super) struct DockerConfig {
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

impl DockerConfig {
    pub(super) fn load(path: &Path) -> Result<Self, CredentialError> {
        parse(path, &read(path)?)
    }

    /// As [`DockerConfig::load`]; empty where there is no such file.
    pub(super) fn load_if_there(path: &Path) -> Result<Self, CredentialError> {
        if path.exists() { Self::load(path) } else { Ok(Self::default()) }
    }

    /// The program that keeps credentials for `account`.
    pub(super) fn helper(&self, account: &str) -> Option<&str> {
        let own = entry(&self.helpers, account).map(|(_, helper)| helper);
        own.or(self.store.as_ref()).map(String::as_str).filter(|helper| !helper.is_empty())
    }

    /// What the file itself has for `account`.
    pub(super) fn credential(&self, account: &str) -> Result<Option<Credential>, CredentialError> {
        entry(&self.auths, account).map_or(Ok(None), |(_, auth)| auth.credential(account))
    }

    pub(super) fn set(&mut self, account: &str, credential: &Credential) {
        let auth = match credential {
            Credential::Password { user, password } => {
                Auth { username: Some(user.clone()), password: Some(password.clone()), ..Auth::default() }
            }
            Credential::IdentityToken(token) => {
                Auth { identity_token: Some(token.clone()), ..Auth::default() }
            }
        };
        self.auths.insert(account_key(account).to_owned(), auth);
    }
}

/// Writes `credential` for `account` into the file, or with `None` that a helper keeps it. Whatever else is in the file
/// stays, and so does its order.
pub(super) fn write(
    path: &Path,
    account: &str,
    credential: Option<&Credential>,
) -> Result<(), CredentialError> {
    let entry = match credential {
        None => json!({}),
        Some(Credential::Password { user, password }) => {
            json!({"auth": STANDARD.encode(format!("{user}:{}", password.reveal()))})
        }
        Some(Credential::IdentityToken(token)) => {
            json!({"auth": STANDARD.encode("<token>:"), "identitytoken": token.reveal()})
        }
    };
    change(path, |auths| {
        auths.retain(|key, _| !is_of(key, account));
        auths.insert(account_key(account).to_owned(), entry);
    })
}

/// Takes `account` out of the file; tells whether it was there.
pub(super) fn remove(path: &Path, account: &str) -> Result<bool, CredentialError> {
    let mut was_there = false;
    if path.exists() {
        change(path, |auths| {
            let before = auths.len();
            auths.retain(|key, _| !is_of(key, account));
            was_there = auths.len() < before;
        })?;
    }
    Ok(was_there)
}

fn change(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), CredentialError> {
    let written = |source| CredentialError::Write { path: path.to_owned(), source };
    // A link to the file stays a link.
    let path = if path.exists() { &path.canonicalize().map_err(written)? } else { path };
    let mut document: Map<String, Value> =
        if path.exists() { parse(path, &read(path)?)? } else { Map::new() };
    let auths = document.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    let auths = auths.as_object_mut().ok_or_else(|| CredentialError::Malformed {
        path: path.to_owned(),
        reason: "\"auths\" is not an object".to_owned(),
    })?;
    change(auths);
    let bytes = serde_json::to_vec_pretty(&document).expect("an object has string keys");
    replace(path, &bytes).map_err(written)
}

/// The old file or the new one is there at any moment, and never a file that others may read.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let private = fs::Permissions::from_mode(0o600);
    let mut file =
        tempfile::Builder::new().prefix(".config.json-").permissions(private).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    fail::fail_point!("login.file.before-rename");
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialError> {
    let read = |source| CredentialError::Read { path: path.to_owned(), source };
    if path.metadata().map_err(read)?.len() > LIMIT {
        let reason = format!("longer than {LIMIT} bytes");
        return Err(CredentialError::Malformed { path: path.to_owned(), reason });
    }
    fs::read(path).map_err(read)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, CredentialError> {
    // serde's message could quote a secret: only its place is told.
    serde_json::from_slice(bytes).map_err(|error| CredentialError::Malformed {
        path: PathBuf::from(path),
        reason: format!("line {}, column {}", error.line(), error.column()),
    })
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

/// The user and password in an `auth` field, or in AWS' answer.
pub(super) fn decode(auth: &str) -> Option<Credential> {
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    // Docker once padded passwords with NULs.
    let password = Secret(password.trim_end_matches('\0').to_owned());
    Some(Credential::Password { user: user.to_owned(), password })
}

/// An entry by any of the spellings that tools have used for a registry.
fn entry<'a, T>(entries: &'a HashMap<String, T>, account: &str) -> Option<(&'a String, &'a T)> {
    let exact = entries.get_key_value(account_key(account));
    exact.or_else(|| entries.iter().find(|(key, _)| is_of(key, account)))
}

fn is_of(key: &str, account: &str) -> bool {
    host(key) == host(account_key(account))
}

fn host(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credentials for {} registries", self.auths.len() + self.helpers.len())
    }
}
