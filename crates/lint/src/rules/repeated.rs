//! `repeated-command`: of CMD, ENTRYPOINT and HEALTHCHECK only the last one in a stage counts.

use minato_dockerfile::Instruction;

use crate::rule::Finding;
use crate::subject::Dockerfile;

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stage in &subject.build.dockerfile.stages {
        for (index, statement) in stage.instructions.iter().enumerate() {
            let Some(name) = replaceable(&statement.value) else { continue };
            let again = stage.instructions[index + 1..].iter().any(|it| replaceable(&it.value) == Some(name));
            if again {
                let message = format!("this {name} has no effect, because the stage has another one below");
                findings.push(Finding::at(statement.span, message, "remove it"));
            }
        }
    }
    findings
}

fn replaceable(instruction: &Instruction) -> Option<&'static str> {
    match instruction {
        Instruction::Cmd(_) => Some("CMD"),
        Instruction::Entrypoint(_) => Some("ENTRYPOINT"),
        Instruction::Healthcheck(_) => Some("HEALTHCHECK"),
        _ => None,
    }
}
