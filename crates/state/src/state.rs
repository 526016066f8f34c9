//! [`StateStore`] on SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use minato_sync::{
    ApplicationName, ApplicationRecord, Holder, LockAnswer, NewRevision, RECORD_VERSION, Redactor, Revision,
    StateStore, StoreError,
};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::{history, holder, schema};

/// The state of one data folder. Cheap to clone; safe for several threads and processes.
#[derive(Clone)]
pub struct State {
    path: Arc<PathBuf>,
    connection: Arc<Mutex<Connection>>,
}

impl State {
    /// Opens `path` (`DATA/state.db`), making it when it is not there.
    ///
    /// # Errors
    /// The file can't be read or written, is damaged, or was written by a newer Minato.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Arc::new(Mutex::new(schema::open(path)?));
        Ok(Self { path: Arc::new(path.to_owned()), connection })
    }

    /// The redactor with this state's own key.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn redactor(&self) -> Result<Redactor, StoreError> {
        let key = self.blocking(|transaction| {
            transaction.query_row("SELECT value FROM settings WHERE name = 'redaction-key'", [], |row| {
                row.get::<_, [u8; 32]>(0)
            })
        })?;
        Ok(Redactor::new(key))
    }

    /// Runs a transaction on a thread that may wait for the disk.
    async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let state = self.clone();
        match tokio::task::spawn_blocking(move || state.blocking(work)).await {
            Ok(done) => done,
            Err(error) => Err(StoreError::Io { place: self.place(), message: error.to_string() }),
        }
    }

    /// A transaction that writes must begin with a write: one that read first can't wait for another writer.
    fn blocking<T>(&self, work: impl FnOnce(&Transaction) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // A panic in another thread's transaction has rolled it back, so the connection is still good.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let done = work(&transaction)?;
            fail::fail_point!("state.commit.before");
            transaction.commit()?;
            fail::fail_point!("state.commit.after");
            Ok(done)
        };
        run().map_err(|error| schema::failure(&self.path, &error))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn read<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        let version = serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .and_then(|value| value.get("version")?.as_u64())
            .and_then(|version| u32::try_from(version).ok());
        if let Some(found) = version.filter(|version| *version > RECORD_VERSION) {
            return Err(StoreError::Newer { place: self.place(), found, known: RECORD_VERSION });
        }
        serde_json::from_str(text).map_err(|error| self.damaged(&error))
    }

    fn write(&self, value: &impl serde::Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &serde_json::Error) -> StoreError {
        StoreError::Damaged { place: self.place(), message: error.to_string() }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "State({})", self.path.display())
    }
}

#[async_trait]
impl StateStore for State {
    async fn applications(&self) -> Result<Vec<ApplicationRecord>, StoreError> {
        let texts: Vec<String> = self
            .transaction(|transaction| {
                let mut statement = transaction.prepare("SELECT record FROM applications ORDER BY name")?;
                statement.query_map([], |row| row.get(0))?.collect()
            })
            .await?;
        texts.iter().map(|text| self.read(text)).collect()
    }

    async fn application(&self, name: &ApplicationName) -> Result<Option<ApplicationRecord>, StoreError> {
        let name = name.to_string();
        let text: Option<String> = self
            .transaction(move |transaction| {
                let query = "SELECT record FROM applications WHERE name = ?1";
                transaction.query_row(query, [name], |row| row.get(0)).optional()
            })
            .await?;
        text.map(|text| self.read(&text)).transpose()
    }

    async fn save(&self, record: &ApplicationRecord) -> Result<(), StoreError> {
        let (name, text) = (record.name.to_string(), self.write(record)?);
        self.transaction(move |transaction| put_record(transaction, &name, &text)).await
    }

    async fn history(&self, name: &ApplicationName) -> Result<Vec<Revision>, StoreError> {
        let name = name.to_string();
        let texts = self.transaction(move |transaction| history::list(transaction, &name)).await?;
        texts.iter().map(|text| self.read(text)).collect()
    }

    async fn conclude(
        &self,
        record: &ApplicationRecord,
        revision: NewRevision,
        limit: usize,
    ) -> Result<Revision, StoreError> {
        let (name, text) = (record.name.to_string(), self.write(record)?);
        self.transaction(move |transaction| {
            put_record(transaction, &name, &text)?;
            let revision = history::add(transaction, &name, revision)?;
            history::trim(transaction, &name, limit)?;
            Ok(revision)
        })
        .await
    }

    async fn remove(&self, name: &ApplicationName) -> Result<(), StoreError> {
        let name = name.to_string();
        self.transaction(move |transaction| {
            transaction.execute("DELETE FROM applications WHERE name = ?1", [&name])?;
            transaction.execute("DELETE FROM revisions WHERE application = ?1", [&name])?;
            Ok(())
        })
        .await
    }

    async fn lock(&self, name: &ApplicationName, command: &str) -> Result<LockAnswer, StoreError> {
        let (key, ours) = (name.to_string(), holder::current(command));
        let (text, empty) = (self.write(&ours)?, String::new());
        let held = self
            .transaction(move |transaction| {
                // A write first, so that no other process decides between our look and our taking.
                let insert = "INSERT INTO locks (application, holder) VALUES (?1, ?2)
                    ON CONFLICT (application) DO UPDATE SET holder = holder";
                transaction.execute(insert, params![key, empty])?;
                let query = "SELECT holder FROM locks WHERE application = ?1";
                let held: String = transaction.query_row(query, [&key], |row| row.get(0))?;
                // What can't be read is nobody's.
                let holder = serde_json::from_str::<Holder>(&held).ok().filter(holder::is_alive);
                if holder.is_none() {
                    let update = "UPDATE locks SET holder = ?2 WHERE application = ?1";
                    transaction.execute(update, params![key, text])?;
                }
                Ok(holder)
            })
            .await?;
        Ok(held.map_or(LockAnswer::Acquired(ours), LockAnswer::Held))
    }

    async fn unlock(&self, name: &ApplicationName, holder: &Holder) -> Result<(), StoreError> {
        let (key, text) = (name.to_string(), self.write(holder)?);
        self.transaction(move |transaction| {
            let delete = "DELETE FROM locks WHERE application = ?1 AND holder = ?2";
            transaction.execute(delete, params![key, text]).map(|_| ())
        })
        .await
    }
}

fn put_record(transaction: &Transaction, name: &str, text: &str) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO applications (name, record) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET record = excluded.record";
    transaction.execute(upsert, params![name, text]).map(|_| ())
}
