//! `minato tags` in a repository, on a developer's machine and in CI.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::machine::Machine;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_COMMITTER_DATE", "2024-01-10T00:30:00Z")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Whatever CI runs this test, its environment is not what is tested.
const NO_CI: [(&str, &str); 4] =
    [("GITHUB_ACTIONS", ""), ("GITHUB_REF", ""), ("GITHUB_EVENT_PATH", ""), ("GITLAB_CI", "")];

#[test]
fn tags_follow_git_and_the_environment() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED tags_follow_git_and_the_environment: git is not installed");
        return;
    }
    let machine = Machine::new();
    let folder = machine.folder().join("work");
    fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "--quiet"]);
    let at = folder.to_str().unwrap().to_owned();
    let tags = |more: &[&str], environment: &[(&str, &str)]| {
        let arguments = [&["tags", at.as_str()], more].concat();
        let run = machine.start(&arguments, &[&NO_CI[..], environment].concat()).wait();
        run.expect(0);
        run.stdout
    };
    assert_eq!(tags(&[], &[]), "", "there is no commit yet");
    git(&folder, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
    git(&folder, &["remote", "add", "origin", "git@github.com:Owner/Name.git"]);
    let commit = git(&folder, &["rev-parse", "HEAD"]);
    let images = ["-i", "ghcr.io/Owner/Name", "-i", "redis"];
    assert_eq!(tags(&images, &[]), "ghcr.io/owner/name:main\nredis:main\n");
    let short = format!("sha-{}\n", &commit[..7]);
    assert_eq!(tags(&["-t", "type=sha"], &[]), short);
    assert_eq!(
        tags(&["--labels"], &[]),
        format!(
            "org.opencontainers.image.created=2024-01-10T00:30:00Z\norg.opencontainers.image.revision={commit}\n\
             org.opencontainers.image.source=https://github.com/Owner/Name\norg.opencontainers.image.title=Name\n\
             org.opencontainers.image.url=https://github.com/Owner/Name\norg.opencontainers.image.version=main\n"
        )
    );
    git(&folder, &["tag", "v1.2.3"]);
    git(&folder, &["checkout", "--quiet", "v1.2.3"]);
    let versions = ["-t", "type=semver,pattern={{version}}", "-t", "type=semver,pattern={{major}}"];
    assert_eq!(tags(&versions, &[]), "1.2.3\n1\nlatest\n");

    let github = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_REF", "refs/pull/5/merge"),
        ("GITHUB_SHA", commit.as_str()),
    ];
    assert_eq!(tags(&[], &github), "pr-5\n");
    let shown = tags(&["-o", "json", "-t", "type=ref,event=pr"], &github);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["version"], &shown["tags"][0]), (&"pr-5".into(), &"pr-5".into()));
    assert_eq!(shown["labels"]["org.opencontainers.image.revision"], commit.as_str());
}

#[test]
fn rules_that_can_not_be_read_end_with_code_2() {
    let machine = Machine::new();
    for (arguments, says) in [
        (&["tags", "-t", "type=semver"][..], "needs pattern="),
        (&["tags", "--flavor", "latest=maybe"], "expected latest=auto|true|false"),
        (&["tags", "-t", "type=raw,value=x", "-i", "A B"], "a b"),
    ] {
        let run = machine.minato(arguments);
        run.expect(2);
        assert!(run.stderr.contains(says), "{says}: {run}");
    }
}
