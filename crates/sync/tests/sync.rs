//! Bringing a revision out, and doing nothing when nothing is to be done.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

mod stage;

use std::time::Duration;

use minato_resource::Object;
use minato_sync::{
    DeleteRequest, Health, NoPins, ObjectState, Outcome, Retry, Seams, SyncError, Verdict, delete, status,
    sync,
};
use serde_json::json;
use stage::{Stage, config, deployed, object, secret, web};

#[tokio::test(start_paused = true)]
async fn a_revision_is_applied_in_order_and_remembered() {
    let stage = Stage::default();
    let objects = [web("1", "slow"), config("a"), object("Service", "web", json!({}), json!({}))];
    assert_eq!(deployed(stage.sync("r1", &objects).await), 1);
    assert_eq!(
        stage.target.log(),
        ["deploy ConfigMap config at r1", "deploy Service web at r1", "deploy Deployment web at r1"]
    );
    let history = stage.history().await;
    assert_eq!(history[0].content.verdict, Verdict::Healthy);
    assert_eq!(history[0].content.applied.len(), 3);
    let pinned = stage.pins.0.lock().unwrap()["application/shop"].clone();
    assert_eq!(pinned, [minato_oci::Digest::sha256("r1")]);
}

#[tokio::test(start_paused = true)]
async fn a_sync_without_change_writes_nothing_anywhere() {
    let stage = Stage::default();
    let objects = [web("1", "slow"), config("a"), secret("hush")];
    deployed(stage.sync("r1", &objects).await);
    let (log, writes) = (stage.target.log(), stage.store.writes());
    assert_eq!(stage.sync("r1", &objects).await.unwrap(), Outcome::Unchanged);
    assert_eq!((stage.target.log(), stage.store.writes()), (log, writes));
}

