//! `minato history`: the revisions of an application.

use std::time::SystemTime;

use minato_sync::{Cause, OperationKind, Revision, StateStore, Verdict};
use serde::Serialize;

use crate::application;
use crate::arguments::HistoryArguments;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Table, age};

/// One revision, as `-o json` shows it.
#[derive(Serialize)]
struct Row {
    number: u64,
    revision: String,
    kind: OperationKind,
    /// The number of the revision that it brought back.
    repeats: Option<u64>,
    healthy: bool,
    cause: Option<Cause>,
    rolled_back_to: Option<u64>,
    images: Vec<String>,
    #[serde(serialize_with = "print::rfc3339")]
    started: SystemTime,
    #[serde(serialize_with = "print::rfc3339")]
    finished: SystemTime,
}

pub async fn run(machine: &Machine, arguments: &HistoryArguments) -> Result<(), Failure> {
    let record = application::meant(machine, &arguments.application).await?;
    let history = machine.state()?.history(&record.name).await?;
    let rows: Vec<Row> = history.into_iter().map(row).collect();
    print::data(arguments.output.output, &rows, || table(&rows))
}

fn row(revision: Revision) -> Row {
    let content = revision.content;
    let (healthy, cause, rolled_back_to) = match content.verdict {
        Verdict::Healthy => (true, None, None),
        Verdict::Failed { cause, rolled_back_to } => (false, Some(cause), rolled_back_to),
    };
    Row {
        number: revision.number,
        revision: content.revision,
        kind: content.kind,
        repeats: content.repeats,
        healthy,
        cause,
        rolled_back_to,
        images: content.images.into_keys().collect(),
        started: content.started.into(),
        finished: content.finished.into(),
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["NUMBER", "REVISION", "AGE", "RESULT"]);
    for row in rows {
        table.row([row.number.to_string(), row.revision.clone(), age(row.finished), result(row)]);
    }
    table
}

fn result(row: &Row) -> String {
    let origin = row.repeats.map(|number| format!(", back to {number}")).unwrap_or_default();
    match (&row.cause, row.rolled_back_to) {
        (None, _) => format!("healthy{origin}"),
        (Some(cause), Some(number)) => format!("rolled back to {number}: {cause}"),
        (Some(cause), None) => format!("failed{origin}: {cause}"),
    }
}
