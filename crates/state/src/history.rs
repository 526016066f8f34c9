//! The history of one Application: adding, listing, dropping what the limit does not keep.

use minato_sync::{NewRevision, RECORD_VERSION, Revision, Verdict, beyond_limit};
use rusqlite::{Connection, params};

/// Every kept revision, newest first, as it was written.
pub(crate) fn list(connection: &Connection, application: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection
        .prepare_cached("SELECT revision FROM revisions WHERE application = ?1 ORDER BY number DESC")?;
    statement.query_map([application], |row| row.get(0))?.collect()
}

/// Adds a revision under the next number. The newest one is never dropped, so a number is never used twice.
pub(crate) fn add(
    connection: &Connection,
    application: &str,
    content: NewRevision,
) -> rusqlite::Result<Revision> {
    let number: u64 = connection.query_row(
        "SELECT coalesce(max(number), 0) + 1 FROM revisions WHERE application = ?1",
        [application],
        |row| row.get(0),
    )?;
    let healthy = content.verdict == Verdict::Healthy;
    let revision = Revision { version: RECORD_VERSION, number, content };
    let text = serde_json::to_string(&revision)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    connection.execute(
        "INSERT INTO revisions (application, number, healthy, revision) VALUES (?1, ?2, ?3, ?4)",
        params![application, number, healthy, text],
    )?;
    Ok(revision)
}

/// Drops what is beyond the limit.
pub(crate) fn trim(connection: &Connection, application: &str, limit: usize) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT number, healthy FROM revisions WHERE application = ?1 ORDER BY number DESC",
    )?;
    let rows = statement.query_map([application], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let kinds: Vec<(u64, bool)> = rows.collect::<rusqlite::Result<_>>()?;
    for number in beyond_limit(&kinds, limit) {
        connection.execute(
            "DELETE FROM revisions WHERE application = ?1 AND number = ?2",
            params![application, number],
        )?;
    }
    Ok(())
}
