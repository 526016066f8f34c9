//! Credentials go to whom they belong, in the way that the registry asks for.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use std::path::Path;

use fake::{Content, Registry, Reply, Seen, Told, client};
use minato_oci::{Image, Store};
use minato_registry::{Credentials, Options, PullError};

fn content() -> Content {
    let mut content = Content::default();
    content.image("team/app", "1", "linux/amd64", &[("file", b"1".to_vec())]);
    content
}

/// user:secret
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

async fn pull(registry: &Registry, config: &str) -> Result<Image, PullError> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    std::fs::write(&path, config.replace("REGISTRY", &registry.address.to_string())).unwrap();
    let store = Store::open(&place.path().join("store")).unwrap();
    let client = client(Options { credentials: Credentials::load(&path).unwrap(), ..Options::default() });
    let platform = "linux/amd64".parse().unwrap();
    client.pull(&registry.reference("team/app:1"), &platform, &store, &Told::default()).await
}

const LOGGED_IN: &str = r#"{"auths":{"REGISTRY":{"auth":"dXNlcjpzZWNyZXQ="}}}"#;

fn wants_basic(seen: &Seen, reply: Reply) -> Reply {
    match seen.authorization.as_deref() {
        Some(BASIC) => reply,
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"here\""),
    }
}

#[tokio::test]
async fn a_password_is_sent_when_asked_for() {
    let registry = Registry::start(&content(), wants_basic).await;
    pull(&registry, LOGGED_IN).await.unwrap();
    assert_eq!(registry.seen()[0].authorization, None, "a password is never sent unasked");
    let error = pull(&registry, "{}").await.unwrap_err().to_string();
    assert!(error.contains("access denied; log in first"), "{error}");
    let wrong = LOGGED_IN.replace("dXNlcjpzZWNyZXQ=", "dXNlcjp3cm9uZw==");
    let error = pull(&registry, &wrong).await.unwrap_err().to_string();
    assert!(error.contains("credentials do not allow it") && !error.contains("wrong"), "{error}");
}

