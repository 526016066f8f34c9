//! `UndefinedVar`: a variable that neither the base image nor ENV nor ARG declares is empty.
//!
//! Where the base image is not known, any name may come from it. Then three uses are told, which are mistakes for certain
//! or nearly so: of a global ARG or a platform's argument that the stage does not declare again, and of a name one slip
//! away from a declared one.

use std::collections::BTreeSet;

use minato_dockerfile::{Heredoc, Instruction, Transfer, Word, expand_text};
use minato_resource::{Span, nearest};

use super::analysis::{Analysis, Step};
use super::environment::Environment;
use crate::rule::Finding;

/// Names that nearly every base image sets; one slip away from another name is no slip then.
const USUAL: [&str; 8] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TERM", "SHELL", "HOSTNAME"];

/// Arguments that a builder reads and no step ever sees.
const INTERNAL: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

pub(super) fn undefined(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    analysis.follow(|step| {
        if let Instruction::Arg(arg) = &step.statement.value {
            let mut environment = step.environment.clone();
            environment.declare_each(arg, Some(&analysis.globals), |environment, definition| {
                let default =
                    definition.default.as_ref().filter(|_| !environment.is_given(&definition.name.raw));
                found.extend(default.into_iter().flat_map(|word| in_word(step, environment, word)));
            });
        }
        for word in expanded_words(&step.statement.value) {
            found.extend(in_word(step, step.environment, word));
        }
        for heredoc in heredocs(&step.statement.value).iter().filter(|heredoc| heredoc.expand) {
            let expanded = step.environment.expanding(|lookup| expand_text(&heredoc.content(), lookup).ok());
            found.extend(in_place(step, step.environment, expanded.missing, heredoc.span));
        }
    });
    found
}

fn in_word(step: &Step<'_, '_>, environment: &Environment, word: &Word) -> Vec<Finding> {
    in_place(step, environment, environment.expand(word).missing, word.span)
}

fn in_place(
    step: &Step<'_, '_>,
    environment: &Environment,
    missing: BTreeSet<String>,
    span: Span,
) -> Vec<Finding> {
    let undefined = missing.into_iter().filter(|name| !environment.declares(name));
    let undefined = undefined.filter(|name| !INTERNAL.contains(&name.as_str()));
    undefined.filter_map(|name| finding(step, environment, &name, step.place(span))).collect()
}

fn finding(step: &Step<'_, '_>, environment: &Environment, name: &str, place: Span) -> Option<Finding> {
    if step.analysis.globals.declares(name) {
        let message = match environment.is_complete() {
            true => format!("the variable {name} is not declared in this stage, so it is empty"),
            false => format!(
                "the variable {name} is not declared in this stage; it is empty unless the base image sets it"
            ),
        };
        return Some(Finding::at(place, message, format!("put ARG {name} under the stage's FROM")));
    }
    let message = format!("the variable {name} is not declared");
    let meant = nearest(name, environment.names()).filter(|_| !USUAL.contains(&name));
    match meant {
        Some(meant) => Some(Finding::at(place, message, format!("did you mean {meant}?"))),
        None if environment.is_complete() => {
            let hint = format!("put ARG {name} or ENV {name}=… above it; \\${name} is the text itself");
            Some(Finding::at(place, message, hint))
        }
        None => None,
    }
}

/// The operands in which the builder expands variables, but for those of ARG, which see each other, and of EXPOSE.
fn expanded_words(instruction: &Instruction) -> Vec<&Word> {
    match instruction {
        Instruction::Add(add) => transfer_words(&add.transfer).into_iter().chain(&add.checksum).collect(),
        Instruction::Copy(copy) => transfer_words(&copy.transfer),
        Instruction::Env(env) => env.pairs.iter().flat_map(|pair| [&pair.name, &pair.value]).collect(),
        Instruction::Label(label) => label.pairs.iter().flat_map(|pair| [&pair.name, &pair.value]).collect(),
        Instruction::Volume(volume) => volume.paths.iter().collect(),
        Instruction::Run(run) => {
            let fields = run.mounts.iter().flat_map(|mount| &mount.fields);
            fields.filter_map(|field| field.value.as_ref()).collect()
        }
        Instruction::User(word) | Instruction::Workdir(word) | Instruction::Stopsignal(word) => {
            vec![&word.operand]
        }
        _ => Vec::new(),
    }
}

fn transfer_words(transfer: &Transfer) -> Vec<&Word> {
    let flags = [&transfer.options.chown, &transfer.options.chmod];
    let operands = transfer.sources.iter().chain([&transfer.destination]);
    operands.chain(flags.into_iter().flatten()).collect()
}

fn heredocs(instruction: &Instruction) -> &[Heredoc] {
    match instruction {
        Instruction::Add(add) => &add.transfer.heredocs,
        Instruction::Copy(copy) => &copy.transfer.heredocs,
        _ => &[],
    }
}
