//! Loading Objects from a commit, straight from Git's objects.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use minato_sync::{ApplicationSource, Loaded, Source as _, SourceError};
use support::{Repository, config_map, git, git_is_here};

async fn load(repository: &Repository, source: &ApplicationSource) -> Result<Loaded, SourceError> {
    let sources = repository.sources();
    let revision = sources.resolve(source).await?;
    sources.load(source, &revision).await
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.objects.iter().map(|object| object.name()).collect()
}

#[tokio::test]
async fn what_is_committed_counts_and_nothing_is_checked_out() {
    if !git_is_here("what_is_committed_counts_and_nothing_is_checked_out") {
        return;
    }
    let repository = Repository::new();
    repository.write("k8s/a.yaml", &config_map("a"));
    repository.write("k8s/vendor/deep/b.yml", &config_map("b"));
    repository.write("k8s/notes.txt", "not a manifest");
    repository.write("other/c.yaml", &config_map("c"));
    let commit = repository.commit();
    repository.write("k8s/a.yaml", &config_map("uncommitted"));

    let loaded = load(&repository, &repository.at("main")).await.unwrap();
    assert_eq!(names(&loaded), ["a"]);
    let told: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("changes that are not committed") && told[0].contains(&commit[..12]),
        "{told:?}"
    );

    let deep = ApplicationSource { recurse: true, ..repository.at("main") };
    assert_eq!(names(&load(&repository, &deep).await.unwrap()), ["a", "b"]);
    let file = ApplicationSource { path: Some("other/c.yaml".into()), ..repository.at("main") };
    assert_eq!(names(&load(&repository, &file).await.unwrap()), ["c"]);
    let copies = fs::read_dir(repository.copies()).unwrap().flatten();
    let folders: Vec<_> = copies.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    assert_eq!(folders.len(), 1, "one copy: {folders:?}");
    assert!(!folders[0].join("k8s").exists() && folders[0].join("objects").exists());
}

#[tokio::test]
async fn a_mistake_is_told_at_its_line_of_the_commit() {
    if !git_is_here("a_mistake_is_told_at_its_line_of_the_commit") {
        return;
    }
    let repository = Repository::new();
    repository.write("k8s/a.yaml", "apiVersion: v1\nkind: ConfigMap\nkind: Secret\n");
    let commit = repository.commit();
    let loaded = load(&repository, &repository.at("main")).await.unwrap();
    let told = loaded.diagnostics[0].to_string();
    assert!(told.contains(&format!("shop@{}/k8s/a.yaml:3:1: error", &commit[..12])), "{told}");
}

#[tokio::test]
async fn what_is_not_there_or_not_rendered_is_refused() {
    if !git_is_here("what_is_not_there_or_not_rendered_is_refused") {
        return;
    }
    let repository = Repository::new();
    repository.write("chart/Chart.yaml", "name: x\n");
    repository.commit();
    for (path, expected) in [
        ("nowhere", "does not exist"),
        ("chart", "Helm charts are not rendered yet"),
        ("../x", "leads out of the repository"),
        ("/etc", "absolute path"),
    ] {
        let source = ApplicationSource { path: Some(path.to_owned()), ..repository.at("main") };
        let error = load(&repository, &source).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    let chart = ApplicationSource { chart: Some("redis".to_owned()), ..repository.at("") };
    assert!(load(&repository, &chart).await.unwrap_err().to_string().contains("Helm charts"));
}

#[tokio::test]
async fn a_kustomization_is_rendered_from_gits_objects() {
    if !git_is_here("a_kustomization_is_rendered_from_gits_objects") {
        return;
    }
    let repository = Repository::new();
    repository.write("base/kustomization.yaml", "resources: [a.yaml]\n");
    repository.write("base/a.yaml", &config_map("one"));
    repository.write("prod/kustomization.yaml", "nameSuffix: -prod\nresources: [../linked]\n");
    symlink("base", repository.path().join("linked")).unwrap();
    repository.commit();
    repository.write("base/a.yaml", "what is not committed does not count: [");
    let source = ApplicationSource { path: Some("prod".to_owned()), ..repository.at("main") };
    let loaded = load(&repository, &source).await.unwrap();
    let names: Vec<&str> = loaded.objects.iter().map(minato_resource::Object::name).collect();
    assert_eq!(names, ["one-prod"], "{:?}", loaded.diagnostics);
}

#[tokio::test]
async fn links_stay_inside_the_repository() {
    if !git_is_here("links_stay_inside_the_repository") {
        return;
    }
    let repository = Repository::new();
    repository.write("base/a.yaml", &config_map("linked"));
    fs::create_dir(repository.path().join("k8s")).unwrap();
    symlink("../base/a.yaml", repository.path().join("k8s/a.yaml")).unwrap();
    symlink("base", repository.path().join("also")).unwrap();
    repository.commit();
    assert_eq!(names(&load(&repository, &repository.at("main")).await.unwrap()), ["linked"]);
    let over_a_link = ApplicationSource { path: Some("also".to_owned()), ..repository.at("main") };
    assert_eq!(names(&load(&repository, &over_a_link).await.unwrap()), ["linked"]);

    for (target, expected) in [
        ("/etc/hostname", "leads out of the repository"),
        ("../../secret.yaml", "leads out of the repository"),
        ("b.yaml", "links lead to each other"),
        ("nothing.yaml", "not found"),
    ] {
        let link = repository.path().join("k8s/b.yaml");
        fs::remove_file(&link).ok();
        symlink(target, &link).unwrap();
        repository.commit();
        let error = load(&repository, &repository.at("main")).await.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("k8s/b.yaml"), "{target}: {error}");
    }
}

