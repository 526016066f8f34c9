//! What a shim writes down about its container, so that it can be found, judged and cleaned up without the shim.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::outcome::{Exit, State, Warning};
use crate::spec::{ContainerSpec, SPEC_VERSION};

const RECORD_VERSION: u32 = 1;
const RECORD_FILE: &str = "record.json";
const SPEC_FILE: &str = "spec.json";

/// The facts of one container, `record.json` in its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) shim: Identity,
    /// The container's first process, once it exists.
    pub(crate) init: Option<Identity>,
    pub(crate) since: SystemTime,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) exit: Option<Exit>,
}

impl Record {
    pub(crate) fn new(shim: Identity) -> Self {
        Self {
            version: RECORD_VERSION,
            shim,
            init: None,
            since: SystemTime::now(),
            warnings: Vec::new(),
            exit: None,
        }
    }

    /// The record in a container's folder; `None` when its shim was killed before it wrote one.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let record: Option<Self> = read_json(&folder.join(RECORD_FILE))?;
        match record {
            Some(record) if record.version != RECORD_VERSION => Err(wrong_version(folder, record.version)),
            other => Ok(other),
        }
    }

    /// Replaces the record in one step: a reader sees the old or the new one.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        replace_json(&folder.join(RECORD_FILE), self)
    }

    /// The container's state as far as the record and `/proc` tell.
    pub(crate) fn state(&self) -> State {
        match (&self.exit, &self.init) {
            (Some(exit), _) => State::Exited(exit.clone()),
            (None, Some(init)) if init.is_alive() => State::Running { pid: init.pid, since: self.since },
            _ => State::Lost,
        }
    }
}

/// The state of a container whose shim does not answer.
pub(crate) fn state_on_disk(folder: &Path) -> io::Result<State> {
    Ok(Record::read(folder)?.map_or(State::Lost, |record| record.state()))
}

/// Stores what a shim is to run.
pub(crate) fn write_spec(folder: &Path, spec: &ContainerSpec) -> io::Result<()> {
    replace_json(&folder.join(SPEC_FILE), spec)
}

/// What the shim of this folder is to run.
pub(crate) fn read_spec(folder: &Path) -> io::Result<ContainerSpec> {
    let spec: Option<ContainerSpec> = read_json(&folder.join(SPEC_FILE))?;
    match spec {
        Some(spec) if spec.version == SPEC_VERSION => Ok(spec),
        Some(spec) => Err(wrong_version(folder, spec.version)),
        None => Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: no {SPEC_FILE}", folder.display()))),
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        }),
    }
}

fn replace_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let fresh = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
    io::Write::write_all(&mut file, &serde_json::to_vec(value)?)?;
    fs::rename(&fresh, path)
}

fn wrong_version(folder: &Path, version: u32) -> io::Error {
    let text = format!("{}: written by another version of this program (format {version})", folder.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_format_is_refused_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Record::read(folder.path()).unwrap().is_none());
        let mut record = Record::new(Identity::own().unwrap());
        record.write(folder.path()).unwrap();
        assert!(Record::read(folder.path()).unwrap().is_some());
        record.version = 2;
        record.write(folder.path()).unwrap();
        assert!(Record::read(folder.path()).is_err());
    }

    #[test]
    fn a_container_nobody_saw_end_is_lost() {
        let mut record = Record::new(Identity::own().unwrap());
        assert_eq!(record.state(), State::Lost);
        record.init = Some(Identity::own().unwrap());
        assert!(matches!(record.state(), State::Running { .. }));
        record.init = Some(Identity { start_time: 1, ..Identity::own().unwrap() });
        assert_eq!(record.state(), State::Lost);
    }
}
