//! What variables of a Dockerfile are worth, as far as the file tells.

use std::cell::Cell;
use std::collections::BTreeMap;

use minato_dockerfile::{Arg, Dockerfile, Env, Instruction, Stage, Word, expand};
use minato_resource::Span;

use crate::subject;

/// The variables at one point of a Dockerfile. A name without a value is declared, but its value is not in the file.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    escape: char,
    values: BTreeMap<String, Option<String>>,
}

impl Scope {
    /// What FROM lines see: the ARGs before the first of them.
    pub(crate) fn of_globals(dockerfile: &Dockerfile) -> Scope {
        let mut scope = Scope { escape: dockerfile.escape, values: BTreeMap::new() };
        for arg in &dockerfile.global_args {
            scope.declare(&arg.value, &scope.clone());
        }
        scope
    }

    /// What the first instruction of a stage sees. Variables of a foreign base image are not known.
    pub(crate) fn of_stage(dockerfile: &Dockerfile) -> Scope {
        Scope { escape: dockerfile.escape, values: BTreeMap::new() }
    }

    /// Takes an instruction's variables in.
    pub(crate) fn apply(&mut self, instruction: &Instruction, globals: &Scope) {
        match instruction {
            Instruction::Arg(arg) => self.declare(arg, globals),
            Instruction::Env(env) => self.set(env),
            _ => {}
        }
    }

    /// The word with its variables replaced; `None` when the file does not tell.
    pub(crate) fn resolve(&self, word: &Word) -> Option<String> {
        let unknown = Cell::new(false);
        let lookup = |name: &str| match self.values.get(name) {
            Some(Some(value)) => Some(value.clone()),
            _ => {
                unknown.set(true);
                None
            }
        };
        expand(word, self.escape, &lookup).ok().filter(|_| !unknown.get())
    }

    fn declare(&mut self, arg: &Arg, globals: &Scope) {
        for definition in &arg.definitions {
            let Some(name) = self.resolve(&definition.name) else { continue };
            let value = match &definition.default {
                Some(default) => self.resolve(default),
                None => globals.values.get(&name).cloned().flatten(),
            };
            self.values.insert(name, value);
        }
    }

    fn set(&mut self, env: &Env) {
        let before = self.clone();
        for pair in &env.pairs {
            if let Some(name) = before.resolve(&pair.name) {
                self.values.insert(name, before.resolve(&pair.value));
            }
        }
    }
}

/// The user that an image's processes have.
pub(crate) struct User {
    pub name: String,
    pub span: Span,
}

impl User {
    /// Root by name or number, whatever the group is.
    pub(crate) fn is_root(&self) -> bool {
        is_root(&self.name)
    }
}

/// `root`, `0`, with or without a group.
pub(crate) fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), Some("root" | "0" | ""))
}

/// The last USER of the final stage or of the stages it is made from; `None` when there is none, or when its value is not in
/// the file.
pub(crate) fn final_user(subject: &subject::Dockerfile<'_>) -> Option<User> {
    let lineage = subject.lineage();
    let (stage, word) = lineage.iter().find_map(|stage| Some((stage, last_user(stage)?)))?;
    let name = scope_at_end(stage, subject.build.dockerfile).resolve(word)?;
    Some(User { name, span: word.span })
}

fn last_user(stage: &Stage) -> Option<&Word> {
    stage.instructions.iter().rev().find_map(|statement| match &statement.value {
        Instruction::User(user) => Some(&user.operand),
        _ => None,
    })
}

fn scope_at_end(stage: &Stage, dockerfile: &Dockerfile) -> Scope {
    let globals = Scope::of_globals(dockerfile);
    let mut scope = Scope::of_stage(dockerfile);
    for statement in &stage.instructions {
        scope.apply(&statement.value, &globals);
    }
    scope
}