#[tokio::test]
async fn a_submodule_is_refused_where_its_files_would_count() {
    if !git_is_here("a_submodule_is_refused_where_its_files_would_count") {
        return;
    }
    let (repository, other) = (Repository::new(), Repository::new());
    other.write("x.yaml", &config_map("x"));
    other.commit();
    repository.write("k8s/a.yaml", &config_map("a"));
    git(&repository.path(), &["submodule", "--quiet", "add", other.path().to_str().unwrap(), "k8s/module"]);
    repository.commit();
    assert_eq!(names(&load(&repository, &repository.at("main")).await.unwrap()), ["a"]);
    let deep = ApplicationSource { recurse: true, ..repository.at("main") };
    let inside = ApplicationSource { path: Some("k8s/module".to_owned()), ..repository.at("main") };
    for source in [deep, inside] {
        let error = load(&repository, &source).await.unwrap_err().to_string();
        assert!(error.contains("k8s/module: this is a Git submodule"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_and_the_next_is_read() {
    if !git_is_here("a_file_that_is_too_large_is_refused_and_the_next_is_read") {
        return;
    }
    let repository = Repository::new();
    repository.write("k8s/a.yaml", &"#".repeat(33 << 20));
    repository.write("small/a.yaml", &config_map("small"));
    repository.commit();
    let error = load(&repository, &repository.at("main")).await.unwrap_err().to_string();
    assert!(error.contains("more than the limit"), "{error}");
    let small = ApplicationSource { path: Some("small".to_owned()), ..repository.at("main") };
    assert_eq!(names(&load(&repository, &small).await.unwrap()), ["small"]);
}

#[tokio::test]
async fn a_plain_folder_is_its_files_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: String| fs::write(folder.path().join("a.yaml"), text).unwrap();
    write(config_map("one"));
    let sources = minato_source::GitSources::new(&folder.path().join("sources"), folder.path());
    let source = ApplicationSource { repository: ".".to_owned(), ..ApplicationSource::default() };
    let first = sources.resolve(&source).await.unwrap();
    assert!(first.starts_with("files-"), "{first}");
    assert_eq!(names(&sources.load(&source, &first).await.unwrap()), ["one"]);
    write(config_map("two"));
    let changed = sources.load(&source, &first).await.unwrap_err().to_string();
    assert!(changed.contains("have changed since"), "{changed}");
    let second = sources.resolve(&source).await.unwrap();
    assert_ne!(first, second);
    write(config_map("one"));
    assert_eq!(sources.resolve(&source).await.unwrap(), first, "the same files are the same revision");
    let branch = ApplicationSource { target_revision: Some("main".to_owned()), ..source };
    let error = sources.resolve(&branch).await.unwrap_err().to_string();
    assert!(error.contains("is no Git repository and has no revision `main`"), "{error}");
}
