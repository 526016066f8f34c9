//! What keeps pods running: Deployment, StatefulSet, DaemonSet, ReplicaSet.

use super::{Seen, Stand, unobserved};

pub(super) fn deployment(seen: &Seen) -> Stand {
    if seen.is_unobserved() {
        return unobserved();
    }
    let wanted = seen.number("/spec/replicas").unwrap_or(1);
    let (all, updated) = (seen.count("/status/replicas"), seen.count("/status/updatedReplicas"));
    let available = seen.count("/status/availableReplicas");
    if updated >= wanted && all <= updated && available >= updated {
        return Stand::Healthy;
    }
    if seen.condition("Progressing").is_some_and(|progress| progress.reason == "ProgressDeadlineExceeded") {
        let seconds = seen.number("/spec/progressDeadlineSeconds").unwrap_or(600);
        return Stand::Failed(format!("no progress for {seconds} s"));
    }
    if seen.flag("/spec/paused") {
        return Stand::Progressing(format!(
            "it is paused with {updated} of {wanted} replicas updated; resume it"
        ));
    }
    let refused = seen.condition("ReplicaFailure").filter(|condition| condition.holds);
    let why = refused.map(|condition| format!("; {}", condition.said())).unwrap_or_default();
    Stand::Progressing(if updated < wanted || available < updated {
        format!("{} of {wanted} replicas ready{why}", available.min(updated))
    } else {
        format!("{updated} of {wanted} new replicas ready, {} old to replace{why}", all - updated)
    })
}

pub(super) fn stateful_set(seen: &Seen) -> Stand {
    let wanted = seen.number("/spec/replicas").unwrap_or(1);
    if seen.count("/status/observedGeneration") == 0 || seen.is_unobserved() {
        return unobserved();
    }
    let ready = seen.count("/status/readyReplicas");
    let updated = seen.count("/status/updatedReplicas");
    let strategy = seen.text("/spec/updateStrategy/type").unwrap_or("RollingUpdate");
    if ready < wanted {
        return Stand::Progressing(format!("{ready} of {wanted} replicas ready"));
    }
    if strategy == "OnDelete" {
        return Stand::Healthy;
    }
    if let Some(partition) =
        seen.number("/spec/updateStrategy/rollingUpdate/partition").filter(|number| *number > 0)
    {
        let share = (wanted - partition).max(0);
        return if updated < share {
            Stand::Progressing(format!("{updated} of {share} replicas updated"))
        } else {
            Stand::Healthy
        };
    }
    if seen.text("/status/updateRevision") != seen.text("/status/currentRevision") {
        return Stand::Progressing(format!("{updated} of {wanted} replicas updated"));
    }
    Stand::Healthy
}

pub(super) fn daemon_set(seen: &Seen) -> Stand {
    if seen.is_unobserved() {
        return unobserved();
    }
    let wanted = seen.count("/status/desiredNumberScheduled");
    let (updated, available) =
        (seen.count("/status/updatedNumberScheduled"), seen.count("/status/numberAvailable"));
    if seen.text("/spec/updateStrategy/type") != Some("OnDelete") && updated < wanted {
        return Stand::Progressing(format!("{updated} of {wanted} replicas updated"));
    }
    if available < wanted {
        return Stand::Progressing(format!("{available} of {wanted} replicas ready"));
    }
    Stand::Healthy
}

pub(super) fn replica_set(seen: &Seen) -> Stand {
    if seen.is_unobserved() {
        return unobserved();
    }
    let wanted = seen.number("/spec/replicas").unwrap_or(1);
    let available = seen.count("/status/availableReplicas");
    match seen.condition("ReplicaFailure").filter(|condition| condition.holds) {
        Some(failure) => Stand::Failed(failure.said().to_owned()),
        None if available < wanted => Stand::Progressing(format!("{available} of {wanted} replicas ready")),
        None => Stand::Healthy,
    }
}
