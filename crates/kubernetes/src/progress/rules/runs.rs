//! What runs to an end: Job, Pod.

use serde_json::Value;

use super::{Seen, Stand};

pub(super) fn job(seen: &Seen) -> Stand {
    let failed = seen.condition("Failed").or_else(|| seen.condition("FailureTarget"));
    if let Some(failed) = failed.filter(|condition| condition.holds) {
        return Stand::Failed(match failed.reason {
            "BackoffLimitExceeded" => "every attempt of the task failed".to_owned(),
            "DeadlineExceeded" => "the task ran longer than its activeDeadlineSeconds".to_owned(),
            _ => failed.said().to_owned(),
        });
    }
    if seen.condition("Complete").is_some_and(|condition| condition.holds) {
        return Stand::Healthy;
    }
    // It waits on purpose, and whoever wants it to run says so elsewhere.
    if seen.flag("/spec/suspend") {
        return Stand::Healthy;
    }
    let wanted = seen.number("/spec/completions").unwrap_or(1);
    Stand::Progressing(format!("{} of {wanted} completions", seen.count("/status/succeeded")))
}

pub(super) fn pod(seen: &Seen) -> Stand {
    match seen.text("/status/phase") {
        Some("Succeeded") => Stand::Healthy,
        Some("Failed") => {
            Stand::Failed(match seen.text("/status/message").or_else(|| seen.text("/status/reason")) {
                Some(said) => format!("the pod failed: {said}"),
                None => "the pod failed".to_owned(),
            })
        }
        Some("Running") if seen.text("/spec/restartPolicy").unwrap_or("Always") == "Always" => {
            if seen.condition("Ready").is_some_and(|condition| condition.holds) {
                return Stand::Healthy;
            }
            Stand::Progressing(format!("{} of {} containers ready", ready(seen), containers(seen)))
        }
        Some("Running") => Stand::Progressing("it runs and has not ended yet".to_owned()),
        _ => Stand::Progressing("it has not started yet".to_owned()),
    }
}

fn ready(seen: &Seen) -> usize {
    let statuses = seen.list("/status/containerStatuses").iter();
    statuses.filter(|status| status.get("ready").and_then(Value::as_bool) == Some(true)).count()
}

fn containers(seen: &Seen) -> usize {
    seen.list("/spec/containers").len()
}
