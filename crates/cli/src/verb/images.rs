//! `minato images`: what is in the store.

use std::collections::HashMap;
use std::time::SystemTime;

use minato_oci::{Digest, Store};
use serde::Serialize;

use crate::arguments::ImagesArguments;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Table, age, size};

/// One name of one image, as `-o json` shows it.
#[derive(Serialize)]
struct Row {
    reference: String,
    id: Digest,
    platform: String,
    /// Bytes on disk; layers that images share count for each.
    size: u64,
    #[serde(serialize_with = "print::rfc3339")]
    tagged: SystemTime,
}

pub fn run(machine: &Machine, arguments: &ImagesArguments) -> Result<(), Failure> {
    let rows = rows(&machine.store()?)?;
    print::data(arguments.output.output, &rows, || table(&rows))
}

fn rows(store: &Store) -> Result<Vec<Row>, Failure> {
    let mut known: HashMap<Digest, Option<(String, u64)>> = HashMap::new();
    let mut rows = Vec::new();
    for (reference, id, tagged) in store.tagged()? {
        let facts = match known.get(&id) {
            Some(facts) => facts.clone(),
            None => facts(store, &id)?,
        };
        if let Some((platform, size)) = &facts {
            let (platform, size) = (platform.clone(), *size);
            rows.push(Row { reference: reference.familiar(), id, platform, size, tagged });
        }
        known.insert(id, facts);
    }
    rows.sort_by(|one, other| one.reference.cmp(&other.reference));
    Ok(rows)
}

/// Platform and size; `None` for an image that is gone.
fn facts(store: &Store, id: &Digest) -> Result<Option<(String, u64)>, Failure> {
    let Some(image) = store.image(id)? else { return Ok(None) };
    let size = store.image_layers(&image)?.iter().map(|layer| layer.size).sum();
    Ok(Some((image.config.platform().to_string(), size)))
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["IMAGE", "ID", "PLATFORM", "SIZE", "AGE"]);
    for row in rows {
        let cells =
            [row.reference.clone(), row.id.short(), row.platform.clone(), size(row.size), age(row.tagged)];
        table.row(cells);
    }
    table
}
