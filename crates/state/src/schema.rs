//! The file's format: opening it, recognising it, bringing an older one up to date.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use minato_sync::StoreError;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// Each entry brings the file from the version of its index to the next one. Entries are never changed, only added.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE applications (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE revisions (
        application TEXT NOT NULL, number INTEGER NOT NULL, healthy INTEGER NOT NULL, revision TEXT NOT NULL,
        PRIMARY KEY (application, number)
    ) WITHOUT ROWID;
    CREATE TABLE locks (application TEXT PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO settings VALUES ('redaction-key', randomblob(32));
"];

/// Marks the file as Minato's: \"mina\" (SQLite's application id).
const APPLICATION_ID: i32 = 0x6d69_6e61;

/// How long a writer waits for another one. Transactions here take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Opens the file, making it when it is not there, readable by its owner only.
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let io = |error: std::io::Error| StoreError::Io {
        place: path.display().to_string(),
        message: error.to_string(),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    create(path).map_err(io)?;
    let failed = |error: rusqlite::Error| failure(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    check_format(path, &connection)?;
    write_ahead(&connection).map_err(failed)?;
    // FULL: a commit is on disk when it returns, also when the power goes.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    migrate(&mut connection).map_err(failed)?;
    Ok(connection)
}

/// Turns the write-ahead log on. Where several make the file at once, SQLite does not wait for the others: each has read
/// the file when it wants to write, so that waiting could last for ever.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && Instant::now() < give_up => std::thread::sleep(BUSY_PAUSE),
            done => return done,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Makes the file, for its owner only; SQLite gives its companion files the same mode. A file that is there is not even
/// opened: closing any descriptor of it would end the locks that other connections of this process have (fcntl(2)), and
/// another process would take the write-ahead log away from under them.
fn create(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Refuses a file that is not ours or that a newer Minato wrote, before anything is written to it.
fn check_format(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| failure(path, &error);
    // Both at one moment: another process may be making the file.
    let moment = connection.unchecked_transaction().map_err(failed)?;
    let pragma = |name| moment.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (id, version) = (pragma("application_id").map_err(failed)?, pragma("user_version").map_err(failed)?);
    drop(moment);
    let found = u32::try_from(version).unwrap_or(u32::MAX);
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let place = path.display().to_string();
    if found > known && id == i64::from(APPLICATION_ID) {
        return Err(StoreError::Newer { place, found, known });
    }
    if id != i64::from(APPLICATION_ID) && (id != 0 || version != 0) {
        return Err(StoreError::Damaged { place, message: "it is another program's database".to_owned() });
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
    };
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the write lock: another process may have been faster.
    let from = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()
}

/// What a failure of SQLite means.
pub(crate) fn failure(path: &Path, error: &rusqlite::Error) -> StoreError {
    let (place, message) = (path.display().to_string(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged { place, message },
        _ => StoreError::Io { place, message },
    }
}
