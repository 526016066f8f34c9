//! `WorkdirRelativePath`: a relative WORKDIR is under the one before, and the first one under the base image's.

use minato_dockerfile::Instruction;

use super::analysis::Analysis;
use crate::rule::Finding;

pub(super) fn relative(analysis: &Analysis<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut set = vec![false; analysis.stages.len()];
    analysis.follow(|step| {
        let Instruction::Workdir(workdir) = &step.statement.value else { return };
        let fixed = analysis.lineage(step.stage).any(|stage| set[stage]);
        set[step.stage] = true;
        let path = step.environment.expand(&workdir.operand).text;
        if let Some(path) = path.filter(|path| !fixed && !path.starts_with('/')) {
            let message = format!("WORKDIR {path:?} is relative, so where it is depends on the base image");
            found.push(Finding::at(
                step.place(workdir.operand.span),
                message,
                format!("write WORKDIR /{path}"),
            ));
        }
    });
    found
}