#[tokio::test(start_paused = true)]
async fn only_what_differs_is_applied_and_what_is_gone_is_removed_last() {
    let stage = Stage::default();
    deployed(
        stage
            .sync("r1", &[web("1", "healthy"), config("a"), object("Service", "old", json!({}), json!({}))])
            .await,
    );
    let before = stage.target.log().len();
    deployed(stage.sync("r2", &[web("2", "slow"), config("a")]).await);
    assert_eq!(stage.target.log()[before..], ["deploy Deployment web at r2", "delete Service old"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_wave_waits_for_the_one_before() {
    let stage = Stage::default();
    let late = object("Deployment", "late", json!({"argocd.argoproj.io/sync-wave": "1"}), json!({}));
    let outcome = stage.sync("r1", &[late, web("1", "fails")]).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert_eq!(stage.target.log(), ["deploy Deployment web at r1"]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_or_removed_is_put_right() {
    let stage = Stage::default();
    let objects = [web("1", "healthy"), config("a")];
    deployed(stage.sync("r1", &objects).await);
    stage.target.meddle(&stage.owner(), objects[0].key(), None);
    stage.target.meddle(&stage.owner(), objects[1].key(), Some(config("b").into_value()));
    stage.sync("r1", &objects).await.unwrap();
    assert_eq!(stage.live("Deployment web"), Some(objects[0].value().clone()));
    assert_eq!(stage.live("ConfigMap config"), Some(objects[1].value().clone()));
}

#[tokio::test(start_paused = true)]
async fn what_failed_since_is_tried_again_when_asked() {
    let stage = Stage::default();
    let objects = [web("1", "healthy")];
    deployed(stage.sync("r1", &objects).await);
    stage.target.becomes(&stage.owner(), objects[0].key(), "rolled-back");
    deployed(stage.sync("r1", &objects).await);
    assert_eq!(stage.target.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn pruning_can_be_off() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy"), config("a")]).await);
    let mut request = stage.request("r2", &[web("2", "healthy")]);
    request.prune = false;
    deployed(sync(&stage.seams(), &request).await);
    assert!(stage.live("ConfigMap config").is_some());
    assert_eq!(stage.told(), ["kept ConfigMap config"]);
}

#[tokio::test]
async fn mistakes_are_refused_before_any_write() {
    let stage = Stage::default();
    let check = async |objects: &[Object], message: &str| {
        let error = stage.sync("r1", objects).await.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(stage.target.log().is_empty());
        assert_eq!(stage.store.writes(), 0);
    };
    check(&[config("a"), config("b")], "ConfigMap config is desired twice").await;
    check(&[], "would remove everything that runs").await;
    check(&[config("a"), web("1", "broken-prediction")], "refers to something that is not there").await;
}

#[tokio::test(start_paused = true)]
async fn a_hiccup_is_bridged_and_an_outage_said_and_carried_on_from() {
    let stage = Stage::default();
    stage.target.fail_next(2);
    deployed(stage.sync("r1", &[web("1", "healthy")]).await);
    assert_eq!(stage.told(), ["retrying", "retrying"]);

    stage.target.fail_next(1000);
    let error = stage.sync("r2", &[web("2", "healthy")]).await.unwrap_err();
    assert!(matches!(error, SyncError::Target(_)), "{error:?}");
    stage.target.fail_next(0);
    deployed(stage.sync("r2", &[web("2", "healthy")]).await);
}

#[tokio::test(start_paused = true)]
async fn a_wave_that_never_gets_healthy_ends_at_its_deadline() {
    let stage = Stage::default();
    let outcome = stage.sync("r1", &[web("1", "never")]).await.unwrap();
    let cause = outcome.cause().unwrap().to_string();
    assert_eq!(cause, "Deployment web is not healthy after 60 s: 0 of 1 replicas ready");
}

#[tokio::test(start_paused = true)]
async fn no_secret_value_is_kept_or_compared() {
    let stage = Stage::default();
    deployed(stage.sync("r1", &[secret("tops3cret")]).await);
    deployed(stage.sync("r2", &[secret("other5ecret")]).await);
    let kept = format!("{} {:?}", stage.store.dump(), stage.live("Secret db"));
    assert!(!kept.contains("tops3cret") && !kept.contains("other5ecret"), "{kept}");
    assert_eq!(stage.target.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_works_and_the_other_waits_or_is_told() {
    let mut stage = Stage::default();
    let slow = [web("1", "slow")];
    let (first, second) = tokio::join!(stage.sync("r1", &slow), stage.sync("r2", &slow));
    deployed(first);
    let error = second.unwrap_err().to_string();
    assert!(
        error.starts_with("application shop is being worked on by `minato up (r1)` (pid 1) since"),
        "{error}"
    );

    stage.tempo.lock = std::time::Duration::from_secs(60);
    let other = [web("2", "slow")];
    let (first, second) = tokio::join!(stage.sync("r3", &other), stage.sync("r4", &slow));
    assert_eq!((deployed(first), deployed(second)), (2, 3));
    assert_eq!(stage.told(), ["waiting for minato up (r3)"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_history_is_made_anew_from_what_is_live() {
    let stage = Stage::default();
    let objects = [web("1", "healthy"), config("a")];
    deployed(stage.sync("r1", &objects).await);
    let log = stage.target.log();
    let empty = minato_sync::fake::FakeStore::new(Default::default());
    let seams = Seams { store: &empty, pins: &NoPins, ..stage.seams() };
    deployed(sync(&seams, &stage.request("r1", &objects)).await);
    assert_eq!(stage.target.log(), log);
}

#[test]
fn an_operation_can_move_between_threads() {
    fn is_send(_: impl Send) {}
    let stage = Stage::default();
    let (seams, request) = (stage.seams(), stage.request("r1", &[]));
    is_send(sync(&seams, &request));
}

#[tokio::test(start_paused = true)]
async fn every_verb_asks_again_as_the_policy_says() {
    let mut stage = Stage::default();
    deployed(stage.sync("r1", &[web("1", "healthy")]).await);
    let retry = Retry { limit: Some(6), pause: Duration::from_secs(60), ..Retry::default() };
    stage.application.sync_policy.retry = Some(retry.clone());
    let began = tokio::time::Instant::now();
    stage.target.fail_next(6);
    assert!(status(&stage.seams(), &stage.application).await.unwrap().synced);
    assert!(began.elapsed() > Duration::from_secs(600), "{:?}", began.elapsed());

    let request =
        |retry| DeleteRequest { name: stage.application.name.clone(), retry, command: String::new() };
    stage.target.fail_next(6);
    let never = Retry { limit: Some(0), ..retry.clone() };
    delete(&stage.seams(), &request(Some(never))).await.unwrap_err();
    stage.target.fail_next(6);
    delete(&stage.seams(), &request(Some(retry))).await.unwrap();
    assert_eq!(stage.target.log().last().unwrap(), "delete Deployment web");
}

#[tokio::test(start_paused = true)]
async fn what_an_unfinished_operation_has_made_is_neither_extra_nor_healthy() {
    let stage = Stage::default();
    let objects = [web("1", "never"), config("a")];
    let unfinished = tokio::time::timeout(Duration::from_secs(5), stage.sync("r1", &objects)).await;
    assert!(unfinished.is_err(), "it waits for the Deployment");
    let status = status(&stage.seams(), &stage.application).await.unwrap();
    assert_eq!(status.health, Health::Progressing);
    assert!(status.objects.iter().all(|object| object.state == ObjectState::Synced), "{status:?}");
}
