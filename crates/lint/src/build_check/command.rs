//! CMD, ENTRYPOINT, HEALTHCHECK, MAINTAINER, and the old form of ENV and LABEL.

use minato_dockerfile::{Command, Instruction, Pair, PairForm, Statement, Word};
use minato_resource::Span;

use super::analysis::Analysis;
use crate::rule::Finding;

/// Where SHELL is set, a shell is meant.
pub(super) fn shell_form(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut has_shell = vec![false; analysis.stages.len()];
    analysis.follow(|step| {
        if matches!(step.statement.value, Instruction::Shell(_)) {
            has_shell[step.stage] = true;
        }
        let (Instruction::Cmd(Command::Shell(line)) | Instruction::Entrypoint(Command::Shell(line))) =
            &step.statement.value
        else {
            return;
        };
        let base = analysis.lineage(step.stage).any(|stage| has_shell[stage] || sets_shell(analysis, stage));
        if !base {
            let keyword = &step.statement.keyword;
            let message = format!("this {} starts a shell, and the shell gets the signals", keyword.raw);
            let words: Vec<String> = line.raw.split_whitespace().map(|word| format!("{word:?}")).collect();
            let hint = match is_plain(&line.raw) {
                true => format!("write {} [{}]", keyword.raw.to_uppercase(), words.join(", ")),
                false => "write it as a JSON array, or say with SHELL that a shell is meant".to_owned(),
            };
            found.push(Finding::at(step.place(step.statement.span), message, hint));
        }
    });
    found
}

fn sets_shell(analysis: &Analysis<'_>, stage: usize) -> bool {
    analysis.stages[stage].base.as_ref().is_some_and(|base| base.has_shell)
}

/// Whether the words of a line are the same to a shell and to a JSON array.
fn is_plain(line: &str) -> bool {
    !line.trim().is_empty()
        && line.len() < 100
        && line.chars().all(|it| it.is_ascii_alphanumeric() || "-_./:=,@ ".contains(it))
}

pub(super) fn maintainer(analysis: &Analysis<'_>) -> Vec<Finding> {
    let statements = analysis.dockerfile().stages.iter().flat_map(|stage| &stage.instructions);
    let found = statements.filter_map(|statement| match &statement.value {
        Instruction::Maintainer(_) => Some(Finding::at(
            statement.keyword.span,
            "MAINTAINER is deprecated",
            "write LABEL org.opencontainers.image.authors=\"…\"",
        )),
        _ => None,
    });
    found.collect()
}

/// The earlier one is what has no effect.
pub(super) fn repeated(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut last: Vec<[Option<Span>; 3]> = vec![[None; 3]; analysis.stages.len()];
    analysis.follow(|step| {
        let Some(kind) = replaceable(step.statement) else { return };
        let place = step.place(step.statement.span);
        if let Some(earlier) = last[step.stage][kind].replace(place) {
            let name = step.statement.keyword.raw.to_uppercase();
            let message = format!("this {name} has no effect, because the stage has another one below");
            found.push(Finding::at(earlier, message, "remove it"));
        }
    });
    found
}

fn replaceable(statement: &Statement<Instruction>) -> Option<usize> {
    match statement.value {
        Instruction::Cmd(_) => Some(0),
        Instruction::Entrypoint(_) => Some(1),
        Instruction::Healthcheck(_) => Some(2),
        _ => None,
    }
}

pub(super) fn without_equals(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    analysis.follow(|step| {
        let (pairs, keyword): (&[Pair], &Word) = match &step.statement.value {
            Instruction::Env(env) => (&env.pairs, &step.statement.keyword),
            Instruction::Label(label) => (&label.pairs, &step.statement.keyword),
            _ => return,
        };
        for pair in pairs.iter().filter(|pair| pair.form == PairForm::Blank) {
            let message = format!("{} {} without an equals sign is the old form", keyword.raw, pair.name.raw);
            let hint =
                format!("write {} {}=…, with quotes where the value has blanks", keyword.raw, pair.name.raw);
            found.push(Finding::at(step.place(pair.name.span), message, hint));
        }
    });
    found
}
