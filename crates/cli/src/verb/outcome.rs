//! How an operation went, in words and as an exit code: the same for `up` and `rollback`.

use minato_sync::{Outcome, Revision};

use crate::adapter::describe;
use crate::exit::Failure;
use crate::print::{Printer, style, styled};

/// Says it. What is not healthy, or was rolled back, is a failure.
pub fn report(printer: &Printer, outcome: &Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Unchanged => printer.line("nothing changed; everything is healthy"),
        Outcome::Deployed(revision) => {
            let text = format!("revision {} ({}) is healthy", revision.number, revision.content.revision);
            printer.line(&styled(style::GOOD, text));
        }
        Outcome::RolledBack { cause, to } => {
            bad(printer, "the new revision did not become healthy");
            printer.line(&describe(cause));
            printer.line(&format!("{} serves", name(to)));
        }
        Outcome::RollbackFailed { cause, to, rollback_cause } => {
            bad(printer, "the new revision did not become healthy");
            printer.line(&describe(cause));
            bad(printer, &format!("and going back to {} failed", name(to)));
            printer.line(&describe(rollback_cause));
        }
        Outcome::Failed { cause } => {
            bad(printer, "it did not become healthy, and there is nothing to go back to");
            printer.line(&describe(cause));
        }
    }
    if outcome.is_healthy() { Ok(()) } else { Err(Failure::No) }
}

fn bad(printer: &Printer, text: &str) {
    printer.line(&styled(style::BAD, text));
}

fn name(revision: &Revision) -> String {
    format!("revision {} ({})", revision.number, revision.content.revision)
}
