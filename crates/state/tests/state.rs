//! The state file: kept, bounded, shared by processes, refused when damaged or newer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use minato_state::State;
use minato_sync::{
    ApplicationName, ApplicationRecord, Cause, Fingerprint, LockAnswer, NewRevision, OperationKind,
    RECORD_VERSION, StateStore, StoreError, Verdict,
};
use serde_json::json;

fn name() -> ApplicationName {
    "shop".parse().unwrap()
}

fn record() -> ApplicationRecord {
    ApplicationRecord { version: RECORD_VERSION, name: name(), document: json!({"a": 1}), operation: None }
}

fn revision(text: &str, healthy: bool) -> NewRevision {
    let cause = Cause::new("bad");
    NewRevision {
        revision: text.into(),
        fingerprint: Fingerprint::of(&[json!(text)], &BTreeMap::new()),
        objects: vec![json!({"kind": "Pod"})],
        images: BTreeMap::from([("web".into(), minato_oci::Digest::sha256(text))]),
        applied: vec![],
        kind: OperationKind::Sync,
        repeats: None,
        started: "2026-01-01T00:00:00Z".parse().unwrap(),
        finished: "2026-01-01T00:00:01Z".parse().unwrap(),
        verdict: if healthy { Verdict::Healthy } else { Verdict::Failed { cause, rolled_back_to: Some(1) } },
    }
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/state.db");
    let state = State::open(&path).unwrap();
    assert_eq!(state.application(&name()).await.unwrap(), None);
    state.save(&record()).await.unwrap();
    let one = state.conclude(&record(), revision("r1", true), 10).await.unwrap();
    let mark = state.redactor().unwrap().mark(b"secret");
    drop(state);

    let state = State::open(&path).unwrap();
    assert_eq!(state.application(&name()).await.unwrap(), Some(record()));
    assert_eq!(state.applications().await.unwrap(), [record()]);
    assert_eq!(state.history(&name()).await.unwrap(), [one]);
    assert_eq!(state.redactor().unwrap().mark(b"secret"), mark);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    state.remove(&name()).await.unwrap();
    assert!(state.history(&name()).await.unwrap().is_empty());
    assert!(state.applications().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_history_is_bounded_and_numbers_are_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("state.db")).unwrap();
    for number in 1..=4 {
        state.conclude(&record(), revision(&format!("good {number}"), true), 2).await.unwrap();
    }
    for number in 5..=9 {
        let kept = state.conclude(&record(), revision(&format!("bad {number}"), false), 2).await.unwrap();
        assert_eq!(kept.number, number);
    }
    let numbers: Vec<u64> = state.history(&name()).await.unwrap().iter().map(|kept| kept.number).collect();
    assert_eq!(numbers, [9, 8, 4, 3]);
}

#[tokio::test]
async fn a_damaged_a_foreign_and_a_newer_file_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, expected: fn(&StoreError) -> bool| {
        let before = std::fs::read(path).unwrap();
        let error = State::open(path).unwrap_err();
        assert!(expected(&error), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), before);
    };
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, vec![7; 9000]).unwrap();
    check(&garbage, |error| matches!(error, StoreError::Damaged { .. }));

    let newer = folder.path().join("newer.db");
    drop(State::open(&newer).unwrap());
    set(&newer, "PRAGMA user_version = 99");
    check(&newer, |error| matches!(error, StoreError::Newer { found: 99, known: 1, .. }));

    let foreign = folder.path().join("foreign.db");
    set(&foreign, "CREATE TABLE mine (x); PRAGMA user_version = 3");
    check(&foreign, |error| matches!(error, StoreError::Damaged { .. }));
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).unwrap();
    state.save(&record()).await.unwrap();
    set(&path, r#"UPDATE applications SET record = '{"version": 2, "new": true}'"#);
    let error = state.application(&name()).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, .. }), "{error}");
    set(&path, "UPDATE applications SET record = '{'");
    let error = state.application(&name()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_lock_is_its_holders_until_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("state.db")).unwrap();
    let LockAnswer::Acquired(first) = state.lock(&name(), "minato up").await.unwrap() else { panic!("held") };
    assert_eq!(state.lock(&name(), "minato delete").await.unwrap(), LockAnswer::Held(first.clone()));
    assert!(matches!(state.lock(&"other".parse().unwrap(), "x").await.unwrap(), LockAnswer::Acquired(_)));
    state.unlock(&name(), &first).await.unwrap();
    let LockAnswer::Acquired(second) = state.lock(&name(), "minato up").await.unwrap() else {
        panic!("held")
    };
    state.unlock(&name(), &first).await.unwrap();
    assert_eq!(state.lock(&name(), "x").await.unwrap(), LockAnswer::Held(second));
}

