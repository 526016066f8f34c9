//! `CopyIgnoredFile`: what `.dockerignore` leaves out can't be copied.

use minato_dockerfile::{Instruction, Transfer};

use super::analysis::{Analysis, Step};
use crate::rule::Finding;

/// An ignore file with exceptions is not judged: a file in a folder that is left out may be taken back.
pub(super) fn copied(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if analysis.build.ignore.is_none_or(|it| it.is_empty() || it.has_exceptions()) {
        return found;
    }
    analysis.follow(|step| match &step.statement.value {
        Instruction::Copy(copy) if copy.from.is_none() => found.extend(in_transfer(step, &copy.transfer)),
        Instruction::Add(add) => found.extend(in_transfer(step, &add.transfer)),
        _ => {}
    });
    found
}

fn in_transfer(step: &Step<'_, '_>, transfer: &Transfer) -> Vec<Finding> {
    let found = transfer.sources.iter().filter_map(|word| {
        let source = step.environment.expand(word).text.filter(|it| !is_remote(it))?;
        let path = clean(&source);
        let message = format!("{path} is left out by the ignore file, so it can't be copied");
        let hint = "take it out of the ignore file, or don't copy it";
        is_excluded(step.analysis, &path).then(|| Finding::at(step.place(word.span), message, hint))
    });
    found.collect()
}

fn is_excluded(analysis: &Analysis<'_>, path: &str) -> bool {
    let Some(ignore) = analysis.build.ignore else { return false };
    match path {
        "." | "/" => ignore.excludes_everything(),
        path => ignore.is_excluded(path),
    }
}

/// An address, or what Git understands as one.
fn is_remote(source: &str) -> bool {
    source.contains("://") || source.starts_with("git@")
}

/// Without `.`, `//`, `x/..` and a slash at the end.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}
