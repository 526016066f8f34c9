//! The variables that an instruction sees, as the builder keeps them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use minato_dockerfile::{Arg, Dockerfile, Env, Instruction, Word, expand};
use minato_oci::Platform;

use crate::check::BaseImage;

/// ENV and ARG in one list.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    escape: char,
    variables: BTreeMap<String, String>,
    /// Every ARG so far, with or without a value.
    arguments: BTreeSet<String>,
    /// Whether all that the base image sets is in `variables`.
    complete: bool,
    given: Rc<BTreeMap<String, String>>,
}

/// A word with its variables replaced.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    /// `None` when it can't be expanded, or not for certain.
    pub(super) text: Option<String>,
    /// The variables that were asked for and have a value.
    pub(super) found: BTreeSet<String>,
    /// Those that have none.
    pub(super) missing: BTreeSet<String>,
}

impl Environment {
    /// What FROM lines see: arguments of the platform and the ARGs before the first FROM.
    pub(super) fn of_globals(
        dockerfile: &Dockerfile,
        given: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Environment {
        let last = dockerfile.stages.last().and_then(|stage| stage.from.value.name.as_ref());
        let stage = target.or(last.map(|name| name.raw.as_str())).filter(|name| !name.is_empty());
        let mut variables = platform_arguments(&Platform::host());
        variables.insert("TARGETSTAGE".to_owned(), stage.unwrap_or("default").to_owned());
        let mut globals = Environment {
            escape: dockerfile.escape,
            variables,
            arguments: BTreeSet::new(),
            complete: true,
            given: Rc::new(given.clone()),
        };
        for arg in &dockerfile.global_args {
            globals.declare(&arg.value, None);
        }
        globals
    }

    /// The same without what the command line gives.
    pub(super) fn of_defaults(dockerfile: &Dockerfile, target: Option<&str>) -> Environment {
        Environment::of_globals(dockerfile, &BTreeMap::new(), target)
    }

    /// What the first instruction of a stage sees.
    pub(super) fn of_stage(globals: &Environment, base: Option<&BaseImage>) -> Environment {
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        variables.insert("PATH".to_owned(), String::new());
        variables.extend(base.into_iter().flat_map(|base| base.environment.clone()));
        Environment {
            escape: globals.escape,
            variables,
            arguments: BTreeSet::new(),
            complete: base.is_some(),
            given: Rc::clone(&globals.given),
        }
    }

    /// Takes an instruction's variables in.
    pub(super) fn apply(&mut self, instruction: &Instruction, globals: &Environment) {
        match instruction {
            Instruction::Arg(arg) => self.declare(arg, Some(globals)),
            Instruction::Env(env) => self.set(env),
            _ => {}
        }
    }

    /// Takes the ARGs in one by one; `visit` is asked before each.
    pub(super) fn declare_each(
        &mut self,
        arg: &Arg,
        globals: Option<&Environment>,
        mut visit: impl FnMut(&Environment, &minato_dockerfile::ArgDefinition),
    ) {
        for definition in &arg.definitions {
            visit(self, definition);
            let name = definition.name.raw.clone();
            let default = definition.default.as_ref();
            let value = self.given.get(&name).cloned().or_else(|| match default {
                Some(default) => Some(self.expand(default).text.unwrap_or_default()),
                None => globals.and_then(|globals| globals.variables.get(&name).cloned()),
            });
            if let Some(value) = value {
                self.variables.insert(name.clone(), value);
            }
            self.arguments.insert(name);
        }
    }

    /// Replaces the variables of a word.
    pub(super) fn expand(&self, word: &Word) -> Expanded {
        self.expanding(|lookup| expand(word, self.escape, lookup).ok())
    }

    /// Records which variables `expand` asks for.
    pub(super) fn expanding(
        &self,
        expand: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Option<String>,
    ) -> Expanded {
        let asked = RefCell::new(Expanded::default());
        let lookup = |name: &str| {
            let value = self.variables.get(name).cloned();
            let mut asked = asked.borrow_mut();
            if value.is_some() {
                asked.found.insert(name.into())
            } else {
                asked.missing.insert(name.into())
            };
            value
        };
        let text = expand(&lookup);
        let asked = asked.into_inner();
        let certain = self.complete || asked.missing.iter().all(|name| self.arguments.contains(name));
        Expanded { text: text.filter(|_| certain), ..asked }
    }

    /// Whether every variable that exists is known.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the name has a value or is an ARG without one.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.variables.contains_key(name) || self.arguments.contains(name)
    }

    /// Whether the command line gives it a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The escape character of the file.
    pub(super) fn escape(&self) -> char {
        self.escape
    }

    /// The names that have values.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    fn declare(&mut self, arg: &Arg, globals: Option<&Environment>) {
        self.declare_each(arg, globals, |_, _| {});
    }

    fn set(&mut self, env: &Env) {
        let pairs = env.pairs.iter().filter_map(|pair| {
            Some((self.expand(&pair.name).text?, self.expand(&pair.value).text.unwrap_or_default()))
        });
        let pairs: Vec<(String, String)> = pairs.collect();
        self.variables.extend(pairs);
    }
}

/// `TARGET…` and `BUILD…`.
fn platform_arguments(platform: &Platform) -> BTreeMap<String, String> {
    let parts = [
        ("PLATFORM", platform.to_string()),
        ("OS", platform.os.clone()),
        ("OSVERSION", String::new()),
        ("ARCH", platform.architecture.clone()),
        ("VARIANT", platform.variant.clone().unwrap_or_default()),
    ];
    let named = |prefix: &'static str| {
        let parts = parts.clone();
        parts.into_iter().map(move |(name, value)| (format!("{prefix}{name}"), value))
    };
    named("TARGET").chain(named("BUILD")).collect()
}
