//! The file of a registry's rules: what is too long for flags.
//!
//! ```yaml
//! version: 1
//! access:                        # needs users: --htpasswd, or an issuer
//! - repositories: [team/**]      # * is one part of a name, ** any; default: all
//!   users: [alice]               # "*" is every user, anonymous everybody
//!   actions: [pull, push]        # and delete
//! issuer:                        # somebody else whose tokens are taken
//!   name: https://ci.example     # their `iss`
//!   realm: https://ci.example/token
//!   service: registry.example    # their `aud`
//!   keys: keys.json              # JSON web key set; relative to this file
//! immutable_tags: ["v*"]         # once set, they mean what they mean
//! retention:                     # the first rule that fits a tag decides; tags without a rule stay
//! - repositories: [team/**]      # default: all
//!   tags: ["pr-*"]               # default: all
//!   keep_last: 10                # the newest, and
//!   keep_days: 30                # those that were set so recently
//! keep_untagged_days: 7          # how long manifests stay that no tag leads to; default: 1
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minato_resource::document::{Data, Entry, Node, read_yaml};
use minato_resource::{Diagnostic, SourceFile, Span, nearest};

use super::access::{Action, Issuer, Rule, User};
use super::pattern::Pattern;
use super::retain::{Policy, RetentionRule};

const VERSION: u64 = 1;
const DAY: u64 = 86_400;
const KEYS: [&str; 6] = ["version", "access", "issuer", "immutable_tags", "retention", "keep_untagged_days"];
const ACCESS_KEYS: [&str; 3] = ["repositories", "users", "actions"];
const ISSUER_KEYS: [&str; 4] = ["name", "realm", "service", "keys"];
const RETENTION_KEYS: [&str; 4] = ["repositories", "tags", "keep_last", "keep_days"];

/// What the file says. The default is what its absence says.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// Who may do what.
    pub access: Vec<Rule>,
    /// Whose tokens are taken.
    pub issuer: Option<Issuer>,
    /// Tags that are never changed.
    pub immutable_tags: Vec<Pattern>,
    /// What is let go of.
    pub retention: Option<Policy>,
}

impl Configuration {
    /// Reads the file. A key that is not known, or a value of the wrong type, is an error with its place.
    pub fn parse(file: &Arc<SourceFile>) -> (Self, Vec<Diagnostic>) {
        let (documents, diagnostics) = read_yaml(file);
        let mut reader = Reader { file, diagnostics };
        let mut configuration = Self::default();
        match documents.as_slice() {
            [document] => reader.document(document, &mut configuration),
            [_, second, ..] => reader.error("the file holds one document; this is a second one", second.span),
            [] => {}
        }
        (configuration, reader.diagnostics)
    }
}

