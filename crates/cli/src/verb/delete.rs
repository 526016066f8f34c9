//! `minato delete`: stops an application and removes everything it left where it runs.

use std::collections::BTreeSet;

use minato_sync::{ApplicationRecord, DeleteRequest, StateStore, delete};

use crate::adapter::{SyncEvents, secrets_of};
use crate::application;
use crate::arguments::DeleteArguments;
use crate::engine::Engine;
use crate::exit::Failure;
use crate::images;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: &DeleteArguments) -> Result<(), Failure> {
    let records = match arguments.all {
        true => application::all(machine).await?,
        false => vec![application::meant(machine, &arguments.application).await?],
    };
    if records.is_empty() {
        printer.line("nothing is deployed");
    }
    let mut repositories = BTreeSet::new();
    for record in records {
        let history = machine.state()?.history(&record.name).await?;
        repositories
            .extend(images::repositories(history.iter().flat_map(|revision| revision.content.images.keys())));
        delete_one(machine, printer, record).await?;
    }
    machine.forget_old_versions(printer, &repositories);
    Ok(())
}

async fn delete_one(machine: &Machine, printer: &Printer, record: ApplicationRecord) -> Result<(), Failure> {
    let application = application::parsed(&record)?;
    let engine = Engine::of(machine, &application, secrets_of(None)?, &[]).await?;
    let events = SyncEvents::new(printer);
    let request = DeleteRequest {
        name: record.name,
        retry: application.sync_policy.retry,
        command: crate::machine::own_command(),
    };
    delete(&engine.seams(&events, engine.tempo()), &request).await?;
    Ok(())
}
