//! Who may do what: a request's credentials, the rules, and what is told to whom they do not allow.
//!
//! ```text
//!  Authorization ─► htpasswd (Basic) or tokens (Bearer) ─► Caller ─► rules: pull, push, delete by repository
//!  /token: htpasswd ─► rules ─► a token for just what was asked and is allowed
//! ```

mod htpasswd;
mod rules;
mod token;

use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

pub use htpasswd::PasswordError;
use htpasswd::Passwords;
pub use rules::{Action, Rule, User};
pub(crate) use rules::{Caller, Need};
pub use token::KeyError;
pub(crate) use token::Scope;
use token::Tokens;

use super::answer::Refusal;

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// A file of users and bcrypt hashes of their passwords, as `htpasswd -B` writes it; read again when it changes.
    /// Without it and without an issuer, everybody may do everything.
    pub htpasswd: Option<PathBuf>,
    /// What is allowed. Without a rule, every user may do everything.
    pub rules: Vec<Rule>,
    /// Whether everybody may pull everything, besides what the rules say.
    pub anonymous_pull: bool,
    /// Clients change their password for a token of this registry first.
    pub tokens: bool,
    /// Tokens of somebody else are taken too.
    pub issuer: Option<Issuer>,
}

/// Somebody else who says who may do what, by signed tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The `iss` of the tokens.
    pub name: String,
    /// Where clients get a token.
    pub realm: String,
    /// The `aud` of the tokens: the name of this registry there.
    pub service: String,
    /// The issuer's public keys, as a JSON web key set: ES256, `EdDSA`, RS256.
    pub keys: PathBuf,
}

/// Why the settings of access can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The users can't be read.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A key can't be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Tokens are signed for users, and there are none.
    #[error("tokens need users to be made for; name them with --htpasswd")]
    TokensWithoutUsers,
    /// Rules without anybody to tell apart.
    #[error("rules of access need users; name them with --htpasswd, or an issuer of tokens")]
    RulesWithoutUsers,
}

/// Decides about every request.
#[derive(Debug)]
pub(crate) struct Access {
    passwords: Option<Passwords>,
    tokens: Option<Tokens>,
    rules: Vec<Rule>,
    anonymous_pull: bool,
    /// Whether clients are told to get a token; else they are asked for a password.
    wants_tokens: bool,
    /// `http` or `https`, for the address of the token endpoint.
    scheme: &'static str,
}

impl Access {
    pub(crate) fn open(
        options: AccessOptions,
        folder: &Path,
        scheme: &'static str,
    ) -> Result<Self, AccessError> {
        let passwords = options.htpasswd.map(|file| Passwords::open(&file)).transpose()?;
        if passwords.is_none() && options.tokens {
            return Err(AccessError::TokensWithoutUsers);
        }
        let wants_tokens = options.tokens || options.issuer.is_some();
        if passwords.is_none() && !wants_tokens && !options.rules.is_empty() {
            return Err(AccessError::RulesWithoutUsers);
        }
        let tokens = match wants_tokens {
            true => Some(Tokens::open(options.tokens.then_some(folder), options.issuer)?),
            false => None,
        };
        let (rules, anonymous_pull) = (options.rules, options.anonymous_pull);
        Ok(Self { passwords, tokens, rules, anonymous_pull, wants_tokens, scheme })
    }

    /// Whether everybody may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.passwords.is_none() && self.tokens.is_none()
    }

    /// Who asks.
    ///
    /// # Errors
    /// With the answer to give when the credentials are wrong; who has none is [`Caller::Anonymous`].
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if self.is_open() {
            return Ok(Caller::Anybody);
        }
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let value = value.to_str().unwrap_or_default();
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let known = match (scheme.to_ascii_lowercase().as_str(), &self.passwords, &self.tokens) {
            ("basic", Some(passwords), _) => passwords.caller(rest.trim()).await,
            ("bearer", _, Some(tokens)) => tokens.caller(rest.trim()),
            _ => None,
        };
        known.ok_or_else(|| self.challenge(headers, &[], "UNAUTHORIZED", "the credentials are wrong"))
    }

    /// Passes when `caller` may do all of `needs`.
    pub(crate) fn permit(&self, caller: &Caller, needs: &[Need], headers: &HeaderMap) -> Result<(), Refusal> {
        if needs.iter().all(|need| self.allows(caller, need)) {
            return Ok(());
        }
        let message = "this needs a permission that the caller does not have";
        match caller {
            Caller::User(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "DENIED", message)),
            _ => Err(self.challenge(headers, needs, "UNAUTHORIZED", message)),
        }
    }

    pub(crate) fn allows(&self, caller: &Caller, need: &Need) -> bool {
        rules::allows(&self.rules, self.anonymous_pull, caller, need)
    }

    /// A token for what was asked and is allowed, as a JSON document.
    pub(crate) async fn token(
        &self,
        headers: &HeaderMap,
        form: &[(String, String)],
    ) -> Result<serde_json::Value, Refusal> {
        let issuer = self.tokens.as_ref().filter(|tokens| tokens.signs());
        let none = || Refusal::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "this registry signs no tokens");
        let (issuer, passwords) = issuer.zip(self.passwords.as_ref()).ok_or_else(none)?;
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let caller = match (field("grant_type"), field("username"), field("password")) {
            // The way of RFC 6749 that containerd goes first.
            (Some("password"), Some(user), Some(password)) => {
                let wrong = || self.ask_for_password("the credentials are wrong");
                passwords.verify(user, password).await.ok_or_else(wrong)?
            }
            (Some(_), ..) => {
                let message = "only grant_type=password is known here";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message));
            }
            _ => match headers.get(AUTHORIZATION) {
                Some(_) => self
                    .caller(headers)
                    .await
                    .map_err(|_| self.ask_for_password("the credentials are wrong"))?,
                None => Caller::Anonymous,
            },
        };
        let asked = form.iter().filter(|(key, _)| key == "scope").flat_map(|(_, scopes)| scopes.split(' '));
        let granted = asked.filter_map(|scope| scope.parse::<Scope>().ok());
        let granted = granted.map(|scope| scope.only(|need| self.allows(&caller, need))).collect();
        issuer.sign(&caller, granted).map_err(Refusal::fault)
    }

    fn challenge(&self, headers: &HeaderMap, needs: &[Need], code: &'static str, message: &str) -> Refusal {
        let Some(tokens) = self.tokens.as_ref().filter(|_| self.wants_tokens) else {
            return self.ask_for_password(message);
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, code, message);
        let realm = format!("{}://{host}/token", self.scheme);
        refusal.with(WWW_AUTHENTICATE, tokens.challenge(&realm, needs))
    }

    fn ask_for_password(&self, message: &str) -> Refusal {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
        refusal.with(WWW_AUTHENTICATE, "Basic realm=\"minato\", charset=\"UTF-8\"")
    }
}
