//! `minato registry`: one file per verb.

mod serve;

use crate::arguments::{RegistryArguments, RegistryVerb};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(machine: &Machine, printer: &Printer, arguments: RegistryArguments) -> Result<(), Failure> {
    match arguments.verb {
        RegistryVerb::Serve(arguments) => serve::run(machine, printer, &arguments).await,
    }
}