/// Token server and registry in one: `/token` gives what the registry takes.
fn wants_token(seen: &Seen, reply: Reply) -> Reply {
    if seen.path == "/token" {
        return match (seen.authorization.as_deref(), seen.body.contains("refresh_token=refresh")) {
            (Some(BASIC), _) | (None, true) => Reply::bytes(r#"{"token":"granted","expires_in":300}"#),
            (None, false) => Reply::bytes(r#"{"access_token":"anonymous"}"#),
            _ => Reply::status(401),
        };
    }
    match seen.authorization.as_deref() {
        Some("Bearer granted" | "Bearer anonymous") => reply,
        _ => Reply::status(401).header(
            "www-authenticate",
            r#"Bearer realm="http://REALM/token",service="reg istry",scope="repository:team/app:pull""#,
        ),
    }
}

/// The realm is the registry's own address, which is known only when it runs.
async fn token_registry() -> Registry {
    let address = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = address.clone();
    let content = content();
    let registry = Registry::start(&content, move |seen, reply| {
        let mut reply = wants_token(seen, reply);
        for (_, value) in &mut reply.headers {
            *value = value.replace("REALM", known.get().unwrap());
        }
        reply
    });
    let registry = registry.await;
    address.set(registry.address.to_string()).unwrap();
    registry
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_for_everything() {
    for (config, expected) in [(LOGGED_IN, "Bearer granted"), ("{}", "Bearer anonymous")] {
        let registry = token_registry().await;
        pull(&registry, config).await.unwrap();
        let seen = registry.seen();
        let tokens: Vec<_> = seen.iter().filter(|seen| seen.path == "/token").collect();
        assert_eq!(tokens.len(), 1);
        assert_eq!(tokens[0].query, "service=reg+istry&scope=repository%3Ateam%2Fapp%3Apull");
        let last = seen.last().unwrap();
        assert_eq!(last.authorization.as_deref(), Some(expected));
        let unauthorized =
            seen.iter().filter(|seen| seen.path != "/token" && seen.authorization.is_none()).count();
        assert_eq!(unauthorized, 1, "only the first request is made without the token");
    }
}

#[tokio::test]
async fn an_identity_token_is_changed_for_an_access_token() {
    let registry = token_registry().await;
    pull(&registry, r#"{"auths":{"REGISTRY":{"auth":"dTp1","identitytoken":"refresh"}}}"#).await.unwrap();
    let token = registry.seen().into_iter().find(|seen| seen.path == "/token").unwrap();
    assert_eq!((token.method.as_str(), token.authorization), ("POST", None));
    assert!(token.body.contains("grant_type=refresh_token"), "{}", token.body);
}

#[tokio::test]
async fn a_wrong_password_is_told_by_the_token_server() {
    let registry = token_registry().await;
    let error = pull(&registry, r#"{"auths":{"REGISTRY":{"auth":"dXNlcjp3cm9uZw=="}}}"#).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("/token: access denied") && !error.contains("wrong"), "{error}");
}

#[tokio::test]
async fn a_token_server_without_encryption_gets_no_password() {
    for realm in ["http://registry.example/token", "ftp://127.0.0.1/", "nonsense"] {
        let header = format!("Bearer realm=\"{realm}\"");
        let registry =
            Registry::start(&content(), move |_, _| Reply::status(401).header("www-authenticate", &header))
                .await;
        let error = pull(&registry, LOGGED_IN).await.unwrap_err().to_string();
        assert!(error.contains("authorization server"), "{realm}: {error}");
    }
}

#[tokio::test]
async fn another_host_gets_no_credentials() {
    let content = content();
    let elsewhere = Registry::honest(&content).await;
    let address = elsewhere.address;
    let registry = Registry::start(&content, move |seen, reply| match wants_basic(seen, reply) {
        reply if reply.status == 200 && seen.path.contains("/blobs/") => {
            Reply::status(307).header("location", format!("http://{address}{}", seen.path))
        }
        reply => reply,
    });
    pull(&registry.await, LOGGED_IN).await.unwrap();
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 2, "config and layer come from elsewhere");
    assert!(seen.iter().all(|seen| seen.authorization.is_none()), "{seen:?}");
}

#[tokio::test]
async fn a_challenge_that_nobody_understands_is_a_clear_error() {
    let registry =
        Registry::start(&content(), |_, _| Reply::status(401).header("www-authenticate", "Negotiate")).await;
    assert!(pull(&registry, LOGGED_IN).await.unwrap_err().to_string().contains("access denied"));
    let registry = Registry::start(&content(), |_, _| Reply::status(401)).await;
    assert!(pull(&registry, LOGGED_IN).await.unwrap_err().to_string().contains("access denied"));
}

/// A helper is a program on the PATH: the test re-runs itself with a PATH of its own.
#[test]
fn credential_helpers_are_asked() {
    let place = tempfile::tempdir().unwrap();
    write_helper(
        place.path(),
        "docker-credential-minato-good",
        "read url; echo \"$url\" >>\"$0.log\"; echo '{\"ServerURL\":\"x\",\"Username\":\"user\",\"Secret\":\"secret\"}'",
    );
    write_helper(
        place.path(),
        "docker-credential-minato-empty",
        "echo 'credentials not found in native keychain'; exit 1",
    );
    write_helper(place.path(), "docker-credential-minato-bad", "echo 'vault is locked'; exit 1");
    write_helper(place.path(), "docker-credential-minato-odd", "echo hello");
    let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap());
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "with_helpers_on_the_path", "--ignored"])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let asked = std::fs::read_to_string(place.path().join("docker-credential-minato-good.log")).unwrap();
    assert!(asked.starts_with("127.0.0.1:"), "{asked}");
}

fn write_helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[tokio::test]
#[ignore = "run by credential_helpers_are_asked, with helpers on its PATH"]
async fn with_helpers_on_the_path() {
    let registry = Registry::start(&content(), wants_basic).await;
    pull(&registry, r#"{"credsStore":"minato-good"}"#).await.unwrap();
    pull(&registry, r#"{"credsStore":"minato-bad","credHelpers":{"REGISTRY":"minato-good"}}"#).await.unwrap();
    for (helper, expected) in [
        ("minato-empty", "log in first"),
        ("minato-bad", "docker-credential-minato-bad failed"),
        ("minato-bad", "vault is locked"),
        ("minato-odd", "not the expected JSON"),
    ] {
        let config = format!(r#"{{"credsStore":"{helper}"}}"#);
        let error = pull(&registry, &config).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{helper}: {error}");
    }
}
