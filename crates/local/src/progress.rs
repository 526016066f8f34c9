//! How far a change has come, in the words of `sync`.

use minato_sync::{Cause, Progress, Token};
use minato_workload::{
    Filter, RolloutId, RolloutStatus, ServiceKey, Status, Supervisor, SupervisorError, WorkloadKey,
    WorkloadStatus,
};
use serde::{Deserialize, Serialize};

use crate::record::{Entry, Rollout};

/// What a token of this target holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handle {
    workload: Option<WorkloadKey>,
    rollout: Option<RolloutId>,
    service: Option<ServiceKey>,
}

impl Handle {
    pub(crate) fn of(entry: &Entry) -> Self {
        let rollout = match &entry.rollout {
            Rollout::Known(id) => Some(id.clone()),
            Rollout::None | Rollout::Asked { .. } => None,
        };
        Self { workload: entry.workload.clone(), rollout, service: entry.service.clone() }
    }

    pub(crate) fn parse(token: &Token) -> Option<Self> {
        serde_json::from_str(token.as_str()).ok()
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(serde_json::to_string(self).expect("keys and texts can always be written as JSON"))
    }

    /// Nothing runs for the Object.
    pub(crate) fn is_nothing(&self) -> bool {
        self.workload.is_none() && self.service.is_none()
    }

    /// What later Objects and people may call it.
    pub(crate) fn identity(&self) -> String {
        let workload = self.workload.as_ref().map(|key| format!("{}/{}", key.namespace, key.name));
        let service = self.service.as_ref().map(|key| format!("{}/{}", key.namespace, key.name));
        workload.or(service).unwrap_or_default()
    }
}

