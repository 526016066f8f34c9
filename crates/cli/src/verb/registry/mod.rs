//! `minato registry`: one file per verb.

mod delete;
mod inspect;
mod list;
mod retain;
mod rules;
mod serve;

use minato_registry::ResolveError;

use crate::arguments::{RegistryArguments, RegistryVerb};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: RegistryArguments) -> Result<(), Failure> {
    match arguments.verb {
        RegistryVerb::Serve(arguments) => serve::run(machine, printer, &arguments).await,
        RegistryVerb::Retain(arguments) => retain::run(machine, printer, &arguments),
        RegistryVerb::Inspect(arguments) => inspect::run(machine, printer, &arguments).await,
        RegistryVerb::List(arguments) => list::repositories(machine, printer, &arguments).await,
        RegistryVerb::Tags(arguments) => list::tags(machine, printer, &arguments).await,
        RegistryVerb::Referrers(arguments) => list::referrers(machine, printer, &arguments).await,
        RegistryVerb::Delete(arguments) => delete::run(machine, printer, &arguments).await,
    }
}

/// What a registry refuses is an answer; that it can't be reached is none.
fn failure(error: ResolveError) -> Failure {
    match &error {
        ResolveError::Request(request) if request.is_refusal() => Failure::Refused(error.into()),
        ResolveError::Platform { .. } => Failure::Refused(error.into()),
        _ => Failure::Error(error.into()),
    }
}
