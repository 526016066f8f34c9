//! `minato diff`: what `up` would change.

use std::fmt::Write;

use minato_sync::{Compared, Comparison, Difference, ObjectState, Silent, Tempo, diff};

use crate::adapter::secrets_of;
use crate::arguments::{DiffArguments, Output};
use crate::engine::{self, Engine};
use crate::exit::Failure;
use crate::findings;
use crate::images;
use crate::machine::Machine;
use crate::print::{self, Printer, Table, style, styled};
use crate::repository::Repository;

/// Builds what is not built yet, compares, changes nothing that runs. Exit code 1 when there is a difference.
pub async fn run(machine: &Machine, printer: &Printer, arguments: &DiffArguments) -> Result<(), Failure> {
    let repository = Repository::read(&arguments.repository.directory, arguments.repository.app.as_deref())?;
    let deployable = images::prepare(machine, printer, &repository, &arguments.image).await?;
    let engine = Engine::open(machine, secrets_of(Some(&repository))?)?;
    let context = engine::context(&repository, &deployable);
    findings::refuse(printer, &engine.check(&context).await?)?;
    let comparison =
        diff(&engine.seams(&Silent, Tempo::default()), &repository.application, &context).await?;
    match arguments.output.output {
        Output::Table => print::to_stdout(&text(&comparison))?,
        output => print::data(output, &comparison, || Table::new([]))?,
    }
    let same = comparison.objects.iter().all(|object| object.state == ObjectState::Synced);
    if same { Ok(()) } else { Err(Failure::No) }
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
