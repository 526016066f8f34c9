//! A StateStore in memory. It keeps what it is given as text, as a real one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::Fuse;
use crate::owner::ApplicationName;
use crate::store::{
    ApplicationRecord, Holder, LockAnswer, NewRevision, RECORD_VERSION, Revision, StateStore, StoreError,
    Verdict, beyond_limit,
};

/// A StateStore in memory.
#[derive(Debug)]
pub struct FakeStore {
    fuse: Arc<Fuse>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    records: BTreeMap<ApplicationName, String>,
    histories: BTreeMap<ApplicationName, Vec<String>>,
    numbers: BTreeMap<ApplicationName, u64>,
    locks: BTreeMap<ApplicationName, Holder>,
    nonce: u64,
    writes: usize,
}

impl FakeStore {
    /// An empty one.
    pub fn new(fuse: Arc<Fuse>) -> Self {
        Self { fuse, kept: Mutex::default() }
    }

    /// Whoever holds a lock is dead now.
    pub fn kill_holders(&self) {
        self.kept().locks.clear();
    }

    /// How often something was written, locks left out.
    pub fn writes(&self) -> usize {
        self.kept().writes
    }

    /// Everything that is kept, as text: no secret may be in it.
    pub fn dump(&self) -> String {
        let kept = self.kept();
        format!("{:?} {:?}", kept.records, kept.histories)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn save(&mut self, record: &ApplicationRecord) -> Result<(), StoreError> {
        self.records.insert(record.name.clone(), write(record)?);
        self.writes += 1;
        Ok(())
    }

    fn history(&self, name: &ApplicationName) -> Result<Vec<Revision>, StoreError> {
        self.histories.get(name).into_iter().flatten().map(|text| read(text)).collect()
    }

    fn add(
        &mut self,
        name: &ApplicationName,
        content: NewRevision,
        limit: usize,
    ) -> Result<Revision, StoreError> {
        let number = self.numbers.entry(name.clone()).or_default();
        *number += 1;
        let revision = Revision { version: RECORD_VERSION, number: *number, content };
        let mut history = self.history(name)?;
        history.insert(0, revision.clone());
        let kinds: Vec<(u64, bool)> = history
            .iter()
            .map(|revision| (revision.number, revision.content.verdict == Verdict::Healthy))
            .collect();
        let dropped = beyond_limit(&kinds, limit);
        history.retain(|revision| !dropped.contains(&revision.number));
        let texts: Result<Vec<String>, StoreError> = history.iter().map(write).collect();
        self.histories.insert(name.clone(), texts?);
        Ok(revision)
    }
}

fn write(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged(&error))
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(&error))
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { place: "memory".to_owned(), message: error.to_string() }
}

#[async_trait]
impl StateStore for FakeStore {
    async fn applications(&self) -> Result<Vec<ApplicationRecord>, StoreError> {
        self.kept().records.values().map(|text| read(text)).collect()
    }

    async fn application(&self, name: &ApplicationName) -> Result<Option<ApplicationRecord>, StoreError> {
        self.kept().records.get(name).map(|text| read(text)).transpose()
    }

    async fn save(&self, record: &ApplicationRecord) -> Result<(), StoreError> {
        self.fuse.step().await;
        self.kept().save(record)?;
        self.fuse.step().await;
        Ok(())
    }

    async fn history(&self, name: &ApplicationName) -> Result<Vec<Revision>, StoreError> {
        self.fuse.step().await;
        self.kept().history(name)
    }

    async fn conclude(
        &self,
        record: &ApplicationRecord,
        content: NewRevision,
        limit: usize,
    ) -> Result<Revision, StoreError> {
        self.fuse.step().await;
        let revision = {
            let mut kept = self.kept();
            kept.save(record)?;
            kept.add(&record.name, content, limit)?
        };
        self.fuse.step().await;
        Ok(revision)
    }

    async fn remove(&self, name: &ApplicationName) -> Result<(), StoreError> {
        self.fuse.step().await;
        let mut kept = self.kept();
        kept.records.remove(name);
        kept.histories.remove(name);
        kept.writes += 1;
        Ok(())
    }

    async fn lock(&self, name: &ApplicationName, command: &str) -> Result<LockAnswer, StoreError> {
        let mut kept = self.kept();
        if let Some(holder) = kept.locks.get(name) {
            return Ok(LockAnswer::Held(holder.clone()));
        }
        kept.nonce += 1;
        let holder = Holder {
            pid: 1,
            start_time: 1,
            boot_id: "boot".to_owned(),
            command: command.to_owned(),
            since: Timestamp::now(),
            nonce: kept.nonce,
        };
        kept.locks.insert(name.clone(), holder.clone());
        Ok(LockAnswer::Acquired(holder))
    }

    async fn unlock(&self, name: &ApplicationName, holder: &Holder) -> Result<(), StoreError> {
        let mut kept = self.kept();
        if kept.locks.get(name) == Some(holder) {
            kept.locks.remove(name);
        }
        Ok(())
    }
}
