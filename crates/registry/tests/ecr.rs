//! Amazon ECR: credentials of AWS are exchanged for a password, against moto's API and a registry behind a proxy.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod fake;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use fake::{Content, Registry, Reply, client};
use minato_oci::Reference;
use minato_registry::{Credentials, Options};

const PRIVATE: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const PUBLIC: &str = "public.ecr.aws";

struct Moto {
    folder: PathBuf,
    endpoint: String,
}

impl Moto {
    fn start(test: &str, folder: &Path) -> Option<Self> {
        let output = Command::new(tool()).arg("start").arg(folder).output().unwrap();
        if !output.status.success() {
            eprintln!("SKIPPED {test}: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        let endpoint = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { folder: folder.to_owned(), endpoint })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = Command::new(tool()).arg("stop").arg(&self.folder).status();
    }
}

fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/moto")
}

fn basic(password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("AWS:{password}")))
}

/// A registry that takes `password` only, and that is the API of the public registry as well.
async fn registry(password: &str) -> Registry {
    let mut content = Content::default();
    content.image("team/app", "1", "linux/amd64", &[("file", b"1".to_vec())]);
    let expected = basic(password);
    let answer =
        serde_json::json!({"authorizationData": {"authorizationToken": &expected["Basic ".len()..]}});
    Registry::start(&content, move |seen, reply| match seen.authorization.as_deref() {
        Some(signed) if seen.path == "/" && signed.contains("/us-east-1/ecr-public/aws4_request") => {
            Reply::bytes(answer.to_string())
        }
        Some(shown) if shown == expected => reply,
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"https://ecr/\""),
    })
    .await
}

/// Runs the test `asks` in a process with this environment.
async fn in_environment(registry: &Registry, variables: &[(&str, &str)]) -> (bool, String) {
    let nowhere = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "asks", "--ignored", "--nocapture"])
        .env("http_proxy", format!("http://{}", registry.address))
        .env("HOME", nowhere.path())
        .env("DOCKER_CONFIG", nowhere.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

#[tokio::test]
async fn a_private_registry_takes_what_aws_gives() {
    let place = tempfile::tempdir().unwrap();
    let Some(moto) = Moto::start("a_private_registry_takes_what_aws_gives", place.path()) else { return };
    let registry = registry("123456789012-auth-token").await;
    let asked = format!("{PRIVATE}/team/app:1");
    let named = [("ASKED", asked.as_str()), ("AWS_ENDPOINT_URL", &moto.endpoint)];
    let (good, said) = in_environment(&registry, &[&KEYS[..], &named].concat()).await;
    assert!(good, "{said}");
    let (good, said) = in_environment(&registry, &named).await;
    assert!(!good && said.contains("access denied; log in first"), "{said}");
    let down = [("ASKED", asked.as_str()), ("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1")];
    let (good, said) = in_environment(&registry, &[&KEYS[..], &down].concat()).await;
    assert!(!good && said.contains(&format!("{PRIVATE}: AWS gives no token: http://127.0.0.1:1")), "{said}");
}

#[tokio::test]
async fn the_public_registry_takes_what_aws_gives() {
    let registry = registry("of-the-public-api").await;
    let api = format!("http://{}", registry.address);
    let asked = format!("{PUBLIC}/team/app:1");
    let named = [("ASKED", asked.as_str()), ("AWS_ENDPOINT_URL_ECR_PUBLIC", &api)];
    let (good, said) = in_environment(&registry, &[&KEYS[..], &named].concat()).await;
    assert!(good, "{said}");
    // Nobody is logged in to AWS: it is asked as anybody may.
    let (good, said) = in_environment(&registry, &named).await;
    assert!(!good && said.contains("access denied; log in first"), "{said}");
}

#[tokio::test]
#[ignore = "run by the others, with AWS in its environment"]
async fn asks() {
    let reference: Reference = std::env::var("ASKED").unwrap().parse().unwrap();
    let plain_http = vec![PRIVATE.to_owned(), PUBLIC.to_owned()];
    let credentials = Credentials::from_environment().unwrap();
    let client = client(Options { plain_http, credentials, ..Options::default() });
    if let Err(error) = client.document(&reference, &()).await {
        panic!("{error}");
    }
}
