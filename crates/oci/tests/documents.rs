//! Configs and manifests are read as Docker and OCI write them, and nothing in them is lost.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use minato_oci::{ImageConfig, Index, ManifestDocument, Platform};
use proptest::prelude::*;

const CONFIG: &str = r#"{
  "created": "2024-05-01T00:00:00.123Z", "architecture": "arm64", "variant": "v8", "os": "linux",
  "config": {
    "User": "app:app", "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Env": ["PATH=/bin", "A=b=c"],
    "Entrypoint": ["/entry"], "Cmd": null, "Volumes": {"/data": {}}, "WorkingDir": "/srv",
    "Labels": {"b": "2", "a": "1"}, "StopSignal": "SIGQUIT", "ArgsEscaped": true, "OnBuild": null,
    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "Retries": 3, "Future": 1},
    "Shell": ["/bin/bash", "-c"]
  },
  "rootfs": {"type": "layers", "diff_ids": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
  "history": [{"created_by": "COPY . .", "comment": "buildkit"}, {"empty_layer": true, "future": {"x": [1]}}],
  "moby.buildkit.cache.v0": {"kept": true}
}"#;

#[test]
fn a_config_is_read_with_dockers_names_and_keeps_what_is_unknown() {
    let config: ImageConfig = serde_json::from_str(CONFIG).unwrap();
    let container = &config.config;
    assert_eq!(config.platform().to_string(), "linux/arm64/v8");
    assert_eq!(container.exposed_ports.iter().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!((container.user.as_str(), container.cmd.as_ref()), ("app:app", None));
    let healthcheck = container.healthcheck.as_ref().unwrap();
    assert_eq!((healthcheck.interval, healthcheck.retries), (Some(Duration::from_secs(5)), Some(3)));
    assert!(config.history[1].empty_layer);

    let again: serde_json::Value = serde_json::from_slice(&config.to_json()).unwrap();
    for pointer in [
        "/moby.buildkit.cache.v0/kept",
        "/config/ArgsEscaped",
        "/config/Healthcheck/Future",
        "/history/1/future/x/0",
    ] {
        assert!(again.pointer(pointer).is_some(), "{pointer} is lost");
    }
    assert_eq!(again.pointer("/config/ExposedPorts/80~1tcp"), Some(&serde_json::json!({})));
    assert_eq!(serde_json::from_slice::<ImageConfig>(&config.to_json()).unwrap(), config);
}

#[test]
fn malformed_configs_are_refused_with_the_field() {
    for (json, expected) in [
        ("{}", "missing field `rootfs`"),
        (r#"{"rootfs":{"type":"zip"}}"#, "rootfs type"),
        (r#"{"rootfs":{},"config":{"Env":"A=b"}}"#, "field Env"),
        (r#"{"rootfs":{"diff_ids":["sha256:x"]}}"#, "field diff_ids"),
        (r#"{"rootfs":{},"config":{"Healthcheck":{"Interval":-5}}}"#, "field Interval"),
        ("[]", "invalid type"),
    ] {
        let error = serde_json::from_str::<ImageConfig>(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn descriptor(platform: &str) -> String {
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{DIGEST}","size":7{platform}}}"#
    )
}

fn entry(os: &str, architecture: &str, variant: &str) -> String {
    let variant = if variant.is_empty() { String::new() } else { format!(r#","variant":"{variant}""#) };
    descriptor(&format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"{variant}}}"#))
}

fn parse(json: &str, declared: Option<&str>) -> Result<ManifestDocument, String> {
    ManifestDocument::parse(json.as_bytes(), declared).map_err(|error| error.to_string())
}

#[test]
fn manifests_and_indexes_of_both_kinds_are_read() {
    let manifest =
        |kind: &str| format!(r#"{{"schemaVersion":2{kind},"config":{0},"layers":[{0}]}}"#, descriptor(""));
    let index = |kind: &str| format!(r#"{{"schemaVersion":2{kind},"manifests":[{}]}}"#, descriptor(""));
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let with = |kind: &str| format!(r#","mediaType":"{kind}""#);
    assert_eq!(parse(&manifest(""), None).unwrap().media_type(), oci);
    assert_eq!(parse(&manifest(&with(docker)), Some(docker)).unwrap().media_type(), docker);
    assert!(matches!(parse(&index(&with(list)), Some(list)).unwrap(), ManifestDocument::Index(_)));
    assert!(parse(&manifest(""), Some("text/plain")).is_ok());
    for (json, declared, expected) in [
        (manifest(""), Some(list), "arrived as"),
        (index(""), Some(oci), "arrived as"),
        (manifest(&with(list)), None, "says it is"),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), None, "schema 1"),
        (r#"{"schemaVersion":3}"#.to_owned(), None, "schemaVersion 3"),
        ("{}".to_owned(), None, "schemaVersion 0"),
        (r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#.to_owned(), None, "disagree"),
        (r#"{"schemaVersion":2}"#.to_owned(), None, "missing field"),
        (manifest("").replace("\"size\":7", "\"size\":-7"), None, "field size"),
        ("<html>".to_owned(), None, "not valid"),
    ] {
        let error = parse(&json, declared).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn the_best_platform_is_chosen_and_never_an_attestation() {
    let index = |entries: &[String]| -> Index {
        serde_json::from_str(&format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")))
            .unwrap()
    };
    let all = index(&[
        entry("unknown", "unknown", ""),
        entry("windows", "amd64", ""),
        entry("linux", "arm", "v6"),
        entry("linux", "arm", "v7"),
        entry("linux", "amd64", ""),
        entry("linux", "arm64", "v8"),
    ]);
    let chosen = |index: &Index, platform: &str| {
        let chosen = index.select(&platform.parse::<Platform>().unwrap())?;
        Some(chosen.platform.as_ref()?.to_string())
    };
    for (wanted, expected) in [
        ("linux/amd64", Some("linux/amd64")),
        ("linux/arm64", Some("linux/arm64/v8")),
        ("linux/arm/v7", Some("linux/arm/v7")),
        ("linux/arm/v6", Some("linux/arm/v6")),
        ("linux/s390x", None),
    ] {
        assert_eq!(chosen(&all, wanted).as_deref(), expected, "{wanted}");
    }
    assert!(!all.platforms().iter().any(|platform| platform.contains("unknown")));
    let only = index(&[descriptor("")]);
    assert!(only.select(&Platform::host()).is_some());
    let two = index(&[descriptor(""), descriptor("")]);
    assert!(two.select(&Platform::host()).is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), place in 0usize..700, byte: u8) {
        let _ = ManifestDocument::parse(&bytes, None);
        let mut config = CONFIG.as_bytes().to_vec();
        config[place] = byte;
        if let Ok(config) = serde_json::from_slice::<ImageConfig>(&config) {
            prop_assert_eq!(&serde_json::from_slice::<ImageConfig>(&config.to_json()).unwrap(), &config);
        }
    }
}
