//! What was applied on this machine, one file for each Application: `DATA/local/NAME.json`.
//!
//! The supervisor knows workloads and services; the Objects they came from, and those that have none (a ConfigMap),
//! are remembered here, in normal form with secrets as marks. A file is replaced whole and synced, so a process may
//! die at any point.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use minato_resource::ResourceKey;
use minato_sync::ApplicationName;
use minato_workload::RolloutId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the file.
const VERSION: u32 = 1;

/// Larger files are not ours.
const SIZE_LIMIT: u64 = 256 << 20;

/// Everything that was applied for one Application.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    /// By key, in text form.
    pub(crate) objects: BTreeMap<ResourceKey, Entry>,
}

/// One Object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The Object in normal form.
    pub(crate) object: Value,
    /// Workload that it became, if any.
    pub(crate) workload: Option<minato_workload::WorkloadKey>,
    /// Service that it became, if any.
    pub(crate) service: Option<minato_workload::ServiceKey>,
    /// How the supervisor's answer is known.
    pub(crate) rollout: Rollout,
}

/// What is known about the rollout of an Object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Rollout {
    /// There is none: nothing runs for the Object.
    None,
    /// The supervisor was about to be asked; before that the workload's last rollout was this.
    Asked {
        /// The rollout before.
        before: Option<RolloutId>,
    },
    /// The supervisor's answer.
    Known(RolloutId),
}

/// The folder of records.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(crate) fn new(data: &Path) -> Self {
        Self { folder: data.join("local") }
    }

    /// The record of an Application; empty when there is none.
    pub(crate) fn read(&self, name: &ApplicationName) -> Result<Record, RecordError> {
        let path = self.path(name);
        let failed = |error: io::Error| RecordError::Io { path: path.clone(), error };
        match fs::metadata(&path) {
            Ok(file) if file.len() > SIZE_LIMIT => return Err(damaged(&path, "it is far too large")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
            other => other.map_err(failed)?,
        };
        let bytes = fs::read(&path).map_err(failed)?;
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&path, &error.to_string()))?;
        if record.version != VERSION {
            return Err(damaged(&path, &format!("its version is {}, not {VERSION}", record.version)));
        }
        Ok(record)
    }

    /// Replaces the record; an empty one is removed.
    pub(crate) fn write(&self, name: &ApplicationName, record: &Record) -> Result<(), RecordError> {
        let path = self.path(name);
        let failed = |error: io::Error| RecordError::Io { path: path.clone(), error };
        if record.objects.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        self.replace(&path, record).map_err(failed)
    }

    fn replace(&self, path: &Path, record: &Record) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        fs::create_dir_all(&self.folder)?;
        let stored = Record { version: VERSION, ..record.clone() };
        let new = path.with_extension("json.new");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.sync_all()?;
        fail::fail_point!("local.record.written");
        fs::rename(&new, path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The name is safe in a path (see [`ApplicationName`]).
    fn path(&self, name: &ApplicationName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// A record that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: the record of what was applied is damaged: {message}; remove it, and `up` makes it anew", path.display())]
    Damaged { path: PathBuf, message: String },
}

fn damaged(path: &Path, message: &str) -> RecordError {
    RecordError::Damaged { path: path.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_an_empty_one_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (records, name) = (Records::new(folder.path()), "shop".parse().unwrap());
        assert_eq!(records.read(&name).unwrap(), Record::default());
        let entry = Entry {
            object: serde_json::json!({"kind": "ConfigMap"}),
            workload: None,
            service: None,
            rollout: Rollout::None,
        };
        let record = Record {
            version: VERSION,
            objects: BTreeMap::from([("ConfigMap default/a".parse().unwrap(), entry)]),
        };
        records.write(&name, &record).unwrap();
        assert_eq!(records.read(&name).unwrap(), record);
        records.write(&name, &Record::default()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("local")).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_record_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (records, name) = (Records::new(folder.path()), "shop".parse().unwrap());
        fs::create_dir(folder.path().join("local")).unwrap();
        for text in ["{", r#"{"version": 2, "objects": {}}"#, "[]"] {
            fs::write(folder.path().join("local/shop.json"), text).unwrap();
            let error = records.read(&name).unwrap_err().to_string();
            assert!(error.contains("local/shop.json: the record of what was applied is damaged"), "{error}");
        }
    }
}
