//! Targets: which resources a patch or replacement is for.

use std::cell::OnceCell;

use regex::Regex;

use crate::kustomization::Selector;
use crate::refusal::Refusal;
use crate::resource::Resource;

/// A selector whose patterns are compiled.
#[derive(Debug)]
pub(crate) struct Matcher {
    group: Pattern,
    version: Pattern,
    kind: Pattern,
    name: Pattern,
    namespace: Pattern,
    labels: Requirements,
    annotations: Requirements,
}

impl Matcher {
    /// # Errors
    /// A pattern is no regular expression, or a label selector cannot be read.
    pub(crate) fn new(selector: &Selector) -> Result<Matcher, Refusal> {
        Ok(Matcher {
            group: Pattern::new(&selector.id.gvk.group)?,
            version: Pattern::new(&selector.id.gvk.version)?,
            kind: Pattern::new(&selector.id.gvk.kind)?,
            name: Pattern::new(&selector.id.name)?,
            namespace: Pattern::new(&selector.id.namespace)?,
            labels: Requirements::parse(&selector.labels)?,
            annotations: Requirements::parse(&selector.annotations)?,
        })
    }

    /// True for a resource that is meant, by its name and namespace of now or as it was written.
    pub(crate) fn matches(&self, resource: &Resource) -> bool {
        let id = resource.id();
        (self.name.matches(&id.name) || self.name.matches(resource.original_name()))
            && (self.namespace.matches(resource.original_namespace())
                || self.namespace.matches(id.effective_namespace()))
            && self.group.matches(&id.gvk.group)
            && self.version.matches(&id.gvk.version)
            && self.kind.matches(&id.gvk.kind)
            && self.labels.match_texts(resource, "labels")
            && self.annotations.match_texts(resource, "annotations")
    }
}

/// A regular expression for a whole text; an empty one matches everything.
#[derive(Debug)]
enum Pattern {
    Any,
    Text(String),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern, Refusal> {
        if text.is_empty() {
            return Ok(Pattern::Any);
        }
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_/:".contains(character);
        if text.chars().all(is_plain) {
            return Ok(Pattern::Text(text.to_owned()));
        }
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(pattern) => Ok(Pattern::Regex(pattern)),
            Err(error) => {
                let reason = error.to_string();
                let reason =
                    reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Err(Refusal::new("pattern", format!("`{text}` is no regular expression: {reason}")))
            }
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Text(own) => own == text,
            Pattern::Regex(pattern) => pattern.is_match(text),
        }
    }
}

/// A label selector: `app=web,tier in (a,b),!legacy`.
#[derive(Debug, Default)]
pub(crate) struct Requirements(Vec<Requirement>);

#[derive(Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Requirements {
    /// # Errors
    /// The text is no label selector.
    pub(crate) fn parse(text: &str) -> Result<Requirements, Refusal> {
        let mut reader = Reader { rest: text.trim() };
        let mut requirements = Vec::new();
        while !reader.rest.is_empty() {
            let requirement = reader.requirement().filter(|requirement| is_key(&requirement.key));
            requirements.push(requirement.ok_or_else(|| {
                Refusal::new("label-selector", format!("`{text}` is no label selector"))
                    .with_hint("write it as `app=web,tier in (a,b),!legacy`")
            })?);
        }
        Ok(Requirements(requirements))
    }

    fn match_texts(&self, resource: &Resource, field: &str) -> bool {
        let texts = OnceCell::new();
        self.0.iter().all(|requirement| {
            let texts: &Vec<(String, String)> = texts.get_or_init(|| resource.texts(field));
            let value = texts.iter().find(|(key, _)| *key == requirement.key).map(|(_, text)| text.as_str());
            requirement.test.holds(value)
        })
    }

    pub(crate) fn match_labels(&self, resource: &Resource) -> bool {
        self.match_texts(resource, "labels")
    }

    pub(crate) fn match_annotations(&self, resource: &Resource) -> bool {
        self.match_texts(resource, "annotations")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|wanted| wanted != value)),
            Test::Greater(bound) => number().is_some_and(|number| number > *bound),
            Test::Less(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

struct Reader<'text> {
    rest: &'text str,
}

impl Reader<'_> {
    /// One requirement and the comma behind it.
    fn requirement(&mut self) -> Option<Requirement> {
        if self.take("!") {
            let key = self.word()?;
            self.end()?;
            return Some(Requirement { key, test: Test::Absent });
        }
        let key = self.word()?;
        let test = if self.take("!=") {
            Test::NotIn(vec![self.value()])
        } else if self.take("==") || self.take("=") {
            Test::In(vec![self.value()])
        } else if self.take(">") {
            Test::Greater(self.value().parse().ok()?)
        } else if self.take("<") {
            Test::Less(self.value().parse().ok()?)
        } else if self.take_word("notin") {
            Test::NotIn(self.values()?)
        } else if self.take_word("in") {
            Test::In(self.values()?)
        } else {
            Test::Exists
        };
        self.end()?;
        Some(Requirement { key, test })
    }

    fn end(&mut self) -> Option<()> {
        if self.rest.is_empty() {
            return Some(());
        }
        // A comma must be followed by another requirement.
        (self.take(",") && !self.rest.is_empty()).then_some(())
    }

    fn take(&mut self, symbol: &str) -> bool {
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word).filter(|rest| rest.starts_with([' ', '(']));
        match rest {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<String> {
        Some(self.value()).filter(|word| !word.is_empty())
    }

    fn value(&mut self) -> String {
        let end = self.rest.find([' ', ',', '=', '!', '(', ')', '<', '>']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word.to_owned()
    }

    fn values(&mut self) -> Option<Vec<String>> {
        self.take("(").then_some(())?;
        let mut values = vec![self.value()];
        while self.take(",") {
            values.push(self.value());
        }
        self.take(")").then_some(values)
    }
}

/// A label's key: `[PREFIX/]NAME`.
fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let edges = |text: &str| {
        let edge =
            |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
        edge(text.chars().next()) && edge(text.chars().last())
    };
    let allowed = |text: &str| {
        text.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
    };
    let named = name.len() <= 63 && allowed(name) && edges(name);
    named && prefix.is_none_or(|prefix| prefix.len() <= 253 && allowed(prefix) && edges(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_are_read_as_kubectl_reads_them() {
        let check = |text: &str, labels: &[(&str, &str)], expected: Option<bool>| {
            let value = |key: &str| labels.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
            let found = Requirements::parse(text).ok();
            let found = found
                .map(|list| list.0.iter().all(|requirement| requirement.test.holds(value(&requirement.key))));
            assert_eq!(found, expected, "{text}");
        };
        let labels = [("app", "web"), ("tier", "a"), ("size", "3")];
        check("", &labels, Some(true));
        check("app=web", &labels, Some(true));
        check("app = web , tier in (a, b)", &labels, Some(true));
        check("app==api", &labels, Some(false));
        check("app!=api,none!=x", &labels, Some(true));
        check("tier notin (a,b)", &labels, Some(false));
        check("!none,app", &labels, Some(true));
        check("size>2,size<4", &labels, Some(true));
        check("in", &labels, Some(false));
        check("app=web,", &labels, None);
        check("app in web", &labels, None);
        check("=web", &labels, None);
        check("app=web)", &labels, None);
    }
}