/// Asks the supervisor.
pub(crate) async fn progress_of(
    handle: &Handle,
    supervisor: &Supervisor,
) -> Result<Progress, SupervisorError> {
    if let Some(key) = &handle.service {
        let filter = Filter {
            application: Some(key.application.clone()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
        };
        if let Some(progress) = service_progress(key, &supervisor.status(&filter).await?) {
            return Ok(progress);
        }
    }
    let Some(key) = &handle.workload else { return Ok(Progress::Healthy) };
    let status = supervisor.status(&Filter::workload(key)).await?;
    let Some(workload) = status.workloads.into_iter().find(|workload| workload.key == *key) else {
        return Ok(failed(format!("{key}: nothing of it runs")));
    };
    if workload.stopped_by_reboot {
        return Ok(failed(format!("{key}: stopped by a reboot of the machine")));
    }
    let asked = handle.rollout.as_ref().filter(|rollout| **rollout != workload.rollout);
    let rollout = match asked {
        // Another rollout came later: this one's own end counts, unless it never had one (a restart, a scaling).
        Some(id) => match supervisor.rollout(id).await {
            Ok(RolloutStatus::Superseded) | Err(SupervisorError::Refused(_)) => workload.rollout_status,
            other => other?,
        },
        None => now(workload),
    };
    Ok(rollout_progress(rollout))
}

/// What is healthy by its rollout may have lost a replica since: a new run is on its way, or fails again and again.
fn now(workload: WorkloadStatus) -> RolloutStatus {
    let WorkloadStatus { ready, desired, rollout_status, replicas, .. } = workload;
    let wavering = replicas.iter().any(|replica| replica.wavering);
    if rollout_status != RolloutStatus::Healthy || (ready >= desired && !wavering) {
        return rollout_status;
    }
    let ready = match wavering {
        true => format!("{ready} of {desired} replicas ready, one of them just restarted"),
        false => format!("{ready} of {desired} replicas ready"),
    };
    match replicas.into_iter().find_map(|replica| replica.failing) {
        Some(cause) => RolloutStatus::Failed { cause: *cause },
        None => RolloutStatus::Progressing { message: ready },
    }
}

/// `Some` when the service does not serve.
fn service_progress(key: &ServiceKey, status: &Status) -> Option<Progress> {
    match status.services.iter().find(|service| service.key == *key) {
        None => Some(failed(format!("{key}: it is not served"))),
        Some(service) => service.problem.as_ref().map(|problem| failed(format!("{key}: {problem}"))),
    }
}

fn rollout_progress(status: RolloutStatus) -> Progress {
    match status {
        RolloutStatus::Progressing { message } => Progress::Progressing { message },
        RolloutStatus::Healthy => Progress::Healthy,
        RolloutStatus::Failed { cause } => Progress::Failed { cause: told(cause) },
        RolloutStatus::Superseded => failed("a later rollout took its place".to_owned()),
    }
}

fn failed(summary: String) -> Progress {
    Progress::Failed { cause: Cause::new(summary) }
}

/// The supervisor's cause with its parts as named facts.
fn told(cause: minato_workload::Cause) -> Cause {
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: Option<String>| {
        facts.extend(text.map(|text| (name.to_owned(), text)));
    };
    fact("replica", cause.replica);
    fact("container", cause.container);
    fact("exit", cause.exit.map(|exit| exit.to_string()));
    fact("out of memory", cause.out_of_memory.then(|| "the kernel ended it at its memory limit".to_owned()));
    fact("probe", cause.probe.as_ref().map(|probe| probe.probe.clone()));
    fact("answer", cause.probe.map(|probe| probe.answer));
    Cause { summary: cause.summary, facts, log_lines: cause.last_log_lines, hint: cause.hint }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_reads_back() {
        let handle = Handle {
            workload: Some(WorkloadKey {
                application: "shop".into(),
                namespace: "default".into(),
                name: "web".into(),
            }),
            rollout: serde_json::from_str("\"r-1\"").unwrap(),
            service: None,
        };
        assert_eq!(Handle::parse(&handle.token()), Some(handle));
        assert_eq!(Handle::parse(&Token::new("change-1")), None);
    }

    #[test]
    fn a_lost_replica_is_waited_for_unless_it_fails_again_and_again() {
        let workload = |ready: u32, wavering: bool, failing: Option<&str>| {
            let replica = json!({
                "id": "web-1", "revision": "r", "phase": "Running", "ready": ready > 0, "serving": ready > 0,
                "restarts": 5, "created": 0, "address": "10.0.0.2", "containers": [],
                "wavering": wavering, "failing": failing.map(|summary| minato_workload::Cause { summary: summary.into(), ..Default::default() }),
            });
            let workload = json!({
                "key": { "application": "shop", "namespace": "default", "name": "web" },
                "annotations": {}, "revision": "r", "desired": 1, "ready": ready, "updated": ready,
                "rollout": "r-1", "rollout_status": "Healthy", "stopped_by_reboot": false, "replicas": [replica],
            });
            serde_json::from_value::<WorkloadStatus>(workload).unwrap()
        };
        assert_eq!(now(workload(1, false, None)), RolloutStatus::Healthy);
        let RolloutStatus::Progressing { message } = now(workload(0, false, None)) else {
            panic!("not waited for")
        };
        assert_eq!(message, "0 of 1 replicas ready");
        assert!(matches!(now(workload(1, true, None)), RolloutStatus::Progressing { .. }));
        let RolloutStatus::Failed { cause } = now(workload(0, false, Some("exited"))) else {
            panic!("not failed")
        };
        assert_eq!(cause.summary, "exited");
    }

    #[test]
    fn every_part_of_a_cause_is_told() {
        let cause = told(minato_workload::Cause {
            summary: "container web exited with code 1".into(),
            container: Some("web".into()),
            out_of_memory: true,
            probe: Some(minato_workload::ProbeFailure { probe: "GET /".into(), answer: "503".into() }),
            last_log_lines: vec!["bye".into()],
            ..minato_workload::Cause::default()
        });
        let names: Vec<&str> = cause.facts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["container", "out of memory", "probe", "answer"]);
        assert_eq!(cause.log_lines, ["bye"]);
    }
}
