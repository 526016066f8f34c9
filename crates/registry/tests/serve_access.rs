//! Who may do what in a registry: passwords, tokens, rules, TLS.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

mod served;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minato_oci::Digest;
use minato_registry::server::{AccessOptions, ListenError, Options, Rule, Server, TlsFiles, User};
use served::{Answer, Registry};

#[test]
fn passwords_and_rules_decide() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path(), false);
    let base = registry.get("/v2/");
    assert_eq!(base.refusal(), (401, "UNAUTHORIZED".to_owned()));
    assert!(base.header("www-authenticate").starts_with("Basic realm="));
    for (user, password, path, expected) in [
        ("alice", "secret", "/v2/", 200),
        ("alice", "wrong", "/v2/", 401),
        ("nobody", "secret", "/v2/", 401),
        ("alice", "secret", "/v2/team/app/tags/list", 404),
        ("bob", "secret", "/v2/team/app/tags/list", 404),
        ("bob", "secret", "/v2/other/tags/list", 403),
        ("", "", "/v2/public/app/tags/list", 404),
        ("", "", "/v2/team/app/tags/list", 401),
    ] {
        assert_eq!(ask(&registry, "GET", path, user, password).status, expected, "{user} {path}");
    }
    let upload = "/v2/team/app/blobs/uploads/";
    assert_eq!(ask(&registry, "POST", upload, "alice", "secret").status, 202);
    assert_eq!(ask(&registry, "POST", upload, "bob", "secret").refusal(), (403, "DENIED".to_owned()));
    let manifest = "/v2/team/app/manifests/latest";
    assert_eq!(ask(&registry, "DELETE", manifest, "bob", "secret").status, 403);
    assert_eq!(ask(&registry, "DELETE", manifest, "alice", "secret").status, 404);
}

#[test]
fn what_one_may_not_read_cannot_be_mounted_or_listed() {
    let folder = tempfile::tempdir().unwrap();
    let open = Registry::start(folder.path());
    open.push_image("team/app", "latest", b"secret content");
    open.push_image("public/app", "latest", b"public content");
    open.stop();
    let registry = registry(folder.path(), false);
    let mount = |content: &[u8], from: &str| {
        let path = format!("/v2/bobs/x/blobs/uploads/?mount={}{from}", Digest::sha256(content));
        ask(&registry, "POST", &path, "carol", "secret").status
    };
    assert_eq!(mount(b"secret content", "&from=team/app"), 202);
    assert_eq!(mount(b"secret content", ""), 202);
    assert_eq!(mount(b"public content", "&from=public/app"), 201);
    let listed =
        |user| ask(&registry, "GET", "/v2/_catalog", user, "secret").json()["repositories"].to_string();
    assert_eq!(listed("alice"), r#"["public/app","team/app"]"#);
    assert_eq!(listed("carol"), r#"["public/app"]"#);
}

#[test]
fn a_token_is_good_for_what_was_asked_and_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path(), true);
    let upload = "/v2/team/app/blobs/uploads/";
    let challenged = registry.ask("POST", upload, &[], b"");
    let expected = format!(
        "Bearer realm=\"http://{}/token\",service=\"minato\",scope=\"repository:team/app:pull,push\"",
        registry.address
    );
    assert_eq!((challenged.status, challenged.header("www-authenticate")), (401, &*expected));
    let token = |user: &str, scope: &str| {
        let answer = ask(&registry, "GET", &format!("/token?service=minato&scope={scope}"), user, "secret");
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let with = |token: &str, method: &str, path: &str| {
        registry.ask(method, path, &[("authorization", &format!("Bearer {token}"))], b"").status
    };
    let alices = token("alice", "repository:team/app:pull,push");
    assert_eq!(with(&alices, "POST", upload), 202);
    assert_eq!(with(&alices, "GET", "/v2/"), 200);
    assert_eq!(with(&alices, "DELETE", "/v2/team/app/manifests/x"), 401, "it was not asked for");
    assert_eq!(with(&alices, "POST", "/v2/team/other/blobs/uploads/"), 401);
    let bobs = token("bob", "repository:team/app:pull,push,delete");
    assert_eq!((with(&bobs, "POST", upload), with(&bobs, "GET", "/v2/team/app/tags/list")), (401, 404));
    let anybodys = token("", "repository:public/app:pull");
    assert_eq!(with(&anybodys, "GET", "/v2/public/app/tags/list"), 404);
    assert_eq!(with("x.y.z", "GET", "/v2/"), 401);

    let form = b"grant_type=password&username=alice&password=secret&scope=repository:team/app:push";
    assert_eq!(registry.ask("POST", "/token", &[], form).status, 200);
    let wrong = b"grant_type=password&username=alice&password=x";
    assert_eq!(registry.ask("POST", "/token", &[], wrong).status, 401);
    assert_eq!(registry.ask("POST", "/token", &[], b"grant_type=refresh_token&refresh_token=x").status, 400);
}

#[tokio::test]
async fn other_machines_reach_only_what_is_protected() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Server::bind(everywhere, Options::new(folder.path())).await;
    assert!(matches!(refused, Err(ListenError::Exposed(_))), "{refused:?}");
    let without_tls = Options { access: access(folder.path(), false), ..Options::new(folder.path()) };
    assert!(matches!(Server::bind(everywhere, without_tls).await, Err(ListenError::Exposed(_))));
    let told = Options { insecure: true, ..Options::new(folder.path()) };
    assert!(Server::bind(everywhere, told).await.is_ok());
}

