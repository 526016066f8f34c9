//! Docker's credential helpers: programs called `docker-credential-NAME`, with the verbs get, store and erase.

use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Credential, CredentialError, Secret, account_key};

const ANSWER_LIMIT: u64 = 64 << 10;
/// Some ask a person.
const PATIENCE: Duration = Duration::from_secs(30);
/// The user name under which helpers keep identity tokens.
const TOKEN_USER: &str = "<token>";

/// A helper, for one registry.
pub(super) struct Helper<'a> {
    name: &'a str,
    /// The registry as references name it.
    account: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: Secret,
}

#[derive(Serialize)]
struct Kept<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    #[serde(rename = "Username")]
    user: &'a str,
    #[serde(rename = "Secret")]
    secret: &'a str,
}

impl<'a> Helper<'a> {
    /// The program `docker-credential-NAME`.
    ///
    /// # Errors
    /// When the name is a path.
    pub(super) fn new(name: &'a str, account: &'a str) -> Result<Self, CredentialError> {
        let helper = Self { name, account };
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if is_plain { Ok(helper) } else { Err(helper.failed("its name is not a plain file name")) }
    }

    /// What it keeps, if it does.
    pub(super) async fn get(&self) -> Result<Option<Credential>, CredentialError> {
        let (success, output) = self.run("get", account_key(self.account).as_bytes()).await?;
        if !success {
            return if is_absent(&output) { Ok(None) } else { Err(self.told(&output)) };
        }
        let answer: Answer = serde_json::from_slice(&output)
            .map_err(|_| self.failed("its answer is not the expected JSON"))?;
        Ok(Some(match answer.user.as_str() {
            TOKEN_USER => Credential::IdentityToken(answer.secret),
            _ => Credential::Password { user: answer.user, password: answer.secret },
        }))
    }

    /// Gives it `credential` to keep.
    pub(super) async fn store(&self, credential: &Credential) -> Result<(), CredentialError> {
        let (user, secret) = match credential {
            Credential::Password { user, password } => (user.as_str(), password),
            Credential::IdentityToken(token) => (TOKEN_USER, token),
        };
        let kept = Kept { server: account_key(self.account), user, secret: secret.reveal() };
        let input = serde_json::to_vec(&kept).expect("strings are JSON");
        match self.run("store", &input).await? {
            (true, _) => Ok(()),
            (false, output) => Err(self.told(&output)),
        }
    }

    /// Lets it forget; tells whether it knew.
    pub(super) async fn erase(&self) -> Result<bool, CredentialError> {
        let known = self.get().await?.is_some();
        match self.run("erase", account_key(self.account).as_bytes()).await? {
            (true, _) => Ok(known),
            (false, output) if is_absent(&output) => Ok(false),
            (false, output) => Err(self.told(&output)),
        }
    }

    async fn run(&self, verb: &str, input: &[u8]) -> Result<(bool, Vec<u8>), CredentialError> {
        match tokio::time::timeout(PATIENCE, run(self.name, verb, input)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Err(_) => Err(self.failed(&format!("no answer within {} seconds", PATIENCE.as_secs()))),
        }
    }

    /// Its own words.
    fn told(&self, output: &[u8]) -> CredentialError {
        let text: String = String::from_utf8_lossy(output).trim().chars().take(200).collect();
        self.failed(&text)
    }

    fn failed(&self, reason: &str) -> CredentialError {
        CredentialError::Helper {
            helper: format!("docker-credential-{}", self.name),
            registry: self.account.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Helpers say "credentials not found in native keychain" and exit 1.
fn is_absent(output: &[u8]) -> bool {
    String::from_utf8_lossy(output).contains("not found")
}

async fn run(helper: &str, verb: &str, input: &[u8]) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(format!("docker-credential-{helper}"))
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        let _ = stdin.write_all(input).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_LIMIT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}
