//! `minato registry retain`: what the policy does not keep goes, or is told.

use anyhow::anyhow;
use minato_registry::server::{LetGo, let_go};

use super::rules;
use crate::arguments::{Output, RetainArguments};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, Table};

pub fn run(machine: &Machine, printer: &Printer, arguments: &RetainArguments) -> Result<(), Failure> {
    let rules = rules::read(&arguments.config)?;
    let path = arguments.config.display();
    let policy =
        rules.retention.ok_or_else(|| anyhow!("{path}: it has no `retention`; write the rules there"))?;
    let folder = arguments.data.clone().unwrap_or_else(|| machine.data().join("registry"));
    // A folder that is not there would be made, and a slip of the pen would look like an empty registry.
    if !folder.join("registry.json").is_file() {
        return Err(anyhow!("{}: there is no registry; name its folder with --data", folder.display()).into());
    }
    let gone = let_go(&folder, &policy, &rules.immutable_tags, arguments.dry_run)?;
    match arguments.output.output {
        Output::Table => print::to_stdout(&gone.iter().map(lines).collect::<String>())?,
        output => print::data(output, &gone, || Table::new([]))?,
    }
    let count = |of: fn(&LetGo) -> usize| gone.iter().map(of).sum::<usize>();
    let (tags, manifests) = (count(|gone| gone.tags.len()), count(|gone| gone.manifests.len()));
    let would = if arguments.dry_run { "would go; nothing was changed" } else { "gone" };
    printer.line(&format!("{tags} tags and {manifests} manifests {would}"));
    Ok(())
}

/// References, one a line.
fn lines(gone: &LetGo) -> String {
    let repository = &gone.repository;
    let tags = gone.tags.iter().map(|tag| format!("{repository}:{tag}\n"));
    tags.chain(gone.manifests.iter().map(|digest| format!("{repository}@{digest}\n"))).collect()
}
