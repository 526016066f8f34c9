//! `minato check`: what the rules say of a repository's files.

use crate::arguments::{CheckArguments, Output};
use crate::exit::Failure;
use crate::findings;
use crate::print::{self, Printer, Table, style, styled};
use crate::repository::Repository;

/// Exit code 1 when a finding is an error.
pub fn run(printer: &Printer, arguments: &CheckArguments) -> Result<(), Failure> {
    let repository = Repository::read(&arguments.repository.directory, arguments.repository.app.as_deref())?;
    let mut found = repository.warnings.clone();
    found.extend(findings::of(&repository, &arguments.repository.allow, &arguments.build_arg)?);
    match arguments.output.output {
        Output::Table if found.is_empty() => printer.line(&styled(style::GOOD, "no findings")),
        Output::Table => {
            print::to_stdout(&print::rendered(&found))?;
            printer.line(&print::summary_of(&found));
        }
        output => print::data(output, &found, || Table::new([]))?,
    }
    if found.iter().any(minato_resource::Diagnostic::is_error) { Err(Failure::No) } else { Ok(()) }
}
