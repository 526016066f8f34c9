//! Pushes to Debian's docker-registry, directly and through a network that fails.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod debian;
mod fake;
mod faulty;

use std::process::Command;
use std::time::Duration;

use debian::{PLAIN, Registry, image};
use fake::{Told, client, noise};
use faulty::Proxy;
use minato_oci::layer::{Compression, Encoding};
use minato_oci::{Platform, Reference, Store};
use minato_registry::{Client, Credentials, Options, Timeouts};

fn store(folder: &std::path::Path, name: &str) -> Store {
    Store::open(&folder.join(name)).unwrap()
}

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").arg("--insecure-policy").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_pushed_image_comes_back_and_is_sent_once() {
    let place = tempfile::tempdir().unwrap();
    let test = "a_pushed_image_comes_back_and_is_sent_once";
    let Some(registry) = Registry::start(test, place.path(), PLAIN) else { return };
    let made = store(place.path(), "made");
    let text = b"text ".repeat(700_000);
    let image = image(&made, &[("noise", noise(3_000_000)), ("text", text.clone())]);
    for (compression, name) in
        [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd"), (Compression::None, "none")]
    {
        let encoding = Encoding::new(compression, None).unwrap();
        let reference = registry.reference(&format!("team/{name}:1"));
        let pushed = client(Options::default()).push(&image, &reference, encoding, &made, &()).await.unwrap();
        assert_eq!(made.resolve(&reference.with_digest(pushed.digest)).unwrap(), Some(image.id));
        let pulled = store(place.path(), name);
        let again =
            client(Options::default()).pull(&reference, &Platform::host(), &pulled, &()).await.unwrap();
        assert_eq!(again.id, image.id);
        let layers = pulled.image_layers(&again).unwrap();
        assert!(std::fs::read(layers[1].path.join("text")).unwrap() == text);

        let told = Told::default();
        let second =
            client(Options::default()).push(&image, &reference, encoding, &made, &told).await.unwrap();
        assert_eq!(second, pushed);
        assert_eq!((told.count("LayerPresent"), told.count("LayerStarted")), (2, 0), "{:?}", told.0);

        let seen = skopeo(&["inspect", "--tls-verify=false", &format!("docker://{reference}")]);
        assert!(seen.contains(&pushed.digest.to_string()), "{seen}");
        // What was pulled is pushed with the manifest that it came with, whatever the encoding.
        let other = registry.reference(&format!("other/{name}:1"));
        let kept = client(Options::default()).push(&again, &other, Encoding::default(), &pulled, &()).await;
        assert_eq!(kept.unwrap().digest, pushed.digest);
    }
    let copied = format!("oci:{}", place.path().join("copied").display());
    skopeo(&[
        "copy",
        "--src-tls-verify=false",
        &format!("docker://{}/team/zstd:1", registry.address),
        &copied,
    ]);
}

#[tokio::test]
async fn a_push_logs_in() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("htpasswd");
    // user:secret, as `htpasswd -bnBC 5 user secret` writes it.
    std::fs::write(&path, "user:$2y$05$IRBsf9p9F2Y3fFG9l3d9..lYaXBVcBOrb607qiLXptkPum3YlP2Nu\n").unwrap();
    let with_auth = format!("{PLAIN}\nauth: {{htpasswd: {{realm: here, path: {}}}}}", path.display());
    let test = "a_push_logs_in";
    let Some(registry) = Registry::start(test, place.path(), &with_auth) else { return };
    let made = store(place.path(), "made");
    let image = image(&made, &[("text", b"text".to_vec())]);
    let reference = registry.reference("app:1");
    let push = async |options: Options| {
        client(options).push(&image, &reference, Encoding::default(), &made, &()).await
    };
    let error = push(Options::default()).await.unwrap_err().to_string();
    assert!(error.contains("access denied; log in first"), "{error}");
    let with = |auth: &str| {
        let config = place.path().join("config.json");
        let auth = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address);
        std::fs::write(&config, auth).unwrap();
        Options { credentials: Credentials::load(&config).unwrap(), ..Options::default() }
    };
    push(with("dXNlcjpzZWNyZXQ=")).await.unwrap();
    let error = push(with("dXNlcjp3cm9uZw==")).await.unwrap_err().to_string();
    assert!(error.contains("access denied"), "{error}");
}

/// What a broken PUT brought is lost here: this registry lets nobody go on with an upload that did not end well.
#[tokio::test]
async fn a_network_that_fails_is_overcome() {
    let place = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start("a_network_that_fails_is_overcome", place.path(), PLAIN) else {
        return;
    };
    let made = store(place.path(), "made");
    let layers: Vec<(String, Vec<u8>)> =
        (0..8).map(|n| (format!("file-{n}"), noise(100_000 + n * 100_000))).collect();
    let layers: Vec<(&str, Vec<u8>)> =
        layers.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let image = image(&made, &layers);
    let mut all_faults = 0;
    for seed in 1..=4 {
        let proxy = Proxy::start(registry.address, seed).await;
        let timeouts = Timeouts { connect: Duration::from_secs(5), stall: Duration::from_secs(2) };
        let patient = Client::new(Options { retries: 30, timeouts, ..Options::default() }).unwrap();
        let name = format!("{}/seed{seed}:1", proxy.address);
        let reference: Reference = name.parse().unwrap();
        let pushed = patient.push(&image, &reference, Encoding::default(), &made, &()).await.unwrap();
        let direct = registry.reference(&format!("seed{seed}:1")).with_digest(pushed.digest);
        let pulled = store(place.path(), &format!("pulled{seed}"));
        let back = client(Options::default()).pull(&direct, &Platform::host(), &pulled, &()).await.unwrap();
        assert_eq!(back.id, image.id);
        let (sent, faults) = proxy.counts();
        eprintln!("seed {seed}: {faults} faults, {sent} bytes for 3600000");
        all_faults += faults;
    }
    // Who came through on a good connection keeps it.
    assert!(all_faults >= 3, "{all_faults} faults");
}
