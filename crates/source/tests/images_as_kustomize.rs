//! Images are replaced where `kubectl kustomize` would replace them, and nowhere else.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a file that cannot be made fails the test; a skip is told"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use minato_resource::{Object, SourceFile, parse_yaml};
use minato_source::{Replacement, substitute};
use serde_json::Value;

const MANIFESTS: &str = include_str!("../testdata/images/manifests.yaml");
const REPOSITORIES: [&str; 3] = ["redis", "ghcr.io/x/web", "localhost:5000/web"];

#[test]
fn the_same_images_are_replaced() {
    let Some(expected) = kustomized("the_same_images_are_replaced") else { return };
    let replacements = REPOSITORIES
        .map(|name| Replacement { repository: name.parse().unwrap(), image: format!("{name}:new") });
    let ours = objects(MANIFESTS).iter().map(|object| substitute(object, &replacements).unwrap()).collect();
    assert_eq!(by_key(ours), by_key(expected));
}

fn kustomized(test: &str) -> Option<Vec<Object>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("manifests.yaml"), MANIFESTS).unwrap();
    let images: String =
        REPOSITORIES.iter().map(|name| format!("- {{name: '{name}', newTag: new}}\n")).collect();
    let kustomization = format!("resources: [manifests.yaml]\nimages:\n{images}");
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
    let Ok(output) = Command::new("kubectl").arg("kustomize").arg(folder.path()).output() else {
        eprintln!("SKIPPED {test}: kubectl");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(objects(&String::from_utf8(output.stdout).unwrap()))
}

fn objects(text: &str) -> Vec<Object> {
    let (objects, diagnostics) = parse_yaml(&Arc::new(SourceFile::new("a.yaml", text)));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    objects
}

fn by_key(objects: Vec<Object>) -> BTreeMap<String, Value> {
    objects.into_iter().map(|object| (object.key().to_string(), object.into_value())).collect()
}
