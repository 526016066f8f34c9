//! The work tree on disk: what is listed, and that nothing outside it is read.

#![allow(clippy::unwrap_used, reason = "a file that cannot be made fails the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use minato_source::{Configuration, Deployment, RelativePath, Tree, WorkTree, discover, load};

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text).unwrap()
}

/// Keys of the objects, then diagnostics, or the error.
fn loaded(root: &Path, fallback: Option<&Path>) -> Vec<String> {
    let tree = WorkTree::open(root).unwrap();
    let fallback = fallback.map(|root| WorkTree::open(root).unwrap());
    let fallback = fallback.as_ref().map(|tree| tree as &dyn Tree);
    let result = discover(&tree, &Configuration::default(), None)
        .and_then(|deployment| load(&tree, fallback, &deployment));
    // The folder's name is another in every run.
    let shown = |text: String| text.replace(&root.display().to_string(), "ROOT");
    match result {
        Ok(loaded) => {
            let keys = loaded.objects.iter().map(|object| object.key().to_string());
            keys.chain(loaded.diagnostics.iter().map(|told| shown(told.to_string()))).collect()
        }
        Err(error) => vec![shown(error.to_string())],
    }
}

#[test]
fn hidden_and_vendored_folders_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["a.yaml", "k/b.yaml", ".git/c.yaml", "node_modules/d/e.yaml", "k/target/f.yaml", ".g.yaml"] {
        write(folder.path(), file, "");
    }
    let listing = WorkTree::open(folder.path()).unwrap().list(&RelativePath::root()).unwrap();
    let files: Vec<&str> = listing.files.iter().map(RelativePath::as_str).collect();
    assert_eq!(files, [".g.yaml", "a.yaml", "k/b.yaml"]);
}

#[test]
fn a_folder_of_manifests_is_loaded_with_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "k8s/a.yaml", POD);
    write(
        folder.path(),
        "k8s/more/b.json",
        r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}}"#,
    );
    write(folder.path(), "k8s/README.md", "no manifest");
    assert_eq!(loaded(folder.path(), None), ["Pod a", "Pod b"]);
}

#[test]
fn an_object_that_is_there_twice_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "k8s/a.yaml", POD);
    write(folder.path(), "k8s/b.yaml", POD);
    assert_eq!(
        loaded(folder.path(), None)[2],
        "ROOT/k8s/b.yaml:3:18: error[duplicate-object]: `Pod a` is there twice, also at ROOT/k8s/a.yaml:3:18"
    );
}

fn application(path: &str, recurse: bool) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web}}\nspec:\n  source:\n    repoURL: https://example.com/x.git\n    \
         path: {path}\n    directory: {{recurse: {recurse}}}\n  destination: {{server: 'local://'}}\n"
    )
}

#[test]
fn an_applications_path_is_taken_from_the_folder_else_from_its_repository() {
    let repository = tempfile::tempdir().unwrap();
    let folder = repository.path().join("apps/web");
    write(&folder, "app.yaml", &application("manifests", false));
    write(repository.path(), "manifests/a.yaml", POD);
    write(repository.path(), "manifests/deep/b.yaml", "not read: [");
    assert_eq!(loaded(&folder, Some(repository.path())), ["Pod a"]);
    write(&folder, "manifests/c.yaml", &POD.replace("name: a", "name: c"));
    assert_eq!(loaded(&folder, Some(repository.path())), ["Pod c"]);
    fs::remove_dir_all(folder.join("manifests")).unwrap();
    assert_eq!(
        loaded(&folder, None),
        ["`spec.source.path` of the Application names `manifests`, which does not exist in ROOT"]
    );
}

#[test]
fn an_application_may_recurse_and_may_not_leave() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "manifests/deep/a.yaml", POD);
    write(folder.path(), "app.yaml", &application("manifests", true));
    assert_eq!(loaded(folder.path(), None), ["Pod a"]);
    write(folder.path(), "app.yaml", &application("../../etc", true));
    assert_eq!(
        loaded(folder.path(), None),
        ["`spec.source.path` of the Application: `../../etc` leads out of the repository"]
    );
}

#[test]
fn an_applications_kustomization_is_rendered() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "base/kustomization.yaml", "namePrefix: my-\nresources: [a.yaml]\n");
    write(folder.path(), "base/a.yaml", POD);
    write(folder.path(), "base/not-named.yaml", POD);
    write(folder.path(), "app.yaml", &application("base", false));
    assert_eq!(loaded(folder.path(), None), ["Pod my-a"]);
}

#[test]
fn a_kustomization_among_plain_manifests_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "base/prod/kustomization.yaml", "");
    write(folder.path(), "app.yaml", &application("base", true));
    let told = &loaded(folder.path(), None)[0];
    assert!(
        told.starts_with("base/prod/kustomization.yaml: this is a kustomization among plain manifests"),
        "{told}"
    );
}

#[test]
fn minato_yaml_is_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "minato.yaml", "version: 1\n");
    write(folder.path(), "pod.yaml", POD);
    write(folder.path(), "app.yaml", &application(".", false));
    assert_eq!(loaded(folder.path(), None), ["Pod a"]);
}

#[test]
fn links_out_of_the_tree_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret.yaml", POD);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "k8s/a.yaml", POD);
    symlink(outside.path().join("secret.yaml"), folder.path().join("k8s/b.yaml")).unwrap();
    assert_eq!(
        loaded(folder.path(), None),
        ["ROOT/k8s/b.yaml: this leads out of the repository and is not followed"]
    );
    let tree = WorkTree::open(folder.path()).unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    assert!(tree.kind(&path("out")).is_err() && tree.read(&path("out/secret.yaml")).is_err());
    assert!(tree.list(&path("out")).is_err());
    assert!(tree.relative(&outside.path().join("secret.yaml")).is_err());
    assert_eq!(tree.relative(&folder.path().join("k8s/a.yaml")).unwrap(), path("k8s/a.yaml"));
}

#[test]
fn links_inside_the_tree_work_for_files_and_are_told_for_folders() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "shared/a.yaml", POD);
    fs::create_dir(folder.path().join("k8s")).unwrap();
    symlink("../shared/a.yaml", folder.path().join("k8s/a.yaml")).unwrap();
    symlink("../shared", folder.path().join("k8s/more")).unwrap();
    assert_eq!(
        loaded(folder.path(), None),
        [
            "Pod a",
            "warning[linked-folder]: ROOT/k8s/more: this link to a folder is not followed; its files are not deployed"
        ]
    );
}

#[test]
fn a_pipe_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("k8s")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED a_pipe_is_not_read: mkfifo");
        return;
    }
    symlink("../pipe", folder.path().join("k8s/a.yaml")).unwrap();
    assert_eq!(loaded(folder.path(), None), ["ROOT/k8s/a.yaml: this is not a file"]);
}

#[test]
fn the_node_example_is_its_application() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/node");
    let tree = WorkTree::open(&root).unwrap();
    let deployment = discover(&tree, &Configuration::default(), None).unwrap();
    assert_eq!(deployment, Deployment::Application(path("argocd/application.yaml")));
    let loaded = load(&tree, None, &deployment).unwrap();
    let kinds: Vec<&str> = loaded.objects.iter().map(|object| object.kind()).collect();
    assert_eq!(kinds, ["Deployment", "HorizontalPodAutoscaler", "Service"]);
    assert!(loaded.application.is_some());
}
