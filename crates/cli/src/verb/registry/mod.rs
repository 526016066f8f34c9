//! `minato registry`: one file per verb.

mod retain;
mod rules;
mod serve;

use crate::arguments::{RegistryArguments, RegistryVerb};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: RegistryArguments) -> Result<(), Failure> {
    match arguments.verb {
        RegistryVerb::Serve(arguments) => serve::run(machine, printer, &arguments).await,
        RegistryVerb::Retain(arguments) => retain::run(machine, printer, &arguments),
    }
}
