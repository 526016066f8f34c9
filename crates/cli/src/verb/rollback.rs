//! `minato rollback`: brings an earlier revision back, as it was recorded.

use minato_sync::{RollbackRequest, Tempo, rollback};

use super::outcome;
use crate::adapter::{SyncEvents, secrets_of};
use crate::application;
use crate::arguments::RollbackArguments;
use crate::engine::Engine;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: &RollbackArguments) -> Result<(), Failure> {
    let record = application::choose(machine, arguments.application.application.as_deref()).await?;
    let repository = application::repository(&record);
    let secrets = secrets_of(repository.as_ref())?;
    let engine = Engine::open(machine, secrets)?;
    let request = RollbackRequest {
        application: application::parsed(&record)?,
        document: record.document,
        number: arguments.to,
        at_hand: repository.map(|repository| repository.objects).unwrap_or_default(),
        prune: true,
        command: crate::machine::own_command(),
    };
    let events = SyncEvents::new(printer);
    let outcome = rollback(&engine.seams(&events, Tempo::default()), &request).await?;
    outcome::report(printer, &outcome)
}
