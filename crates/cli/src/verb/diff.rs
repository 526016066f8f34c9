//! `minato diff`: what `up` or `sync` would change.

use std::fmt::Write;

use minato_sync::{Compared, Comparison, Difference, ObjectState, Silent, Tempo, diff};

use crate::adapter::{SyncEvents, secrets_of};
use crate::application;
use crate::arguments::{DiffArguments, Output};
use crate::declared::Declared;
use crate::desired::prepare;
use crate::engine::{self, Engine};
use crate::exit::Failure;
use crate::findings;
use crate::images;
use crate::machine::Machine;
use crate::print::{self, Printer, Table, style, styled};
use crate::repository::Repository;

/// Compares, changes nothing that runs. Exit code 1 when there is a difference.
pub async fn run(machine: &Machine, printer: &Printer, arguments: &DiffArguments) -> Result<(), Failure> {
    let comparison = match declared(machine, arguments).await? {
        Some(declared) => of_declared(machine, printer, &declared, arguments).await?,
        None => of_work_tree(machine, printer, arguments).await?,
    };
    match arguments.output.output {
        Output::Table => print::to_stdout(&text(&comparison))?,
        output => print::data(output, &comparison, || Table::new([]))?,
    }
    let same = comparison.objects.iter().all(|object| object.state == ObjectState::Synced);
    if same { Ok(()) } else { Err(Failure::No) }
}

/// The Application that a file declares, or that a name means: a name is no folder.
async fn declared(machine: &Machine, arguments: &DiffArguments) -> Result<Option<Declared>, Failure> {
    if let Some(file) = &arguments.file {
        return Ok(Some(Declared::read(file)?));
    }
    let given = &arguments.repository.directory;
    if given.exists() {
        return Ok(None);
    }
    let record = application::choose(machine, given.to_str()).await?;
    Ok(Some(Declared::remembered(&record)?))
}

async fn of_declared(
    machine: &Machine,
    printer: &Printer,
    declared: &Declared,
    arguments: &DiffArguments,
) -> Result<Comparison, Failure> {
    print::print_diagnostics(printer, &declared.warnings);
    let application = &declared.application;
    application::refuse_other_destination(machine, application).await?;
    let (engine, desired) = prepare(machine, printer, declared, arguments.revision.as_deref()).await?;
    let events = SyncEvents::new(printer);
    Ok(diff(&engine.seams(&events, Tempo::default()), application, &desired.context(application)).await?)
}

/// Builds what is not built yet.
async fn of_work_tree(
    machine: &Machine,
    printer: &Printer,
    arguments: &DiffArguments,
) -> Result<Comparison, Failure> {
    let repository = Repository::read(&arguments.repository.directory, arguments.repository.app.as_deref())?;
    let deployable = images::prepare(machine, printer, &repository, &arguments.image).await?;
    let engine = Engine::of_this_machine(machine, secrets_of(Some(&repository))?)?;
    let context = engine::context(&repository, &deployable);
    findings::refuse(printer, &engine.check(&context).await?)?;
    Ok(diff(&engine.seams(&Silent, Tempo::default()), &repository.application, &context).await?)
}

fn text(comparison: &Comparison) -> String {
    comparison.objects.iter().map(object).collect()
}

fn object(object: &Compared) -> String {
    let key = styled(style::STRONG, &object.key);
    match &object.state {
        ObjectState::Synced => String::new(),
        ObjectState::Missing => format!("{} {key}\n", styled(style::GOOD, "+")),
        ObjectState::Extra => format!("{} {key}\n", styled(style::BAD, "-")),
        ObjectState::OutOfSync { differences } => {
            let mut text = format!("{} {key}\n", styled(style::WARN, "~"));
            differences.iter().for_each(|difference| field(&mut text, difference));
            text
        }
    }
}

fn field(text: &mut String, difference: &Difference) {
    let _ = writeln!(text, "    {}", difference.pointer);
    if let Some(live) = &difference.live {
        let _ = writeln!(text, "      {} {live}", styled(style::BAD, "-"));
    }
    if let Some(desired) = &difference.desired {
        let _ = writeln!(text, "      {} {desired}", styled(style::GOOD, "+"));
    }
}