#[test]
fn it_speaks_tls() {
    let Some(tls) = certificate("it_speaks_tls") else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        tls: Some(tls.1.clone()),
        access: access(folder.path(), true),
        ..Options::new(folder.path())
    };
    let registry = Registry::start_with(options);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (status, challenge) = runtime.block_on(async {
        let pem = std::fs::read(&tls.1.certificate).unwrap();
        let authority = reqwest::Certificate::from_pem(&pem).unwrap();
        let client = reqwest::Client::builder().add_root_certificate(authority).build().unwrap();
        let url = format!("https://localhost:{}/v2/", registry.address.port());
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        (response.status(), response.headers()["www-authenticate"].to_str().unwrap().to_owned())
    });
    assert_eq!(status, 401);
    assert!(challenge.starts_with("Bearer realm=\"https://localhost:"), "{challenge}");
}

/// alice may do everything in `team/`, carol in `bobs/`, every user reads `team/app`, everybody `public/`.
fn access(folder: &Path, tokens: bool) -> AccessOptions {
    let file = folder.join("users");
    let users =
        ["alice", "bob", "carol"].map(|user| format!("{user}:{}\n", bcrypt::hash("secret", 4).unwrap()));
    std::fs::write(&file, users.concat()).unwrap();
    let rule = |repositories: &str, users: &[&str], actions: &str| Rule {
        repositories: vec![repositories.parse().unwrap()],
        users: users.iter().map(|user| User::from(*user)).collect(),
        actions: actions.split(' ').map(|action| action.parse().unwrap()).collect(),
    };
    let rules = vec![
        rule("team/**", &["alice"], "pull push delete"),
        rule("team/app", &["bob"], "pull"),
        rule("bobs/**", &["carol"], "pull push delete"),
        rule("public/**", &["anonymous"], "pull"),
    ];
    AccessOptions { htpasswd: Some(file), rules, tokens, ..AccessOptions::default() }
}

fn registry(folder: &Path, tokens: bool) -> Registry {
    Registry::start_with(Options { access: access(folder, tokens), ..Options::new(folder) })
}

fn ask(registry: &Registry, method: &str, path: &str, user: &str, password: &str) -> Answer {
    let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let headers: &[(&str, &str)] = if user.is_empty() { &[] } else { &[("authorization", &value)] };
    registry.ask(method, path, headers, b"")
}

fn certificate(test: &str) -> Option<(tempfile::TempDir, TlsFiles)> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]);
    let made = command.arg(path("key")).arg("-out").arg(path("certificate")).output();
    match made {
        Ok(made) if made.status.success() => {
            let files = TlsFiles { certificate: path("certificate"), key: path("key") };
            Some((folder, files))
        }
        _ => {
            eprintln!("SKIPPED {test}: openssl is not installed");
            None
        }
    }
}
