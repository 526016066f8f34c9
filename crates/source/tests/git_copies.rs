//! The copies of repositories: made once, fetched when needed, whole after a kill, and deaf to hostile ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use minato_source::Limits;
use minato_sync::{ApplicationSource, Source as _};
use support::{Repository, config_map, git_is_here};

fn copy_of(repository: &Repository) -> PathBuf {
    let mut entries = fs::read_dir(repository.copies()).unwrap().flatten().map(|entry| entry.path());
    entries.find(|path| path.extension().is_some_and(|ending| ending == "git")).unwrap()
}

#[tokio::test]
async fn a_commit_that_is_there_needs_no_repository_any_more() {
    if !git_is_here("a_commit_that_is_there_needs_no_repository_any_more") {
        return;
    }
    let repository = Repository::new();
    repository.write("k8s/a.yaml", &config_map("a"));
    let commit = repository.commit();
    let sources = repository.sources();
    sources.resolve(&repository.at("main")).await.unwrap();
    // Whoever asks the repository now gets no answer.
    fs::remove_file(repository.path().join(".git/HEAD")).unwrap();
    assert_eq!(sources.resolve(&repository.at(&commit)).await.unwrap(), commit);
    assert_eq!(sources.load(&repository.at(&commit), &commit).await.unwrap().objects.len(), 1);
    assert!(sources.resolve(&repository.at("main")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_make_one_copy() {
    if !git_is_here("many_at_once_make_one_copy") {
        return;
    }
    let repository = Repository::new();
    repository.write("k8s/a.yaml", &config_map("a"));
    repository.commit();
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (sources, source) = (repository.sources(), repository.at("main"));
            tokio::spawn(async move {
                let revision = sources.resolve(&source).await.unwrap();
                sources.load(&source, &revision).await.unwrap().objects.len()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    let left: Vec<_> =
        fs::read_dir(repository.copies()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "a copy and its lock: {left:?}");
}

#[tokio::test]
async fn what_a_killed_git_left_is_cleared() {
    if !git_is_here("what_a_killed_git_left_is_cleared") {
        return;
    }
    let repository = Repository::new();
    repository.commit();
    let sources = repository.sources();
    sources.resolve(&repository.at("main")).await.unwrap();
    let copy = copy_of(&repository);
    for left in
        ["packed-refs.lock", "config.lock", "refs/heads/main.lock", "objects/pack/tmp_pack_x", "shallow.lock"]
    {
        fs::write(copy.join(left), "half").unwrap();
    }
    fs::create_dir(copy.with_extension("").with_extension("new")).unwrap();
    repository.write("k8s/a.yaml", &config_map("a"));
    let commit = repository.commit();
    assert_eq!(sources.resolve(&repository.at("main")).await.unwrap(), commit);
    assert!(!copy.join("refs/heads/main.lock").exists() && !copy.join("objects/pack/tmp_pack_x").exists());
}

#[tokio::test]
async fn a_repository_cannot_make_git_run_a_program() {
    if !git_is_here("a_repository_cannot_make_git_run_a_program") {
        return;
    }
    let repository = Repository::new();
    repository.write("k8s/a.yaml", &config_map("a"));
    repository.commit();
    let witness = repository.path().join("ran");
    let program = repository.path().join(".git/program");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", witness.display())).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    for name in
        ["core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook", "core.pager", "core.askPass"]
    {
        repository.git(&["config", name, program]);
    }
    for hook in ["post-checkout", "reference-transaction", "post-merge", "pre-auto-gc", "post-upload-pack"] {
        fs::create_dir_all(repository.path().join(".git/hooks")).unwrap();
        fs::copy(program, repository.path().join(".git/hooks").join(hook)).unwrap();
    }
    fs::remove_file(&witness).ok();
    let sources = repository.sources();
    let revision = sources.resolve(&repository.at("main")).await.unwrap();
    sources.load(&repository.at("main"), &revision).await.unwrap();
    assert!(!witness.exists());
    let address = |text: &str| ApplicationSource { repository: text.to_owned(), ..repository.at("main") };
    for text in [&format!("ext::{program}"), "--upload-pack=x", "-x", "git://127.0.0.1/x", "fd::3"] {
        sources.resolve(&address(text)).await.unwrap_err();
    }
    assert!(!witness.exists());
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up_and_its_password_is_not_said() {
    if !git_is_here("a_host_that_never_answers_is_given_up_and_its_password_is_not_said") {
        return;
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let repository = Repository::new();
    let limits = Limits { ask: Duration::from_millis(700), ..Limits::default() };
    let source = ApplicationSource {
        repository: format!("http://me:hush1234@127.0.0.1:{port}/shop.git"),
        ..ApplicationSource::default()
    };
    let began = Instant::now();
    let error = repository.sources_within(limits).resolve(&source).await.unwrap_err().to_string();
    assert!(error.contains("did not end within") && error.contains("127.0.0.1"), "{error}");
    assert!(!error.contains("hush1234"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));

    drop(silent);
    let refused = repository.sources().resolve(&source).await.unwrap_err().to_string();
    assert!(refused.contains("127.0.0.1") && !refused.contains("hush1234"), "{refused}");
}

#[tokio::test]
async fn a_repository_that_is_too_large_is_refused() {
    if !git_is_here("a_repository_that_is_too_large_is_refused") {
        return;
    }
    let repository = Repository::new();
    // Random enough not to be compressed away: a linear congruential sequence.
    let mut state = 1u64;
    let noise: String = (0..400_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (state >> 33) as u8 % 90)
        })
        .collect();
    // Enough objects for a pack: fewer are unpacked one by one.
    for number in 0..120 {
        repository.write(&format!("k8s/{number}.txt"), &number.to_string());
    }
    repository.write("k8s/noise.txt", &noise);
    repository.commit();
    let small = Limits { pack: 50_000, ..Limits::default() };
    let error =
        repository.sources_within(small).resolve(&repository.at("main")).await.unwrap_err().to_string();
    assert!(error.contains("one fetch may write 50000 bytes at most"), "{error}");
    repository.sources().resolve(&repository.at("main")).await.unwrap();
}
