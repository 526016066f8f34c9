//! What `sync` cannot be asked ends with exit code 2, says what to do next, and changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::Path;

use support::machine::Machine;
use support::parts::{Part, present};

const APPLICATION: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop}
spec:
  source: SOURCE
  destination: {server: 'local://'}
";

fn file(folder: &Path, text: &str) -> std::path::PathBuf {
    let file = folder.join("application.yaml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn an_application_that_cannot_be_read_is_said_with_its_place() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    let good = APPLICATION.replace("SOURCE", "{repoURL: .}");
    for (text, says) in [
        ("kind: [", "application.yaml:1"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "holds no Argo CD Application"),
        (&format!("{good}---\n{good}"), "several Applications"),
        (&good.replace("local://", "locl://"), "write https://HOST"),
        (&good.replace("name: shop", "name: ../shop"), "can't name an application"),
        (&good.replace("{repoURL: .}", "{path: k8s}"), "`spec.source.repoURL` is missing"),
        (&good.replace("  source: {repoURL: .}\n", ""), "it has no `spec.source`"),
    ] {
        let file = file(folder.path(), text);
        let run = machine.minato(&[Path::new("sync"), Path::new("-f"), &file]);
        run.expect(2).says(says);
        assert_eq!(run.stdout, "", "{run}");
    }
    machine.minato(&["sync", "-f", "/no/such/file.yaml"]).expect(2).says("/no/such/file.yaml");
    machine.minato(&["sync", "nobody"]).expect(2).says("minato sync -f FILE");
    machine.minato(&["sync"]).expect(2).says("minato sync -f FILE");
    machine.minato(&["sync", "shop", "-f", "x"]).expect(2).says("cannot be used with");
    machine.minato(&["status", "-o", "json"]).expect(0).says("[]");
}

#[test]
fn a_source_that_cannot_be_read_is_said() {
    if !present("a_source_that_cannot_be_read_is_said", &[Part::Command("git")]) {
        return;
    }
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    // A port on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (source, says) in [
        ("{repoURL: nowhere}".to_owned(), "nowhere"),
        ("{repoURL: ., path: nowhere}".to_owned(), "does not exist"),
        ("{repoURL: ., path: ../..}".to_owned(), "leads out of the repository"),
        ("{repoURL: ., targetRevision: main}".to_owned(), "is no Git repository"),
        ("{repoURL: '--upload-pack=touch /tmp/x'}".to_owned(), "must not begin with `-`"),
        ("{repoURL: 'ext::sh -c x'}".to_owned(), "names a helper program"),
        (format!("{{repoURL: 'http://me:hush@127.0.0.1:{port}/x.git'}}"), "127.0.0.1"),
        (
            "{repoURL: https://charts.example.com, chart: redis}".to_owned(),
            "Helm charts are not rendered yet",
        ),
    ] {
        let file = file(folder.path(), &APPLICATION.replace("SOURCE", &source));
        let run = machine.minato(&[Path::new("sync"), Path::new("-f"), &file]);
        run.expect(2).says(says);
        assert!(!run.stderr.contains("hush"), "a password is said: {run}");
    }
}

#[test]
fn mistakes_in_manifests_are_shown_at_their_lines() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    let file = file(folder.path(), &APPLICATION.replace("SOURCE", "{repoURL: ., path: k8s}"));
    fs::create_dir(folder.path().join("k8s")).unwrap();
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: many}\n";
    fs::write(folder.path().join("k8s/a.yaml"), text).unwrap();
    machine.minato(&[Path::new("sync"), Path::new("-f"), &file]).expect(2).says("k8s/a.yaml:4");
    let twins = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    fs::write(folder.path().join("k8s/a.yaml"), format!("{twins}---\n{twins}")).unwrap();
    machine.minato(&[Path::new("sync"), Path::new("-f"), &file]).expect(2).says("is there twice");
}

#[test]
fn a_name_stays_where_it_is_until_it_is_deleted() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("k8s")).unwrap();
    fs::write(folder.path().join("k8s/a.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
        .unwrap();
    let here = APPLICATION.replace("SOURCE", "{repoURL: ., path: k8s}");
    let application = file(folder.path(), &here);
    let sync = || machine.minato(&[Path::new("sync"), Path::new("-f"), &application]);
    sync().expect(0);
    file(folder.path(), &here.replace("local://", "ecs://eu-central-1/shop"));
    sync().expect(2).says("was deployed to local://").says("`minato delete shop`");
    machine.minato(&["delete", "shop"]).expect(0);
}

#[test]
fn an_engine_that_cannot_be_reached_is_said() {
    let (machine, folder) = (Machine::new(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("k8s")).unwrap();
    fs::write(folder.path().join("k8s/a.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
        .unwrap();
    let task = r#"{"family": "shop", "containerDefinitions": [{"name": "a", "image": "x", "memory": 64}]}"#;
    fs::write(folder.path().join("k8s/task.json"), task).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let environment = [
        ("KUBECONFIG", "/no/such/kubeconfig"),
        ("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    for (server, says, left_out) in [
        ("https://127.0.0.1:1", "kubeconfig", "TaskDefinition shop is left out"),
        ("ecs://eu-central-1/shop", "127.0.0.1", "ConfigMap a is left out"),
    ] {
        let application =
            APPLICATION.replace("SOURCE", "{repoURL: ., path: k8s}").replace("local://", server);
        let application = file(folder.path(), &application);
        let run = machine.start(&[Path::new("sync"), Path::new("-f"), &application], &environment).wait();
        run.expect(2).says(says).says(left_out);
        assert!(!run.stderr.contains("hush"), "a secret is said: {run}");
    }
}