/// Not a test of its own: run as a child process, it takes the lock or adds to the history.
#[test]
fn child() {
    let Ok(path) = std::env::var("MINATO_TEST_STATE") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let state = State::open(Path::new(&path)).unwrap();
    if std::env::var("MINATO_TEST_ADD").is_ok() {
        for number in 0..20 {
            runtime.block_on(state.conclude(&record(), revision(&format!("r{number}"), true), 1000)).unwrap();
        }
        return;
    }
    let answer = runtime.block_on(state.lock(&name(), "child")).unwrap();
    assert!(matches!(answer, LockAnswer::Acquired(_)));
    println!("\nlocked");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn start_child(path: &Path, variable: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("MINATO_TEST_STATE", path)
        .env(variable, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn the_lock_of_a_killed_process_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).unwrap();
    let mut child = start_child(&path, "MINATO_TEST_LOCK");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));
    let LockAnswer::Held(holder) = state.lock(&name(), "x").await.unwrap() else { panic!("not held") };
    assert_eq!((holder.pid, holder.command.as_str()), (child.id(), "child"));
    child.kill().unwrap();
    // Free even before the dead process is collected.
    let deadline = Instant::now() + Duration::from_secs(10);
    while matches!(state.lock(&name(), "x").await.unwrap(), LockAnswer::Held(holder) if holder.pid == child.id())
    {
        assert!(Instant::now() < deadline, "the lock of a killed process is still held");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.wait().unwrap();
}

#[tokio::test]
async fn several_processes_write_at_once_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut children: Vec<Child> = (0..3).map(|_| start_child(&path, "MINATO_TEST_ADD")).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let state = State::open(&path).unwrap();
    let numbers: Vec<u64> = state.history(&name()).await.unwrap().iter().map(|kept| kept.number).collect();
    assert_eq!(numbers, (1..=60).rev().collect::<Vec<u64>>());
}

#[test]
fn opening_is_fast() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(State::open(&path).unwrap());
    let time = |_| {
        let start = Instant::now();
        drop(State::open(&path).unwrap());
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..21).map(time).collect();
    times.sort();
    // 5 ms are the aim; a loaded machine gets four times that before the test calls it slow.
    assert!(times[10] < Duration::from_millis(20), "{:?}", times[10]);
    println!("median of opening: {:?}", times[10]);
}

fn set(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// The locks of this process on a file, as the kernel lists them.
fn locks_on(path: &Path) -> Vec<String> {
    let inode = format!(":{}", std::fs::metadata(path).unwrap().ino());
    let (pid, table) = (std::process::id().to_string(), std::fs::read_to_string("/proc/locks").unwrap());
    let ours = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&pid.as_str()) && words.iter().any(|word| word.ends_with(&inode))
    };
    table.lines().filter(ours).map(|line| line.split_once(':').unwrap().1.to_owned()).collect()
}

#[tokio::test]
async fn opening_the_file_once_more_takes_no_lock_from_who_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).unwrap();
    state.save(&record()).await.unwrap();
    let before = locks_on(&path);
    assert!(!before.is_empty(), "an open state holds a lock");
    drop(State::open(&path).unwrap());
    assert_eq!(locks_on(&path), before);
    state.save(&record()).await.unwrap();
}

#[test]
fn many_may_be_the_first_to_open_the_file() {
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let all = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    all.wait();
                    State::open(&path).unwrap();
                });
            }
        });
    }
}
