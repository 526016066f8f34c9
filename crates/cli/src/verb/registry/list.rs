//! `minato registry list`, `tags` and `referrers`.

use std::collections::BTreeMap;

use minato_oci::{Descriptor, Digest, Reference};
use minato_registry::ResolveError;
use serde::Serialize;

use super::failure;
use crate::arguments::{ListArguments, ListTagsArguments, Output, ReferrersArguments};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, Table, size};
use crate::verb::login::registry;

pub async fn repositories(machine: &Machine, _: &Printer, arguments: &ListArguments) -> Result<(), Failure> {
    let registry = registry(&arguments.registry)?;
    let found = machine.registry_client()?.repositories(&registry, &()).await;
    names(arguments.output.output, &found.map_err(|error| failure(ResolveError::Request(error)))?)
}

pub async fn tags(machine: &Machine, _: &Printer, arguments: &ListTagsArguments) -> Result<(), Failure> {
    let repository: Reference = arguments.repository.parse().map_err(anyhow::Error::from)?;
    let found = machine.registry_client()?.tags(&repository, &()).await;
    names(arguments.output.output, &found.map_err(|error| failure(ResolveError::Request(error)))?)
}

/// One name on a line, which is what other programs read best.
fn names(output: Output, names: &[String]) -> Result<(), Failure> {
    match output {
        Output::Table => print::to_stdout(&names.iter().map(|name| format!("{name}\n")).collect::<String>()),
        output => print::data(output, &names, || Table::new([])),
    }
}

/// One document about an image, as `-o json` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    digest: Digest,
    artifact_type: Option<String>,
    size: u64,
    annotations: BTreeMap<String, String>,
}

pub async fn referrers(
    machine: &Machine,
    _: &Printer,
    arguments: &ReferrersArguments,
) -> Result<(), Failure> {
    let reference: Reference = arguments.reference.parse().map_err(anyhow::Error::from)?;
    let client = machine.registry_client()?;
    let found = client.referrers(&reference, arguments.artifact_type.as_deref(), &()).await;
    let rows: Vec<Row> = found.map_err(failure)?.into_iter().map(row).collect();
    print::data(arguments.output.output, &rows, || table(&rows))
}

fn row(entry: Descriptor) -> Row {
    let artifact_type = entry.other.get("artifactType").and_then(|kind| kind.as_str()).map(str::to_owned);
    Row { digest: entry.digest, artifact_type, size: entry.size, annotations: entry.annotations }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["TYPE", "DIGEST", "SIZE"]);
    for row in rows {
        let kind = row.artifact_type.clone().unwrap_or_default();
        table.row([kind, row.digest.to_string(), size(row.size)]);
    }
    table
}
