//! Killed at any step, the next sync carries on: one deploy of a revision, no lost history.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

mod stage;

use std::time::Duration;

use minato_resource::Object;
use minato_sync::{DeleteRequest, Outcome, Verdict, delete};
use proptest::prelude::*;
use stage::{Stage, config, object, secret, web};

/// More steps than any operation here has.
const ALL: u32 = 10_000;

fn first() -> Vec<Object> {
    vec![
        web("1", "slow"),
        config("a"),
        secret("x"),
        object("Service", "old", serde_json::json!({}), serde_json::json!({})),
    ]
}

fn second(health: &str) -> Vec<Object> {
    vec![
        web("2", health),
        config("b"),
        secret("x"),
        object("Service", "new", serde_json::json!({}), serde_json::json!({})),
    ]
}

/// Syncs again and again, killed after each of `kills` steps, until one run ends.
async fn sync_through(stage: &Stage, revision: &str, objects: &[Object], kills: &[u32]) -> Outcome {
    for steps in kills.iter().copied().chain([ALL]) {
        stage.fuse.light(steps);
        let run = stage.fuse.run(stage.sync(revision, objects)).await;
        stage.fuse.light(ALL);
        stage.store.kill_holders();
        if let Some(outcome) = run {
            return outcome.unwrap();
        }
    }
    unreachable!("the last run is not killed")
}

fn deploys(stage: &Stage, revision: &str) -> Vec<String> {
    let end = format!(" at {revision}");
    let mut deploys: Vec<String> =
        stage.target.log().into_iter().filter(|line| line.ends_with(&end)).collect();
    deploys.sort();
    deploys
}

fn assert_once(stage: &Stage, revision: &str) {
    let all = deploys(stage, revision);
    let mut once = all.clone();
    once.dedup();
    assert_eq!(all, once, "deployed more than once");
}

async fn good_after_good(kills: &[u32]) {
    let stage = Stage::default();
    stage.sync("r1", &first()).await.unwrap();
    let outcome = sync_through(&stage, "r2", &second("slow"), kills).await;
    assert!(outcome.is_healthy(), "{outcome:?}");
    assert_once(&stage, "r2");
    assert_eq!(deploys(&stage, "r2").len(), 3);
    assert_eq!(stage.live("Service old"), None);
    let history = stage.history().await;
    let numbers: Vec<(u64, bool)> = history
        .iter()
        .map(|revision| (revision.number, revision.content.verdict == Verdict::Healthy))
        .collect();
    assert_eq!(numbers, [(2, true), (1, true)]);
    assert_eq!(history[0].content.applied.len(), 4);
}

async fn bad_after_good(kills: &[u32]) {
    let stage = Stage::default();
    stage.sync("r1", &first()).await.unwrap();
    let outcome = sync_through(&stage, "r2", &second("fails"), kills).await;
    assert!(!outcome.is_healthy(), "{outcome:?}");
    assert_once(&stage, "r2");
    for object in first() {
        let live = stage.live(&object.key().to_string());
        assert_eq!(live, Some(stage.redactor.redact(&object)), "{}", object.key());
    }
    assert_eq!(stage.live("Service new"), None);
    let history = stage.history().await;
    assert_eq!(history.last().unwrap().number, 1);
    assert!(history.iter().skip(1).all(|revision| revision.number == 1) && history.len() == 2, "{history:?}");
}

#[tokio::test(start_paused = true)]
async fn killed_once_at_every_step() {
    for steps in 0..80 {
        good_after_good(&[steps]).await;
        bad_after_good_unless_done(&[steps]).await;
    }
}

/// A run that died after it had concluded was done: the next one is asked anew and may deploy anew.
async fn bad_after_good_unless_done(kills: &[u32]) {
    let stage = Stage::default();
    stage.sync("r1", &first()).await.unwrap();
    let mut used = Vec::new();
    for steps in kills {
        stage.fuse.light(*steps);
        let run = stage.fuse.run(stage.sync("r2", &second("fails"))).await;
        stage.fuse.light(ALL);
        stage.store.kill_holders();
        if run.is_some() || stage.history().await.len() > 1 {
            break;
        }
        used.push(*steps);
    }
    bad_after_good(&used).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_was_killed_is_asked_for_again() {
    for steps in 0..40 {
        let stage = Stage::default();
        stage.sync("r1", &first()).await.unwrap();
        let request = DeleteRequest {
            name: stage.application.name.clone(),
            retry: None,
            command: "minato delete".into(),
        };
        stage.fuse.light(steps);
        let seams = stage.seams();
        let killed = stage.fuse.run(delete(&seams, &request)).await.is_none();
        stage.fuse.light(ALL);
        stage.store.kill_holders();
        let again = delete(&seams, &request).await;
        assert!(again.is_ok() || !killed, "{steps}: {again:?}");
        assert!(first().iter().all(|object| stage.live(&object.key().to_string()).is_none()));
        assert!(stage.history().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn another_revision_may_follow_one_that_died() {
    for steps in 0..80 {
        let stage = Stage::default();
        stage.sync("r1", &first()).await.unwrap();
        stage.fuse.light(steps);
        let _ = tokio::time::timeout(
            Duration::from_secs(600),
            stage.fuse.run(stage.sync("r2", &second("fails"))),
        )
        .await;
        stage.fuse.light(ALL);
        stage.store.kill_holders();
        let third = [web("3", "healthy"), config("c"), secret("x")];
        let outcome = stage.sync("r3", &third).await.unwrap();
        assert!(outcome.is_healthy(), "{steps}: {outcome:?}");
        assert_eq!(stage.live("Service new"), None);
        assert_eq!(stage.history().await[0].content.revision, "r3");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn killed_at_any_steps_again_and_again(kills in prop::collection::vec(0u32..60, 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            good_after_good(&kills).await;
            bad_after_good_unless_done(&kills).await;
        });
    }
}
