//! Variables: what ARG before the first FROM says, and what a stage's ENV and ARG say.

use std::collections::BTreeMap;

use minato_dockerfile::{Dockerfile, ExpandError, Word};
use minato_oci::Platform;

use crate::error::BuildError;
use crate::place::Source;

/// Arguments that need no ARG: they reach RUN when given, and never the cache key or the history.
const PROXY: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// The ARG instructions before the first FROM, the platform's arguments, and what the command line gives.
pub(crate) struct GlobalScope {
    defined: BTreeMap<String, Option<String>>,
    given: BTreeMap<String, String>,
}

impl GlobalScope {
    pub(crate) fn new(
        dockerfile: &Dockerfile,
        source: &Source<'_>,
        given: &BTreeMap<String, String>,
        platform: &Platform,
        target: Option<&str>,
    ) -> Result<Self, BuildError> {
        let mut defined = platform_arguments(platform);
        defined.insert("TARGETSTAGE".to_owned(), Some(target_stage(dockerfile, target)));
        for (name, value) in &mut defined {
            if let Some(given) = given.get(name) {
                *value = Some(given.clone());
            }
        }
        let mut scope = Self { defined, given: given.clone() };
        for statement in &dockerfile.global_args {
            for definition in &statement.value.definitions {
                let expand = |word: &Word| {
                    let expanded =
                        minato_dockerfile::expand(word, dockerfile.escape, &|name| scope.get(name));
                    expanded
                        .map_err(|error| source.failed(statement, crate::error::StepError::invalid(error)))
                };
                let name = expand(&definition.name)?;
                let default = definition.default.as_ref().map(expand).transpose()?;
                let value = given.get(&name).cloned().or(default);
                // A bare `ARG TARGETARCH` keeps the platform's value.
                if value.is_some() || !scope.defined.contains_key(&name) {
                    scope.defined.insert(name, value);
                }
            }
        }
        Ok(scope)
    }

    /// The value of a global argument.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.defined.get(name).cloned().flatten()
    }

    /// What the command line gives for `name`.
    pub(super) fn given(&self, name: &str) -> Option<&String> {
        self.given.get(name)
    }

    /// The proxy arguments that were given, in lower and in upper case.
    pub(crate) fn proxies(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for name in PROXY {
            let value = self.given.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
            if let Some((_, value)) = value {
                found.push((name.to_uppercase(), value.clone()));
                found.push((name.to_owned(), value.clone()));
            }
        }
        found
    }

    /// Whether an argument is used without an ARG.
    pub(crate) fn is_predefined(name: &str) -> bool {
        PROXY.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
            || name.starts_with("BUILDKIT_")
            || name == "SOURCE_DATE_EPOCH"
    }
}

/// `TARGET…`: what is built for. `BUILD…`: what it is built on, this machine.
fn platform_arguments(target: &Platform) -> BTreeMap<String, Option<String>> {
    let named = |prefix: &'static str, platform: &Platform| {
        let parts = [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            // Only Windows has one.
            ("OSVERSION", String::new()),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", platform.variant.clone().unwrap_or_default()),
        ];
        parts.map(|(name, value)| (format!("{prefix}{name}"), Some(value)))
    };
    named("TARGET", target).into_iter().chain(named("BUILD", &Platform::host())).collect()
}

/// `TARGETSTAGE`: the name of the stage that becomes the image.
fn target_stage(dockerfile: &Dockerfile, target: Option<&str>) -> String {
    let last = dockerfile.stages.last().and_then(|stage| stage.from.value.name.as_ref());
    target.or(last.map(|name| name.raw.as_str())).unwrap_or("default").to_owned()
}

/// A stage's variables: ENV and ARG in one list, the last one wins.
#[derive(Clone, Debug, Default)]
pub(super) struct StageScope {
    variables: Vec<(String, String)>,
    /// The ARG instructions so far, as a RUN's history line lists them.
    arguments: Vec<(String, Option<String>)>,
}

impl StageScope {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value);
        }
        self.arguments.push((name.to_owned(), value.map(str::to_owned)));
    }

    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub(super) fn expand(&self, word: &Word, escape: char) -> Result<String, ExpandError> {
        minato_dockerfile::expand(word, escape, &|name| self.get(name))
    }

    /// `|2 A=1 B=2 ` in front of a RUN's command in the history; empty without arguments.
    pub(super) fn history_prefix(&self) -> String {
        let mut listed: Vec<(&str, String)> = Vec::new();
        for (name, value) in &self.arguments {
            let value = self.get(name).or_else(|| value.clone()).unwrap_or_default();
            match listed.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = value,
                None => listed.push((name, value)),
            }
        }
        if listed.is_empty() {
            return String::new();
        }
        let pairs: Vec<String> = listed.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("|{} {} ", pairs.len(), pairs.join(" "))
    }
}
