//! `undefined-variable`: three uses of a variable that are empty for certain, or nearly so:
//!
//! - in FROM, a name that no ARG above the first FROM declares;
//! - in a stage, a global ARG or one of the platform arguments that the stage does not declare again;
//! - in a stage, a name one slip away from a declared one.
//!
//! Any other name may come from the base image, which is not known here.

use minato_dockerfile::{Instruction, Stage, Transfer, Word};
use minato_resource::nearest;

use crate::rule::Finding;
use crate::scope::Scope;
use crate::subject::Dockerfile;

/// Declared globally by every builder.
const PLATFORM: [&str; 8] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

/// Names that nearly every base image sets; one slip away from another name is no slip then.
const USUAL: [&str; 8] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TERM", "SHELL", "HOSTNAME"];

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let globals = Scope::of_globals(subject.build.dockerfile);
    let mut findings = Vec::new();
    for stage in &subject.build.dockerfile.stages {
        let from = &stage.from.value;
        for word in std::iter::once(&from.image).chain(&from.platform) {
            findings.extend(globals.undeclared(word).iter().filter_map(|name| in_from(word, name, &globals)));
        }
        findings.extend(in_stage(subject, stage, &globals));
    }
    findings
}

fn in_from(word: &Word, name: &str, globals: &Scope) -> Option<Finding> {
    if PLATFORM.contains(&name) {
        return None;
    }
    let hint = match nearest(name, globals.names().chain(PLATFORM)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("put ARG {name}=DEFAULT above the first FROM"),
    };
    Some(Finding::at(word.span, format!("the variable {name} is not declared before the first FROM"), hint))
}

fn in_stage(subject: &Dockerfile<'_>, stage: &Stage, globals: &Scope) -> Vec<Finding> {
    let mut scope = Scope::of_stage(subject.build.dockerfile);
    // Stages inherit the environment of the stage they start from.
    for parent in subject.lineage_of(stage).into_iter().skip(1).collect::<Vec<_>>().into_iter().rev() {
        parent.instructions.iter().for_each(|statement| scope.apply(&statement.value, globals));
    }
    let mut findings = Vec::new();
    for statement in &stage.instructions {
        for word in expanded_words(&statement.value) {
            let undeclared = scope.undeclared(word);
            findings.extend(undeclared.iter().filter_map(|name| in_instruction(word, name, &scope, globals)));
        }
        scope.apply(&statement.value, globals);
    }
    findings
}

fn in_instruction(word: &Word, name: &str, scope: &Scope, globals: &Scope) -> Option<Finding> {
    if globals.declares(name) || PLATFORM.contains(&name) {
        let message = format!(
            "the variable {name} is not declared in this stage; it is empty unless the base image sets it"
        );
        return Some(Finding::at(word.span, message, format!("put ARG {name} under the stage's FROM")));
    }
    let meant = nearest(name, scope.names()).filter(|_| !USUAL.contains(&name))?;
    let message = format!("the variable {name} is not declared");
    Some(Finding::at(word.span, message, format!("did you mean {meant}?")))
}

/// The operands in which the builder expands variables.
fn expanded_words(instruction: &Instruction) -> Vec<&Word> {
    match instruction {
        Instruction::Add(add) => transfer_words(&add.transfer).into_iter().chain(&add.checksum).collect(),
        Instruction::Copy(copy) => transfer_words(&copy.transfer),
        Instruction::Arg(arg) => arg.definitions.iter().filter_map(|it| it.default.as_ref()).collect(),
        Instruction::Env(env) => env.pairs.iter().map(|pair| &pair.value).collect(),
        Instruction::Label(label) => label.pairs.iter().map(|pair| &pair.value).collect(),
        Instruction::Expose(expose) => expose.ports.iter().collect(),
        Instruction::Volume(volume) => volume.paths.iter().collect(),
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