struct Reader<'file> {
    file: &'file Arc<SourceFile>,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn document(&mut self, document: &Node, configuration: &mut Configuration) {
        let Some(entries) = self.mapping(document, &KEYS) else { return };
        let version = document.get("version").and_then(|node| self.number(node));
        if version != Some(VERSION) {
            let span = document.get("version").map_or(document.span, |node| node.span);
            self.error(format!("this program reads version {VERSION}; write `version: {VERSION}`"), span);
        }
        let mut rules = None;
        let mut untagged_days = 1;
        for Entry { key, value, .. } in entries {
            match key.as_str() {
                "access" => configuration.access = self.items(value, Self::access),
                "issuer" => configuration.issuer = self.issuer(value),
                "immutable_tags" => configuration.immutable_tags = self.items(value, Self::pattern),
                "retention" => rules = Some(self.items(value, Self::retention)),
                "keep_untagged_days" => untagged_days = self.number(value).unwrap_or(untagged_days),
                _ => {}
            }
        }
        let keep_untagged_for = days(untagged_days);
        configuration.retention = rules.map(|rules| Policy { rules, keep_untagged_for });
    }

    fn access(&mut self, node: &Node) -> Option<Rule> {
        let entries = self.mapping(node, &ACCESS_KEYS)?;
        let mut rule = Rule { repositories: vec![everything()], users: Vec::new(), actions: Vec::new() };
        for Entry { key, value, .. } in entries {
            match key.as_str() {
                "repositories" => rule.repositories = self.items(value, Self::pattern),
                "users" => rule.users = self.items(value, |reader, node| reader.text(node).map(User::from)),
                "actions" => rule.actions = self.items(value, Self::action),
                _ => {}
            }
        }
        if rule.users.is_empty() || rule.actions.is_empty() {
            self.error("a rule of access needs `users` and `actions`", node.span);
        }
        Some(rule)
    }

    fn issuer(&mut self, node: &Node) -> Option<Issuer> {
        self.mapping(node, &ISSUER_KEYS)?;
        let mut field = |name: &str| {
            let found = node.get(name).and_then(|value| self.text(value).map(str::to_owned));
            if found.is_none() {
                self.error(format!("the issuer has no `{name}`"), node.span);
            }
            found
        };
        let (name, realm, service, keys) = (field("name"), field("realm"), field("service"), field("keys"));
        let keys = self.file.path().parent().unwrap_or(Path::new("")).join(keys?);
        Some(Issuer { name: name?, realm: realm?, service: service?, keys })
    }

    fn retention(&mut self, node: &Node) -> Option<RetentionRule> {
        let entries = self.mapping(node, &RETENTION_KEYS)?;
        let mut rule =
            RetentionRule { repositories: Vec::new(), tags: Vec::new(), keep_last: None, keep_for: None };
        for Entry { key, value, .. } in entries {
            match key.as_str() {
                "repositories" => rule.repositories = self.items(value, Self::pattern),
                "tags" => rule.tags = self.items(value, Self::pattern),
                "keep_last" => {
                    rule.keep_last = self.number(value).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
                }
                "keep_days" => rule.keep_for = self.number(value).map(days),
                _ => {}
            }
        }
        Some(rule)
    }

    fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        let text = self.text(node)?;
        let parsed = text.parse::<Pattern>();
        parsed.map_err(|error| self.error(error.to_string(), node.span)).ok()
    }

    fn action(&mut self, node: &Node) -> Option<Action> {
        let text = self.text(node)?;
        let parsed = text.parse::<Action>();
        parsed.map_err(|error| self.error(error, node.span)).ok()
    }

    /// What is malformed leaves an error, and so no list that says less than was meant is ever acted on.
    fn items<T>(&mut self, node: &Node, mut read: impl FnMut(&mut Self, &Node) -> Option<T>) -> Vec<T> {
        if !matches!(node.data, Data::Sequence(_)) {
            self.error(format!("expected a list, found {}", node.kind_name()), node.span);
            return Vec::new();
        }
        node.items().iter().filter_map(|item| read(self, item)).collect()
    }

    fn text<'node>(&mut self, node: &'node Node) -> Option<&'node str> {
        let text = node.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.error(format!("expected a text, found {}", node.kind_name()), node.span);
        }
        text
    }

    fn number(&mut self, node: &Node) -> Option<u64> {
        let number = if let Data::Number(number) = &node.data { number.as_u64() } else { None };
        if number.is_none() {
            self.error("expected a whole number that is not negative", node.span);
        }
        number
    }

    fn mapping<'node>(&mut self, node: &'node Node, keys: &[&str]) -> Option<&'node [Entry]> {
        if !matches!(node.data, Data::Mapping(_)) {
            self.error(format!("expected a mapping, found {}", node.kind_name()), node.span);
            return None;
        }
        for entry in node.entries() {
            if !keys.contains(&entry.key.as_str()) {
                let hint = nearest(&entry.key, keys.iter().copied());
                let hint = hint.map_or_else(|| keys.join(", "), |near| format!("`{near}`"));
                let message = format!("`{}` is not known here; write {hint}", entry.key);
                self.error(message, entry.key_span);
            }
        }
        Some(node.entries())
    }

    fn error(&mut self, message: impl Into<String>, span: Span) {
        self.diagnostics.push(Diagnostic::error("registry", message.into(), self.file, span));
    }
}

fn everything() -> Pattern {
    "**".parse().expect("it is a pattern")
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Configuration, Vec<String>) {
        let (configuration, diagnostics) =
            Configuration::parse(&Arc::new(SourceFile::new("/etc/registry.yaml", text)));
        (configuration, diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect())
    }

    #[test]
    fn the_whole_file_is_read() {
        let (read, errors) = parse(
            "version: 1\naccess:\n- repositories: [team/**]\n  users: [alice, '*']\n  actions: [pull, push]\n\
             issuer: {name: ci, realm: 'https://ci/token', service: here, keys: keys.json}\n\
             immutable_tags: ['v*']\nretention:\n- tags: ['pr-*']\n  keep_last: 3\n  keep_days: 2\n- {}\n\
             keep_untagged_days: 7\n",
        );
        assert_eq!(errors, Vec::<String>::new());
        let users = vec![User::Named("alice".to_owned()), User::Known];
        assert_eq!(
            (&read.access[0].users, &read.access[0].actions),
            (&users, &vec![Action::Pull, Action::Push])
        );
        assert_eq!(read.issuer.unwrap().keys, Path::new("/etc/keys.json"));
        assert!(read.immutable_tags[0].matches("v1"));
        let policy = read.retention.unwrap();
        assert_eq!((policy.rules.len(), policy.keep_untagged_for), (2, days(7)));
        assert_eq!((policy.rules[0].keep_last, policy.rules[0].keep_for), (Some(3), Some(days(2))));
    }

    #[test]
    fn mistakes_have_their_place_and_never_widen_what_is_allowed() {
        for (text, expected) in [
            ("access: []", "version"),
            ("version: 2", "version 1"),
            ("version: 1\nacess: []", "`access`"),
            ("version: 1\naccess: {}", "expected a list"),
            ("version: 1\naccess:\n- users: [a]", "needs `users` and `actions`"),
            ("version: 1\naccess:\n- {users: [a], actions: [write]}", "none of pull, push and delete"),
            ("version: 1\nissuer: {name: a}", "no `realm`"),
            ("version: 1\nimmutable_tags: [1]", "expected a text"),
            ("version: 1\nimmutable_tags: ['é']", "pattern"),
            ("version: 1\nretention:\n- keep_last: -1", "whole number"),
            ("version: 1\n---\nversion: 1", "second"),
            ("- a", "expected a mapping"),
        ] {
            let (_, errors) = parse(text);
            assert!(errors.iter().any(|error| error.contains(expected)), "{text}: {errors:?}");
        }
    }
}
