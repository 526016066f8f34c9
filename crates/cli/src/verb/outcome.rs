//! How an operation went, in words and as an exit code: the same for `up`, `sync` and `rollback`, on every engine.

use std::collections::BTreeSet;

use minato_sync::{Outcome, Revision};
use minato_workload::{Filter, Status, Supervisor};

use crate::adapter::describe;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, style, styled};

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

/// Where it is reached on this machine. The addresses go to stdout: they are what a script wants of `up`.
pub async fn say_where(machine: &Machine, printer: &Printer, name: &str) -> Result<(), Failure> {
    let supervisor: Supervisor = machine.supervisor().await?;
    let status = supervisor.status(&Filter::application(name)).await?;
    warn_of_what_is_not_enforced(printer, &status);
    for service in &status.services {
        for port in &service.published {
            printer.line(&styled(style::FAINT, format_args!("{} port {}:", service.key.name, port.port)));
            print::to_stdout(&format!("{}\n", port.address()))?;
        }
        if let Some(problem) = &service.problem {
            printer.warning(&format!("service {}: {problem}", service.key.name));
        }
    }
    Ok(())
}

/// Said each time: what runs is never silently less protected or limited than asked.
fn warn_of_what_is_not_enforced(printer: &Printer, status: &Status) {
    let replicas = status.workloads.iter().flat_map(|workload| &workload.replicas);
    let containers = replicas.flat_map(|replica| &replica.containers);
    let warnings: BTreeSet<&String> = containers.flat_map(|container| &container.warnings).collect();
    warnings.into_iter().for_each(|warning| printer.warning(warning));
}

fn bad(printer: &Printer, text: &str) {
    printer.line(&styled(style::BAD, text));
}

fn name(revision: &Revision) -> String {
    format!("revision {} ({})", revision.number, revision.content.revision)
}
