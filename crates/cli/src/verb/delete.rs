//! `minato delete`: stops an application and removes everything it left on this machine.

use minato_sync::{ApplicationName, DeleteRequest, Tempo, delete};

use crate::adapter::{SyncEvents, secrets_of};
use crate::application;
use crate::arguments::DeleteArguments;
use crate::engine::Engine;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: &DeleteArguments) -> Result<(), Failure> {
    let names = names(machine, arguments).await?;
    if names.is_empty() {
        printer.line("nothing is deployed on this machine");
        return Ok(());
    }
    let engine = Engine::open(machine, secrets_of(None)?)?;
    let events = SyncEvents::new(printer);
    for name in names {
        let request = DeleteRequest { name, command: crate::machine::own_command() };
        delete(&engine.seams(&events, Tempo::default()), &request).await?;
    }
    Ok(())
}

async fn names(machine: &Machine, arguments: &DeleteArguments) -> anyhow::Result<Vec<ApplicationName>> {
    let given = arguments.application.application.as_deref();
    let records = match arguments.all {
        true => application::all_or(machine, None).await?,
        false => vec![application::choose(machine, given).await?],
    };
    Ok(records.into_iter().map(|record| record.name).collect())
}
