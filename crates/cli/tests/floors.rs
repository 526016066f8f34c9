//! The workspace keeps to the floors of DESIGN.md: a crate uses crates of lower floors only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate of the workspace and its floor, as in the table of DESIGN.md. A crate that is not here fails.
const FLOORS: &[(&str, u8)] = &[
    ("minato", 6),
    ("minato-server", 5),
    ("minato-ecs-emulator", 4),
    ("minato-source", 3),
    ("minato-kubernetes", 3),
    ("minato-ecs", 3),
    ("minato-local", 3),
    ("minato-state", 3),
    ("minato-sync", 2),
    ("minato-rollout", 2),
    ("minato-workload", 2),
    ("minato-build", 2),
    ("minato-lint", 2),
    ("minato-registry", 1),
    ("minato-runtime", 1),
    ("minato-scan", 1),
    ("minato-kustomize", 1),
    ("minato-helm", 1),
    ("minato-task-definition", 1),
    ("minato-dockerfile", 1),
    ("minato-oci", 0),
    ("minato-resource", 0),
];

/// Crates that tests and benches use and that no product crate may depend on.
const TEST_SUPPORT: &[&str] = &["minato-loadgen"];

/// Third-party crates that belong to one place, and the workspace crates that may name them.
const RESERVED: &[(&str, &[&str])] = &[
    ("anyhow", &["minato"]),
    ("clap", &["minato", "minato-loadgen"]),
    ("libcontainer", &["minato-runtime"]),
];

#[test]
fn every_crate_is_on_a_floor() {
    let known: BTreeSet<&str> = floors().keys().copied().chain(TEST_SUPPORT.iter().copied()).collect();
    let unknown: Vec<_> = workspace().into_iter().map(|c| c.name).filter(|n| !known.contains(&**n)).collect();
    assert_eq!(unknown, Vec::<String>::new(), "add these to DESIGN.md's table and to this test");
}

#[test]
fn every_arrow_leads_to_a_lower_floor() {
    let floors = floors();
    let wrong: Vec<String> = workspace()
        .iter()
        .flat_map(|from| from.arrows.iter().map(move |arrow| (from, arrow)))
        .filter(|(from, arrow)| !is_allowed(&floors, &from.name, arrow))
        .map(|(from, arrow)| format!("{} -> {} ({})", from.name, arrow.name, arrow.kind))
        .collect();
    assert_eq!(wrong, Vec::<String>::new(), "these arrows do not lead to a lower floor");
}

#[test]
fn reserved_crates_are_named_by_their_owners_only() {
    for crate_ in workspace() {
        for (reserved, owners) in RESERVED {
            let names_it =
                crate_.arrows.iter().any(|arrow| arrow.name == *reserved && arrow.kind == "normal");
            assert!(
                !names_it || owners.contains(&&*crate_.name),
                "{} names {reserved}, which is for {owners:?} only",
                crate_.name
            );
        }
    }
}

/// `cargo run -- up …`, as the README says it, must not ask which program is meant.
#[test]
fn cargo_run_means_the_program() {
    let metadata = metadata();
    let default = metadata["workspace_default_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let programs: Vec<&str> = packages
        .filter(|package| default.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().unwrap())
        .filter(|target| target["kind"] == serde_json::json!(["bin"]))
        .map(|target| target["name"].as_str().unwrap())
        .collect();
    assert_eq!(programs, ["minato"]);
}

/// As `deny.toml` says; here too, because not every machine has cargo-deny.
#[test]
fn there_is_one_tls_and_one_asynchronous_stack() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
    let banned = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "async-std", "smol"];
    let locked: Vec<_> =
        banned.iter().filter(|name| lock.contains(&format!("name = \"{name}\"\n"))).collect();
    assert!(locked.is_empty(), "Cargo.lock has {locked:?}");
}

#[test]
fn unsafe_code_is_allowed_in_runtime_only() {
    for crate_ in workspace() {
        let manifest: String = std::fs::read_to_string(&crate_.manifest).expect("cargo has read it");
        let inherits = manifest.contains("[lints]\nworkspace = true");
        assert!(
            inherits || crate_.name == "minato-runtime",
            "{}: [lints] must be the workspace's, which forbid unsafe code",
            crate_.name
        );
    }
}

#[test]
fn an_arrow_up_or_sideways_or_to_an_unknown_crate_is_refused() {
    let floors = floors();
    let arrow = |name: &str, kind: &str| Arrow { name: name.into(), kind: kind.into() };
    for (from, to, kind, allowed) in [
        ("minato-build", "minato-oci", "normal", true),
        ("minato-build", "serde", "normal", true),
        ("minato-oci", "minato-resource", "normal", false),
        ("minato-sync", "minato-local", "normal", false),
        ("minato-build", "minato-workload", "normal", false),
        ("minato-build", "minato-nowhere", "normal", false),
        ("minato-oci", "minato-build", "dev", false),
        ("minato", "minato-loadgen", "dev", true),
        ("minato", "minato-loadgen", "normal", false),
    ] {
        assert_eq!(is_allowed(&floors, from, &arrow(to, kind)), allowed, "{from} -> {to} ({kind})");
    }
}

/// Whether a workspace crate may name the other end of the arrow; crates from elsewhere always pass.
fn is_allowed(floors: &BTreeMap<&str, u8>, from: &str, arrow: &Arrow) -> bool {
    if !arrow.name.starts_with("minato") {
        return true;
    }
    if TEST_SUPPORT.contains(&&*arrow.name) {
        return arrow.kind == "dev";
    }
    // A crate's own tests may ask for a feature of it: its fakes.
    if arrow.name == from {
        return arrow.kind == "dev";
    }
    match (floors.get(from), floors.get(&*arrow.name)) {
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

fn floors() -> BTreeMap<&'static str, u8> {
    FLOORS.iter().copied().collect()
}

/// One crate of the workspace and what its manifest names.
struct Crate {
    name: String,
    manifest: String,
    arrows: Vec<Arrow>,
}

/// A dependency as the manifest names it; `kind` is `normal`, `dev` or `build`.
struct Arrow {
    name: String,
    kind: String,
}

fn workspace() -> Vec<Crate> {
    metadata()["packages"].as_array().unwrap().iter().map(read_crate).collect()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read_crate(package: &Value) -> Crate {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let arrows = package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dependency| Arrow {
            name: text(&dependency["name"]),
            kind: dependency["kind"].as_str().unwrap_or("normal").to_owned(),
        })
        .collect();
    Crate { name: text(&package["name"]), manifest: text(&package["manifest_path"]), arrows }
}
