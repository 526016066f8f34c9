//! The examples that users start from have no findings.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_lint::{Build, Input, check};
use minato_resource::{Object, SourceFile};

fn read(path: &Path) -> Arc<SourceFile> {
    Arc::new(SourceFile::new(path, std::fs::read_to_string(path).unwrap()))
}

fn objects_of(folder: &Path) -> Vec<Object> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|path| minato_resource::parse_yaml(&read(path)).0).collect()
}

#[test]
fn examples_node_has_no_findings() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/node");
    let file = read(&example.join("Dockerfile"));
    let (dockerfile, diagnostics) = minato_dockerfile::parse(&file);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let images = vec!["ghcr.io/example/myapp".parse().unwrap()];
    let builds = [Build { images, ..Build::new(&file, &dockerfile) }];
    let mut objects = objects_of(&example.join("k8s/base"));
    objects.extend(minato_task_definition::parse(&read(&example.join("ecs-task-definition.json"))).0);
    assert!(objects.len() > 3, "the example's files are missing");
    let findings = check(&Input { builds: &builds, objects: &objects, allowed: &[] });
    assert!(findings.is_empty(), "{findings:#?}");
}
