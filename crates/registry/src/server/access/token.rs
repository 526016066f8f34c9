//! Tokens: JSON web tokens of our own and of an issuer elsewhere, as the distribution project's token specification
//! has them.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Action, Caller, Issuer, Need};

/// How long a token is good, in seconds.
const LIFE: u64 = 300;
/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 60;
const TOKEN_LIMIT: usize = 32 << 10;
const KEYS_LIMIT: u64 = 1 << 20;
const OWN_NAME: &str = "minato";
const KEY_FILE: &str = "token.key";

/// Signs and verifies tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    own: Option<Ed25519KeyPair>,
    issuer: Option<Known>,
}

/// An issuer elsewhere with its keys.
#[derive(Debug)]
struct Known {
    issuer: Issuer,
    keys: Vec<(Option<String>, PublicKey)>,
}

#[derive(Clone, Debug, PartialEq)]
enum PublicKey {
    EdDsa(Vec<u8>),
    Es256(Vec<u8>),
    Rs256 { n: Vec<u8>, e: Vec<u8> },
}

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file has no key that can be used.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// `repository:NAME:pull,push` or `registry:catalog:*`, as clients ask for it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scope(Vec<Need>);

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(default)]
    iat: u64,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    access: Vec<Granted>,
}

/// One name or several (RFC 7519, section 4.1.3).
#[derive(Serialize)]
struct Audience(Vec<String>);

#[derive(Serialize, Deserialize)]
struct Granted {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<WebKey>,
}

/// RFC 7517, with the fields of the three kinds that are taken.
#[derive(Deserialize)]
struct WebKey {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Tokens {
    /// With a key of our own in `folder`, made when it is not there, and the keys of `issuer`.
    pub(crate) fn open(folder: Option<&Path>, issuer: Option<Issuer>) -> Result<Self, KeyError> {
        Ok(Self { own: folder.map(own_key).transpose()?, issuer: issuer.map(Known::read).transpose()? })
    }

    pub(crate) fn signs(&self) -> bool {
        self.own.is_some()
    }

    /// What a token lets its bearer do; `None` when it is not to be believed.
    pub(crate) fn caller(&self, token: &str) -> Option<Caller> {
        let claims = self.verified(token, now())?;
        let needs = claims.access.iter().flat_map(|granted| {
            granted.actions.iter().flat_map(|action| needs(&granted.kind, &granted.name, action))
        });
        Some(Caller::Token(needs.collect()))
    }

    /// The answer of the token endpoint.
    pub(crate) fn sign(&self, caller: &Caller, granted: Vec<Scope>) -> Result<Value, String> {
        let key = self.own.as_ref().ok_or("there is no key to sign with")?;
        let now = now();
        let sub = if let Caller::User(name) = caller { name.clone() } else { String::new() };
        let claims = Claims {
            iss: OWN_NAME.to_owned(),
            aud: Audience(vec![OWN_NAME.to_owned()]),
            exp: now + LIFE,
            nbf: now.saturating_sub(LEEWAY),
            iat: now,
            sub,
            access: granted.into_iter().flat_map(|scope| scope.0).filter_map(granted_of).collect(),
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = serde_json::to_value(claims).map_err(|error| error.to_string())?;
        let signed = format!("{}.{}", part(&json!({"alg": "EdDSA", "typ": "JWT"})), part(&claims));
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())));
        // Docker's clients read one field, those of OAuth the other.
        let issued_at = jiff::Timestamp::now().to_string();
        Ok(json!({"token": token, "access_token": token, "expires_in": LIFE, "issued_at": issued_at}))
    }

    /// Where to get a token for `needs`, as `WWW-Authenticate` says it.
    pub(crate) fn challenge(&self, realm: &str, needs: &[Need]) -> String {
        let (realm, service) = match &self.issuer {
            Some(known) if self.own.is_none() => (known.issuer.realm.as_str(), known.issuer.service.as_str()),
            _ => (realm, OWN_NAME),
        };
        let scopes: Vec<String> = needs.iter().filter_map(scope_of).collect();
        let scope =
            if scopes.is_empty() { String::new() } else { format!(",scope=\"{}\"", scopes.join(" ")) };
        format!("Bearer realm=\"{realm}\",service=\"{service}\"{scope}")
    }

    fn verified(&self, token: &str, now: u64) -> Option<Claims> {
        if token.len() > TOKEN_LIMIT {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let head: Head = serde_json::from_slice(&decode(head)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
        let in_time = now < claims.exp.saturating_add(LEEWAY) && claims.nbf <= now.saturating_add(LEEWAY);
        let signature = decode(signature)?;
        let is_genuine = if claims.iss == OWN_NAME && claims.aud.has(OWN_NAME) {
            let public = self.own.as_ref()?.public_key().as_ref().to_vec();
            PublicKey::EdDsa(public).verifies(&head.alg, signed, &signature)
        } else {
            self.issuer.as_ref()?.verifies(&head, &claims, signed, &signature)
        };
        (in_time && is_genuine).then_some(claims)
    }
}

impl Known {
    fn read(issuer: Issuer) -> Result<Self, KeyError> {
        let path = issuer.keys.clone();
        let failed = |source| KeyError::File { path: path.clone(), source };
        let malformed = |reason: String| KeyError::Malformed { path: path.clone(), reason };
        if issuer.name == OWN_NAME {
            return Err(malformed(format!("an issuer elsewhere can't be called {OWN_NAME}")));
        }
        if fs::metadata(&path).map_err(failed)?.len() > KEYS_LIMIT {
            return Err(malformed(format!("it is longer than {KEYS_LIMIT} bytes")));
        }
        let set: KeySet = serde_json::from_slice(&fs::read(&path).map_err(failed)?)
            .map_err(|error| malformed(format!("no JSON web key set: {error}")))?;
        // Key sets may have keys for other purposes.
        let keys: Vec<_> = set.keys.iter().filter_map(|key| Some((key.kid.clone(), key.public()?))).collect();
        if keys.is_empty() {
            return Err(malformed("none of its keys is for ES256, EdDSA or RS256".to_owned()));
        }
        Ok(Self { issuer, keys })
    }

    fn verifies(&self, head: &Head, claims: &Claims, signed: &str, signature: &[u8]) -> bool {
        let fits = |kid: &Option<String>| head.kid.is_none() || kid.is_none() || *kid == head.kid;
        claims.iss == self.issuer.name
            && claims.aud.has(&self.issuer.service)
            && self.keys.iter().any(|(kid, key)| fits(kid) && key.verifies(&head.alg, signed, signature))
    }
}

impl PublicKey {
    /// The algorithm is the key's: what the token says must be the same.
    fn verifies(&self, algorithm: &str, signed: &str, signature: &[u8]) -> bool {
        let signed = signed.as_bytes();
        let check = |kind: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(kind, key).verify(signed, signature).is_ok()
        };
        match self {
            Self::EdDsa(key) => algorithm == "EdDSA" && check(&ED25519, key),
            Self::Es256(key) => algorithm == "ES256" && check(&ECDSA_P256_SHA256_FIXED, key),
            Self::Rs256 { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                algorithm == "RS256" && key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
            }
        }
    }
}

