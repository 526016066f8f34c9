//! Which commit a `targetRevision` means, asked of real repositories.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use minato_sync::Source as _;
use support::{Repository, config_map, git_is_here};

async fn resolved(repository: &Repository, revision: &str) -> String {
    match repository.sources().resolve(&repository.at(revision)).await {
        Ok(commit) => commit,
        Err(error) => format!("error: {error}"),
    }
}

#[tokio::test]
async fn branches_tags_commits_and_their_first_digits_name_a_commit() {
    if !git_is_here("branches_tags_commits_and_their_first_digits_name_a_commit") {
        return;
    }
    let repository = Repository::new();
    let first = repository.commit();
    repository.git(&["tag", "light"]);
    repository.git(&["tag", "--annotate", "--message", "x", "v1.0"]);
    repository.git(&["branch", "release/1.0"]);
    let second = repository.commit();
    for name in
        ["light", "v1.0", "release/1.0", "refs/tags/v1.0", &first, &first[..10], &first.to_uppercase()]
    {
        assert_eq!(resolved(&repository, name).await, first, "{name}");
    }
    for name in ["", "HEAD", "main", "refs/heads/main", &second] {
        assert_eq!(resolved(&repository, name).await, second, "{name}");
    }
}

#[tokio::test]
async fn what_is_missing_or_ambiguous_is_said_with_what_is_near() {
    if !git_is_here("what_is_missing_or_ambiguous_is_said_with_what_is_near") {
        return;
    }
    let repository = Repository::new();
    let empty = resolved(&repository, "").await;
    assert!(empty.contains("has no commit yet"), "{empty}");
    repository.commit();
    repository.git(&["branch", "both"]);
    repository.commit();
    repository.git(&["tag", "both"]);
    let check = async |name: &str, expected: &str| {
        let told = resolved(&repository, name).await;
        assert!(told.starts_with("error: ") && told.contains(expected), "{name}: {told}");
    };
    check("mian", "no revision `mian`; is `main` meant?").await;
    check("both", "refs/tags/both and refs/heads/both; write the one that is meant in full").await;
    check("nothing-like-it", "write a branch, a tag, a commit, or HEAD").await;
    check(&"0".repeat(40), "no revision").await;
    check("abcdef0", "no revision `abcdef0`").await;
    check("--upload-pack=x", "is not a revision").await;
    check("main~1", "is not a revision").await;
}

#[tokio::test]
async fn a_branch_that_was_moved_or_replaced_is_followed() {
    if !git_is_here("a_branch_that_was_moved_or_replaced_is_followed") {
        return;
    }
    let repository = Repository::new();
    let first = repository.commit();
    repository.git(&["branch", "deploy"]);
    assert_eq!(resolved(&repository, "deploy").await, first);
    repository.git(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "another"]);
    let amended = repository.git(&["rev-parse", "HEAD"]);
    assert_ne!(amended, first);
    // A branch `deploy/test` cannot stand beside one that is called `deploy`.
    repository.git(&["branch", "--delete", "--force", "deploy"]);
    repository.git(&["branch", "deploy/test"]);
    assert_eq!(resolved(&repository, "deploy/test").await, amended);
    assert_eq!(resolved(&repository, &first).await, first, "the copy keeps what it has");
}

#[tokio::test]
async fn a_commit_that_no_branch_leads_to_is_fetched_by_its_reference() {
    if !git_is_here("a_commit_that_no_branch_leads_to_is_fetched_by_its_reference") {
        return;
    }
    let repository = Repository::new();
    repository.commit();
    repository.git(&["checkout", "--quiet", "--detach"]);
    repository.write("k8s/a.yaml", &config_map("proposed"));
    let proposed = repository.commit();
    repository.git(&["update-ref", "refs/pull/7/head", &proposed]);
    repository.git(&["checkout", "--quiet", "main"]);
    assert_eq!(resolved(&repository, "refs/pull/7/head").await, proposed);
    let loaded = repository.sources().load(&repository.at(""), &proposed).await.unwrap();
    assert_eq!(loaded.objects.len(), 1);
}
