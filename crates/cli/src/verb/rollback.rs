//! `minato rollback`: brings an earlier revision back, as it was recorded.

use minato_resource::Object;
use minato_sync::{ApplicationRecord, Revision, RollbackRequest, StateStore, earlier_revision, rollback};

use super::outcome;
use crate::adapter::{SyncEvents, secrets_of_record};
use crate::application;
use crate::arguments::RollbackArguments;
use crate::declared::Declared;
use crate::desired;
use crate::engine::Engine;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: &RollbackArguments) -> Result<(), Failure> {
    let record = application::meant(machine, &arguments.application).await?;
    let application = application::parsed(&record)?;
    let engine = Engine::of(machine, &application, secrets_of_record(&record)?, &[]).await?;
    let by_up = application::file(&record).is_none();
    let request = RollbackRequest {
        at_hand: at_hand(machine, printer, &record, arguments.to).await?,
        // Of what `up` deployed, the folder was all there is.
        prune: by_up && !arguments.prune.no_prune || arguments.prune.or_policy(&application),
        application,
        document: record.document,
        number: arguments.to,
        command: crate::machine::own_command(),
    };
    let events = SyncEvents::new(printer);
    let outcome = rollback(&engine.seams(&events, engine.tempo()), &request).await?;
    drop(events);
    outcome::report(printer, &outcome)
}

/// Objects in clear, for the values of their Secrets: the work tree's of today, or those of the very revision in Git.
async fn at_hand(
    machine: &Machine,
    printer: &Printer,
    record: &ApplicationRecord,
    number: Option<u64>,
) -> Result<Vec<Object>, Failure> {
    if let Some(repository) = application::repository(record) {
        return Ok(repository.objects);
    }
    let history = machine.state()?.history(&record.name).await?;
    let (Some(revision), Ok(declared)) = (earlier_revision(&history, number), Declared::remembered(record))
    else {
        return Ok(Vec::new());
    };
    if !holds_secrets(revision) {
        return Ok(Vec::new());
    }
    let loaded = desired::load(machine, printer, &declared, Some(&revision.content.revision)).await;
    // A repository that is not there any more is no obstacle yet: the values may be among the local secrets.
    Ok(loaded.map(|(_, objects)| objects).unwrap_or_default())
}

fn holds_secrets(revision: &Revision) -> bool {
    let kinds = revision.content.objects.iter().map(|object| object.get("kind"));
    kinds.into_iter().any(|kind| kind.is_some_and(|kind| kind == "Secret"))
}
