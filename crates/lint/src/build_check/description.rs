//! `InvalidDefinitionDescription`: a comment above an ARG or a named stage describes it and begins with its name.

use minato_dockerfile::{Arg, Instruction, Statement};

use super::analysis::Analysis;
use crate::rule::Finding;

pub(super) fn wrong(analysis: &Analysis<'_>) -> Vec<Finding> {
    let dockerfile = analysis.dockerfile();
    let mut found: Vec<Finding> =
        dockerfile.global_args.iter().filter_map(|it| in_arg(it, &it.value)).collect();
    for stage in &dockerfile.stages {
        let names: Vec<&str> = stage.from.value.name.iter().map(|name| name.raw.as_str()).collect();
        found.extend(judge(&stage.from, "FROM", &names));
        found.extend(stage.instructions.iter().filter_map(|it| match &it.value {
            Instruction::Arg(arg) => in_arg(it, arg),
            _ => None,
        }));
    }
    found
}

fn in_arg<T>(statement: &Statement<T>, arg: &Arg) -> Option<Finding> {
    let names: Vec<&str> = arg.definitions.iter().map(|it| it.name.raw.as_str()).collect();
    judge(statement, "ARG", &names)
}

fn judge<T>(statement: &Statement<T>, keyword: &str, names: &[&str]) -> Option<Finding> {
    let comment = statement.comments.last()?;
    let first = comment.split(' ').next().unwrap_or("");
    if names.is_empty() || names.contains(&first) {
        return None;
    }
    let message = format!("the comment above this {keyword} does not begin with its name");
    let hint = format!("write # {} DESCRIPTION, or put an empty comment in between", names[0]);
    Some(Finding::at(statement.keyword.span, message, hint))
}
