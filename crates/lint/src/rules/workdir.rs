//! `relative-workdir`: a relative WORKDIR is under the one before, and the first one under the base image's.

use minato_dockerfile::{Instruction, Stage, Word};

use crate::rule::Finding;
use crate::scope::Scope;
use crate::subject::Dockerfile;

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let stages = &subject.build.dockerfile.stages;
    stages.iter().filter_map(|stage| first_relative(subject, stage)).collect()
}

fn first_relative(subject: &Dockerfile<'_>, stage: &Stage) -> Option<Finding> {
    let (word, value) = first_workdir(subject, stage)?;
    let inherited =
        subject.lineage_of(stage).into_iter().skip(1).any(|parent| first_workdir(subject, parent).is_some());
    if inherited || value.starts_with('/') {
        return None;
    }
    let message = format!("WORKDIR {value} is relative, so where it is depends on the base image");
    Some(Finding::at(word.span, message, format!("write WORKDIR /{value}")))
}

/// The first WORKDIR of a stage whose value the file tells.
fn first_workdir<'a>(subject: &Dockerfile<'_>, stage: &'a Stage) -> Option<(&'a Word, String)> {
    let globals = Scope::of_globals(subject.build.dockerfile);
    let mut scope = Scope::of_stage(subject.build.dockerfile);
    for statement in &stage.instructions {
        scope.apply(&statement.value, &globals);
        if let Instruction::Workdir(workdir) = &statement.value {
            return scope.resolve(&workdir.operand).map(|value| (&workdir.operand, value));
        }
    }
    None
}
