//! `minato sync`: makes an engine equal to what an Application asks for.

use minato_sync::{SyncRequest, Tempo, sync};

use super::outcome;
use crate::adapter::SyncEvents;
use crate::application;
use crate::arguments::SyncArguments;
use crate::declared::Declared;
use crate::desired::{Desired, prepare};
use crate::exit::Failure;
use crate::machine::{self, Machine};
use crate::print::{self, Printer, style, styled};

/// How long one `sync` waits for another of the same application.
const LOCK_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30 * 60);

pub async fn run(machine: &Machine, printer: &Printer, arguments: &SyncArguments) -> Result<(), Failure> {
    let declared = declared(machine, arguments).await?;
    print::print_diagnostics(printer, &declared.warnings);
    let application = &declared.application;
    application::refuse_other_destination(machine, application).await?;
    let (engine, desired) = prepare(machine, printer, &declared, arguments.revision.as_deref()).await?;
    let to = format!("{} to {} at {}", application.name, application.destination, desired.revision);
    printer.line(&styled(style::FAINT, format_args!("{to}: {} objects", desired.objects.len())));
    let runs_here = engine.runs_images_here();
    let name = application.name.to_string();
    let request = request(declared, desired, arguments);
    let events = SyncEvents::new(printer);
    let lock = if arguments.no_wait { std::time::Duration::ZERO } else { LOCK_PATIENCE };
    let outcome = sync(&engine.seams(&events, Tempo { lock, ..engine.tempo() }), &request).await?;
    drop(events);
    outcome::report(printer, &outcome)?;
    if runs_here { outcome::say_where(machine, printer, &name).await } else { Ok(()) }
}

async fn declared(machine: &Machine, arguments: &SyncArguments) -> Result<Declared, Failure> {
    match &arguments.application.file {
        Some(file) => Declared::read(file),
        None => Ok(Declared::remembered(&application::meant(machine, &arguments.application).await?)?),
    }
}

fn request(declared: Declared, desired: Desired, arguments: &SyncArguments) -> SyncRequest {
    let prune = arguments.prune.or_policy(&declared.application);
    SyncRequest {
        application: declared.application,
        document: declared.document,
        revision: desired.revision,
        objects: desired.objects,
        images: desired.images,
        prune,
        command: machine::own_command(),
    }
}
