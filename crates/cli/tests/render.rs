//! `minato render`: kustomizations, plain folders, single files, images set on the command line, and what is refused.

#![allow(clippy::unwrap_used, reason = "a program that does not start fails the test")]

use std::path::Path;
use std::process::{Command, Output};

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n      - image: example.com/web:1\n        name: web\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn render(path: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_minato")).arg("render").arg(path).args(arguments).output().unwrap()
}

fn printed(path: &Path, arguments: &[&str]) -> String {
    let output = render(path, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(path: &Path, arguments: &[&str]) -> String {
    let output = render(path, arguments);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_kustomization_is_rendered_with_bases_above_it() {
    let files = [
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", DEPLOYMENT),
        ("overlay/kustomization.yaml", "resources: [../base]\nnamePrefix: a-\n"),
    ];
    let folder = folder(&files);
    let expected = DEPLOYMENT.replace("  name: web\nspec", "  name: a-web\nspec");
    assert_eq!(printed(&folder.path().join("overlay"), &[]), expected);
}

#[test]
fn a_plain_folder_and_a_file_are_rendered() {
    let folder = folder(&[("k8s/web.yaml", DEPLOYMENT)]);
    assert_eq!(printed(folder.path(), &[]), DEPLOYMENT);
    assert_eq!(printed(&folder.path().join("k8s/web.yaml"), &[]), DEPLOYMENT);
}

#[test]
fn json_is_a_list() {
    let folder = folder(&[("web.yaml", DEPLOYMENT)]);
    let json: serde_json::Value = serde_json::from_str(&printed(folder.path(), &["-o", "json"])).unwrap();
    assert_eq!(json[0]["metadata"]["name"], "web");
}

#[test]
fn an_image_is_set_whatever_its_tag_was() {
    let folder = folder(&[("web.yaml", DEPLOYMENT)]);
    let new = DEPLOYMENT.replace("example.com/web:1", "example.com/web:2");
    assert_eq!(printed(folder.path(), &["--set-image", "example.com/web:2"]), new);
    let other = DEPLOYMENT.replace("example.com/web:1", "mirror.example.com/w:3");
    assert_eq!(printed(folder.path(), &["--set-image", "example.com/web=mirror.example.com/w:3"]), other);
    assert!(
        refused(folder.path(), &["--set-image", "example.com/wob:2"])
            .contains("no container uses this image")
    );
    assert!(refused(folder.path(), &["--set-image", "No Image"]).contains("no image reference"));
}

#[test]
fn mistakes_are_shown_with_their_place_and_nothing_is_printed() {
    let folder = folder(&[("kustomization.yaml", "resources:\n- wbe.yaml\n"), ("web.yaml", DEPLOYMENT)]);
    let message = refused(folder.path(), &[]);
    assert!(
        message.contains("kustomization.yaml:2:3") && message.contains("did you mean `web.yaml`?"),
        "{message}"
    );
    assert!(refused(&folder.path().join("nothing"), &[]).contains("nothing"));
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let folder = folder(&[("secret.yaml", DEPLOYMENT), ("a/kustomization.yaml", "resources: [x.yaml]\n")]);
    std::os::unix::fs::symlink(folder.path().join("secret.yaml"), folder.path().join("a/x.yaml")).unwrap();
    assert!(refused(&folder.path().join("a"), &[]).contains("outside-root"));
}
