//! What outlives the supervisor: one JSON file with a version, replaced atomically, readable by its owner only (it holds
//! secrets).
//!
//! A replica stands in it before its first container is started, so that whatever a killed supervisor left is either
//! recorded or rubbish.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decide::pod::PodLife;
use crate::decide::rollout::RolloutState;
use crate::moment::Moment;
use crate::spec::{Pod, Revision, Service, ServiceKey, Workload, WorkloadKey};
use crate::status::{Cause, RolloutId, RolloutStatus};

const VERSION: u32 = 1;
/// Most bytes that are read.
const LIMIT: u64 = 512 << 20;

/// Everything that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// Of the boot in which it was written.
    pub(crate) boot_id: String,
    pub(crate) workloads: Vec<WorkloadRecord>,
    pub(crate) services: Vec<ServiceRecord>,
    /// Makes ids unique.
    pub(crate) counter: u64,
}

/// One workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkloadRecord {
    /// As it was applied last.
    pub(crate) wanted: Workload,
    pub(crate) rollout: RolloutId,
    pub(crate) outcome: Outcome,
    /// Earlier rollouts and how they ended, the latest last.
    pub(crate) past: Vec<(RolloutId, RolloutStatus)>,
    /// What is being kept running: what is wanted or, after a failure, what was healthy before.
    pub(crate) target: Generation,
    /// The last one whose rollout became healthy.
    pub(crate) stable: Option<Generation>,
    pub(crate) state: RolloutState,
    /// Descriptions of everything that `target`, `stable` and replicas name.
    pub(crate) revisions: Vec<Workload>,
    pub(crate) replicas: Vec<ReplicaRecord>,
    pub(crate) deleting: bool,
    /// The machine was restarted since.
    pub(crate) stopped_by_reboot: bool,
    /// What it waits for.
    pub(crate) message: String,
}

/// A revision, and how often its replicas were asked to be replaced by fresh ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) revision: Revision,
    pub(crate) epoch: u32,
}

/// How the last rollout went so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Progressing,
    Healthy,
    Failed(Box<Cause>),
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplicaRecord {
    pub(crate) id: String,
    pub(crate) generation: Generation,
    pub(crate) created: Moment,
    pub(crate) address: Ipv4Addr,
    pub(crate) admitted: bool,
    pub(crate) ready_since: Option<Moment>,
    pub(crate) lost_ready: u32,
    pub(crate) lost_ready_at: Option<Moment>,
    /// It is to go, and its record with it.
    pub(crate) unwanted: bool,
    /// Nothing of its containers is left.
    pub(crate) cleared: bool,
    /// Keeps the network namespace.
    pub(crate) holder: Option<String>,
    /// What the machine does not enforce, by container.
    pub(crate) warnings: BTreeMap<usize, Vec<String>>,
    pub(crate) life: PodLife,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceRecord {
    pub(crate) service: Service,
    pub(crate) address: Ipv4Addr,
    /// (service port, host port).
    pub(crate) published: Vec<(u16, u16)>,
}

/// The record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not a record of this program: {reason}; move it away to start with nothing", path.display())]
    Malformed { path: PathBuf, reason: String },
}

impl Record {
    pub(crate) fn new(boot_id: String) -> Record {
        Record { version: VERSION, boot_id, workloads: Vec::new(), services: Vec::new(), counter: 0 }
    }

    /// What was kept; `None` where nothing was.
    pub(crate) fn load(path: &Path) -> Result<Option<Record>, RecordError> {
        let malformed = |reason: String| RecordError::Malformed { path: path.to_owned(), reason };
        let text = match File::open(path).and_then(|file| read_limited(file, LIMIT)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RecordError::Io { path: path.to_owned(), source }),
        };
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            version => {
                return Err(malformed(format!("its version is {version:?}, this program knows {VERSION}")));
            }
        }
        serde_json::from_value(value).map(Some).map_err(|error| malformed(error.to_string()))
    }

    /// Replaces what was kept. After a crash of the machine, too, either the old or the new record is there.
    pub(crate) fn save(&self, path: &Path) -> Result<(), RecordError> {
        let failed = |source: io::Error| RecordError::Io { path: path.to_owned(), source };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let fresh = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(failed)?;
        fail::fail_point!("workload.record.before-rename");
        std::fs::rename(&fresh, path).map_err(failed)?;
        fail::fail_point!("workload.record.after-rename");
        Ok(())
    }

    /// Nothing is wanted and nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.workloads.is_empty() && self.services.is_empty()
    }

    pub(crate) fn workload(&mut self, key: &WorkloadKey) -> Option<&mut WorkloadRecord> {
        self.workloads.iter_mut().find(|workload| workload.wanted.key == *key)
    }

    pub(crate) fn service(&self, key: &ServiceKey) -> Option<&ServiceRecord> {
        self.services.iter().find(|service| service.service.key == *key)
    }

    /// The replica of that id, with its workload.
    pub(crate) fn replica(&mut self, id: &str) -> Option<(&mut ReplicaRecord, Pod)> {
        self.workloads.iter_mut().find_map(|workload| {
            let index = workload.replicas.iter().position(|replica| replica.id == id)?;
            let pod = workload.pod_of(&workload.replicas[index])?.clone();
            Some((&mut workload.replicas[index], pod))
        })
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

impl WorkloadRecord {
    /// The description of a revision.
    pub(crate) fn description(&self, revision: &Revision) -> Option<&Workload> {
        self.revisions.iter().find(|workload| workload.revision() == *revision)
    }

    pub(crate) fn pod_of(&self, replica: &ReplicaRecord) -> Option<&Pod> {
        self.description(&replica.generation.revision).map(|workload| &workload.pod)
    }

    /// What is being kept running, with the count and strategy of now where it is what is wanted.
    pub(crate) fn target_workload(&self) -> Workload {
        if self.wanted.revision() == self.target.revision {
            return self.wanted.clone();
        }
        self.description(&self.target.revision).unwrap_or(&self.wanted).clone()
    }

    /// Forgets descriptions that nothing names any more.
    pub(crate) fn prune(&mut self) {
        let mut named: Vec<Revision> =
            self.replicas.iter().map(|replica| replica.generation.revision.clone()).collect();
        named.push(self.target.revision.clone());
        named.extend(self.stable.iter().map(|stable| stable.revision.clone()));
        self.revisions.retain(|workload| named.contains(&workload.revision()));
    }
}

/// This boot's id.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn read_limited(file: File, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes)? as u64;
    if read > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_a_foreign_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desired.json");
        assert!(Record::load(&path).unwrap().is_none());
        let mut record = Record::new("boot".to_owned());
        assert_eq!((record.next_number(), record.next_number()), (1, 2));
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path).unwrap().unwrap(), record);
        for (text, expected) in [("{\"version\":7}", "Some(7)"), ("{}", "None"), ("{", "EOF")] {
            std::fs::write(&path, text).unwrap();
            let error = Record::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("desired.json"), "{error}");
        }
    }
}
