//! The seams and operations know no engine. Exempt: `application` (whose destination names one), `secrets` (which
//! knows the shape of a Secret object), the fakes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::fs;
use std::path::Path;

const ENGINES: &[&str] =
    &["kubernetes", "kubectl", "kubeconfig", "k8s", "aws", "ecs", "amazon", "docker", "local"];

#[test]
fn no_engine_is_named() {
    let mut seen = 0;
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut seen);
    assert!(seen >= 20, "only {seen} files were looked at");
}

fn visit(folder: &Path, seen: &mut usize) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["application", "secrets", "fake"].contains(&stem.as_str()) {
            continue;
        }
        if path.is_dir() {
            visit(&path, seen);
            continue;
        }
        *seen += 1;
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        // Tests' own examples don't count.
        let text = text.split("#[cfg(test)]").next().unwrap();
        let words = text.split(|character: char| !character.is_alphanumeric());
        let named: Vec<&str> = words.filter(|word| ENGINES.contains(word)).collect();
        assert!(named.is_empty(), "{} names {named:?}", path.display());
    }
}
