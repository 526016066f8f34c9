//! `minato up`: checks, builds and runs a repository on this machine.

use minato_sync::{Outcome, SyncRequest, Tempo, sync};
use minato_workload::Filter;

use super::outcome;
use crate::adapter::{SyncEvents, secrets_of};
use crate::application;
use crate::arguments::UpArguments;
use crate::engine::{self, Engine};
use crate::exit::Failure;
use crate::findings;
use crate::images::{self, Deployable};
use crate::machine::{self, Machine};
use crate::print::{self, Printer};
use crate::repository::Repository;

/// How long one `up` waits for another of the same application.
const LOCK_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30 * 60);

pub async fn run(machine: &Machine, printer: &Printer, arguments: &UpArguments) -> Result<(), Failure> {
    if arguments.watch {
        return super::follow::changes(printer, arguments).await;
    }
    let name = deploy(machine, printer, arguments).await?;
    if printer.is_live() && !arguments.detach {
        return super::live::run(machine, printer, &Filter::application(name)).await;
    }
    Ok(())
}

/// One time through: read, check, build, sync. Gives the application's name.
async fn deploy(machine: &Machine, printer: &Printer, arguments: &UpArguments) -> Result<String, Failure> {
    let repository = Repository::read(&arguments.repository.directory, arguments.repository.app.as_deref())?;
    print::print_diagnostics(printer, &repository.warnings);
    application::refuse_other_destination(machine, &repository.application).await?;
    let found = findings::of(&repository, &arguments.repository.allow, &arguments.image.build_arg)?;
    print::print_diagnostics(printer, &found);
    if found.iter().any(minato_resource::Diagnostic::is_error) {
        printer.line(&format!("{}; nothing was built or changed", print::summary_of(&found)));
        return Err(Failure::No);
    }
    let deployable = images::prepare(machine, printer, &repository, &arguments.image).await?;
    let engine = Engine::of_this_machine(machine, secrets_of(Some(&repository))?)?;
    findings::refuse(printer, &engine.check(&engine::context(&repository, &deployable)).await?)?;
    let name = repository.application.name.as_str().to_owned();
    let repositories = images::repositories(deployable.images.keys());
    let request = request(repository, deployable);
    let events = SyncEvents::new(printer);
    let lock = if arguments.no_wait { std::time::Duration::ZERO } else { LOCK_PATIENCE };
    let outcome = sync(&engine.seams(&events, Tempo { lock, ..Tempo::default() }), &request).await?;
    drop(events);
    outcome::report(printer, &outcome)?;
    if !matches!(outcome, Outcome::Unchanged) {
        machine.forget_old_versions(printer, &repositories);
    }
    outcome::say_where(machine, printer, &name).await?;
    Ok(name)
}

fn request(repository: Repository, deployable: Deployable) -> SyncRequest {
    SyncRequest {
        application: repository.application,
        document: repository.document,
        revision: deployable.revision,
        objects: deployable.objects,
        images: deployable.images,
        // The folder is all there is: what it no longer says must not go on running.
        prune: true,
        command: machine::own_command(),
    }
}
