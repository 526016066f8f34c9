//! What others need: claims, Services, Ingresses, autoscalers, definitions, namespaces.

use super::{Seen, Stand, unobserved};

pub(super) fn claim(seen: &Seen) -> Stand {
    match seen.text("/status/phase") {
        Some("Bound") => Stand::Healthy,
        Some("Lost") => Stand::Failed("the volume that it was bound to is gone".to_owned()),
        _ => Stand::Progressing("no volume is bound to it yet".to_owned()),
    }
}

pub(super) fn service(seen: &Seen) -> Stand {
    let waits = seen.text("/spec/type") == Some("LoadBalancer")
        && seen.list("/status/loadBalancer/ingress").is_empty();
    if waits { Stand::Progressing("its load balancer has no address yet".to_owned()) } else { Stand::Healthy }
}

pub(super) fn ingress(seen: &Seen) -> Stand {
    if seen.list("/status/loadBalancer/ingress").is_empty() {
        return Stand::Progressing("no ingress controller has given it an address yet".to_owned());
    }
    Stand::Healthy
}

/// Argo CD fails a new autoscaler at once, when its pods have no metrics yet; here that has to last.
pub(super) fn autoscaler(seen: &Seen) -> Stand {
    const SCALE_SECONDS: i64 = 60;
    const METRICS_SECONDS: i64 = 300;
    const METRICS: &[&str] = &["FailedGetResourceMetric", "InvalidSelector"];
    const SCALE: &[&str] = &["FailedGetScale", "FailedUpdateScale"];
    let able = seen.condition("AbleToScale");
    if let Some(able) = able.filter(|condition| condition.denied) {
        let failed = SCALE.contains(&able.reason) && able.seconds >= SCALE_SECONDS;
        let said = able.said().to_owned();
        return if failed { Stand::Failed(said) } else { Stand::Progressing(said) };
    }
    match seen.condition("ScalingActive") {
        // Scaled to nothing on purpose.
        Some(active) if active.holds || active.reason == "ScalingDisabled" => Stand::Healthy,
        Some(active) => {
            let failed = METRICS.contains(&active.reason) && active.seconds >= METRICS_SECONDS;
            let said = active.said().to_owned();
            if failed { Stand::Failed(said) } else { Stand::Progressing(said) }
        }
        // autoscaling/v1 tells its conditions in an annotation only.
        None if seen.number("/status/currentReplicas").is_some_and(|replicas| replicas > 0) => Stand::Healthy,
        None => unobserved(),
    }
}

pub(super) fn definition(seen: &Seen) -> Stand {
    if let Some(names) = seen.condition("NamesAccepted").filter(|condition| condition.denied) {
        return Stand::Failed(names.said().to_owned());
    }
    if seen.condition("Established").is_some_and(|condition| condition.holds) {
        return Stand::Healthy;
    }
    Stand::Progressing("the cluster does not serve the kind yet".to_owned())
}

pub(super) fn api_service(seen: &Seen) -> Stand {
    match seen.condition("Available") {
        Some(available) if available.holds => Stand::Healthy,
        Some(available) => Stand::Progressing(available.said().to_owned()),
        None => unobserved(),
    }
}

pub(super) fn namespace(seen: &Seen) -> Stand {
    match seen.text("/status/phase") {
        Some("Active") => Stand::Healthy,
        Some("Terminating") => Stand::Progressing("it is being deleted".to_owned()),
        _ => unobserved(),
    }
}