impl WebKey {
    fn public(&self) -> Option<PublicKey> {
        let bytes = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_ref()?).ok();
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Some(PublicKey::EdDsa(bytes(&self.x)?)),
            ("EC", Some("P-256")) => {
                // The uncompressed form of a point.
                Some(PublicKey::Es256([vec![4], bytes(&self.x)?, bytes(&self.y)?].concat()))
            }
            ("RSA", _) => Some(PublicKey::Rs256 { n: bytes(&self.n)?, e: bytes(&self.e)? }),
            _ => None,
        }
    }
}

impl Scope {
    /// The part of it that is allowed.
    pub(crate) fn only(self, is_allowed: impl Fn(&Need) -> bool) -> Self {
        Self(self.0.into_iter().filter(is_allowed).collect())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // The name may have a colon, a registry's port.
        let (kind, rest) = text.split_once(':').ok_or(())?;
        let (name, actions) = rest.rsplit_once(':').ok_or(())?;
        Ok(Self(actions.split(',').flat_map(|action| needs(kind, name, action)).collect()))
    }
}

impl Audience {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|one| one == name)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(one) => Ok(Self(vec![one])),
            other => serde_json::from_value(other).map(Self).map_err(serde::de::Error::custom),
        }
    }
}

fn needs(kind: &str, name: &str, action: &str) -> Vec<Need> {
    let all = action == "*";
    match kind {
        "registry" if name == "catalog" && all => vec![Need::Catalog],
        "repository" => {
            let Ok(name) = name.parse::<crate::server::name::RepositoryName>() else { return Vec::new() };
            let actions = Action::ALL.into_iter().filter(|one| all || one.name() == action);
            actions.map(|action| Need::Repository(name.clone(), action)).collect()
        }
        _ => Vec::new(),
    }
}

fn granted_of(need: Need) -> Option<Granted> {
    let granted = |kind: &str, name: &str, action: &str| Granted {
        kind: kind.to_owned(),
        name: name.to_owned(),
        actions: vec![action.to_owned()],
    };
    match need {
        Need::Identity => None,
        Need::Catalog => Some(granted("registry", "catalog", "*")),
        Need::Repository(name, action) => Some(granted("repository", name.as_str(), action.name())),
    }
}

fn scope_of(need: &Need) -> Option<String> {
    match need {
        Need::Identity => None,
        Need::Catalog => Some("registry:catalog:*".to_owned()),
        // Who pushes asks what is there first: one token for both.
        Need::Repository(name, Action::Push) => Some(format!("repository:{name}:pull,push")),
        Need::Repository(name, action) => Some(format!("repository:{name}:{}", action.name())),
    }
}

/// The key in the registry's folder. Of two processes that make it at the same time, one is first.
fn own_key(folder: &Path) -> Result<Ed25519KeyPair, KeyError> {
    let path = folder.join(KEY_FILE);
    let failed = |source| KeyError::File { path: path.clone(), source };
    if !path.exists() {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| failed(io::Error::other("no random numbers")))?;
        let made = folder.join(format!("staging/{KEY_FILE}-{}", std::process::id()));
        let write = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&made)?;
            file.write_all(document.as_ref())?;
            file.sync_all()?;
            match fs::hard_link(&made, &path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::remove_file(&made),
            }
        };
        write().map_err(failed)?;
    }
    let document = fs::read(&path).map_err(failed)?;
    Ed25519KeyPair::from_pkcs8(&document).map_err(|error| KeyError::Malformed {
        path: path.clone(),
        reason: format!("no key for signing: {error}; remove the file to have another made"),
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
