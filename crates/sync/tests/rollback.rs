//! Going back: by itself after a failure, and on request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

mod stage;

use minato_sync::fake::HEALTH_ANNOTATION;
use minato_sync::{Outcome, RollbackPolicy, SyncError, Verdict, status};
use serde_json::json;
use stage::{Stage, config, deployed, object, secret, web};

#[tokio::test(start_paused = true)]
async fn an_unhealthy_revision_is_followed_by_the_last_healthy_one() {
    let stage = Stage::default();
    let good = [web("1", "healthy"), config("a")];
    deployed(stage.sync("r1", &good).await);
    let bad = [web("2", "fails"), config("b"), object("Service", "new", json!({}), json!({}))];
    let outcome = stage.sync("r2", &bad).await.unwrap();
    let Outcome::RolledBack { cause, to } = outcome else { panic!("{outcome:?}") };
    assert_eq!((cause.summary.as_str(), to.number), ("exited with code 1", 1));
    assert_eq!(stage.live("Deployment web"), Some(good[0].value().clone()));
    assert_eq!(stage.live("ConfigMap config"), Some(good[1].value().clone()));
    assert_eq!(stage.live("Service new"), None);
    let newest = &stage.history().await[0];
    assert!(matches!(newest.content.verdict, Verdict::Failed { rolled_back_to: Some(1), .. }));

    // What stands is the old revision, synced and healthy, and asking for it again is a no-op for the target.
    let now = status(&stage.seams(), &stage.application).await.unwrap();
    assert_eq!((now.revision.map(|revision| revision.number), now.synced), (Some(1), true));
    assert_eq!(now.health.to_string(), "Healthy");
    let log = stage.target.log();
    assert_eq!(stage.sync("r1", &good).await.unwrap(), Outcome::Unchanged);
    assert_eq!(stage.target.log(), log);
}

#[tokio::test(start_paused = true)]
async fn objects_that_were_extra_before_survive_a_rollback() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy"), config("a")]).await);
    let mut request = stage.request("r2", &[web("2", "healthy")]);
    request.prune = false;
    deployed(minato_sync::sync(&stage.seams(), &request).await);
    stage.sync("r3", &[web("3", "fails")]).await.unwrap();
    assert!(stage.live("ConfigMap config").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_went_back_by_itself_is_a_failure() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy")]).await);
    let outcome = stage.sync("r2", &[web("2", "rolled-back")]).await.unwrap();
    assert_eq!(outcome.cause().unwrap().summary, "the target went back");
    assert!(matches!(outcome, Outcome::RolledBack { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_the_target_refuses_midway_is_rolled_back_too() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy"), config("a")]).await);
    let outcome = stage.sync("r2", &[web("2", "refused"), config("b")]).await.unwrap();
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(stage.live("ConfigMap config"), Some(config("a").value().clone()));
}

#[tokio::test(start_paused = true)]
async fn without_a_way_back_the_failure_is_left_and_said() {
    let mut stage = Stage::default();
    let outcome = stage.sync("r1", &[web("1", "fails")]).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    deployed(stage.sync("r2", &[web("2", "healthy")]).await);
    stage.application.rollback = RollbackPolicy::Off;
    let outcome = stage.sync("r3", &[web("3", "fails")]).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert_eq!(stage.live("Deployment web"), Some(web("3", "fails").value().clone()));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_says_both_causes() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy"), secret("one")]).await);
    // The new revision has no such secret any more, so the old value is nowhere.
    let outcome = stage.sync("r2", &[web("2", "fails")]).await.unwrap();
    let Outcome::RollbackFailed { cause, rollback_cause, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.summary, "exited with code 1");
    assert!(rollback_cause.summary.contains("secret db/password of the earlier revision is gone"));
    assert!(matches!(stage.history().await[0].content.verdict, Verdict::Failed { rolled_back_to: None, .. }));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_resolved_anew() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy"), secret("one")]).await);
    stage.secrets.0.lock().unwrap().insert("db/password".into(), "two".into());
    let outcome = stage.sync("r2", &[web("2", "fails")]).await.unwrap();
    assert!(matches!(outcome, Outcome::RolledBack { .. }), "{outcome:?}");
    assert_eq!(stage.told(), ["rolling back to 1", "secret changed db/password"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_revision_is_no_way_back() {
    let stage = Stage::default();
    let objects = [web("1", "healthy")];
    deployed(stage.sync("r1", &objects).await);
    let mut broken = objects[0].value().clone();
    broken["metadata"]["annotations"][HEALTH_ANNOTATION] = json!("fails");
    stage.target.meddle(&stage.owner(), objects[0].key(), Some(broken));
    deployed(stage.sync("r1", &objects).await);
    stage.target.becomes(&stage.owner(), objects[0].key(), "never");
    let outcome = stage.sync("r1", &objects).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revision_of_the_history_comes_back_on_request() {
    let stage = Stage::default();
    let (one, two) = ([web("1", "healthy"), secret("x")], [web("2", "healthy"), secret("x")]);
    deployed(stage.sync("r1", &one).await);
    deployed(stage.sync("r2", &two).await);
    assert_eq!(deployed(stage.rollback(None, &two).await), 3);
    assert_eq!(stage.live("Deployment web"), Some(one[0].value().clone()));
    assert_eq!(stage.history().await[0].content.repeats, Some(1));
    assert_eq!(deployed(stage.rollback(Some(2), &two).await), 4);
    assert_eq!(stage.live("Deployment web"), Some(two[0].value().clone()));

    let error = stage.rollback(Some(9), &two).await.unwrap_err();
    assert_eq!(error.to_string(), "application shop has no revision 9 to go back to; it has 4, 3, 2, 1");
    let error = stage.rollback(Some(1), &[]).await.unwrap_err();
    assert!(matches!(error, SyncError::Secret(_)), "{error:?}");
}
