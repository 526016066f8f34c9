//! Which tags and labels an image gets, from Git and the CI's environment: the rules of docker/metadata-action.
//!
//! ```text
//!  rules ("type=semver,pattern={{version}}") ─┐
//!  flavor ("latest=auto")                    ─┼─► image_tags ─► version, tags in order, labels
//!  Facts (event, ref, commit, …)             ─┘
//! ```
//!
//! [`image_tags`] is a pure function; [`Facts::read`] asks Git and reads the environment before it. Rules that don't
//! apply to this ref give nothing; rules that can't apply at all are errors.

mod date;
mod expression;
mod facts;
mod labels;
mod pep440;
mod rules;
mod semver;

use regex::{Regex, RegexBuilder};

use self::expression::{Values, expand};
pub use self::facts::{Facts, FactsError, Repository};
pub use self::rules::{Flavor, Latest, Rule, RuleError};
use self::rules::{Kind, RefKind};

/// Compiled patterns must not fill the memory.
const PATTERN_LIMIT: usize = 1 << 20;
const TAG_LIMIT: usize = 128;
const SHORT_COMMIT: usize = 7;

/// What an image is called, and what its labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTags {
    /// The first tag, which is the image's version; `None` when no rule applies.
    pub version: Option<String>,
    /// The tags: the version, the others in the order of their rules' priority, `latest` at the end.
    pub tags: Vec<String>,
    /// `org.opencontainers.image.…` and their values.
    pub labels: Vec<(String, String)>,
    /// Why rules that might have applied gave nothing.
    pub warnings: Vec<String>,
}

/// The tags that `rules` give. Without rules those for schedules, branches, tags and pull requests.
///
/// # Errors
/// A value or pattern can't be read, or a tag would be none.
pub fn image_tags(rules: &[Rule], flavor: &Flavor, facts: &Facts) -> Result<ImageTags, RuleError> {
    let mut rules = if rules.is_empty() { Rule::defaults() } else { rules.to_vec() };
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    let mut tagging = Tagging { flavor, facts, tags: Vec::new(), latest: None, warnings: Vec::new() };
    for rule in &rules {
        tagging.apply(rule)?;
    }
    tagging.finish()
}

struct Tagging<'a> {
    flavor: &'a Flavor,
    facts: &'a Facts,
    tags: Vec<String>,
    /// Decided by the first rule that applies.
    latest: Option<bool>,
    warnings: Vec<String>,
}

impl Tagging<'_> {
    fn apply(&mut self, rule: &Rule) -> Result<(), RuleError> {
        let enabled = expand(&rule.enable, self.facts, &Values::None)?;
        match enabled.as_str() {
            "true" => {}
            "false" => return Ok(()),
            _ => {
                return Err(RuleError::new(
                    &rule.text,
                    format!("enable={enabled:?} is neither true nor false"),
                ));
            }
        }
        let Some((value, latest)) = self.value(rule)? else { return Ok(()) };
        let value = self.dress(rule, &value)?;
        self.add(&rule.text, &value, latest)
    }

    /// What a rule gives before prefix and suffix, and whether it makes the image the latest.
    fn value(&mut self, rule: &Rule) -> Result<Option<(String, bool)>, RuleError> {
        let facts = self.facts;
        Ok(match &rule.kind {
            Kind::Schedule { pattern } => match facts.event.as_deref() {
                Some("schedule") => Some((expand(pattern, facts, &Values::None)?, false)),
                _ => None,
            },
            Kind::Semver { pattern, value } => self.semver(pattern, value)?,
            Kind::Pep440 { pattern, value } => self.pep440(pattern, value)?,
            Kind::Match { pattern, group, value } => self.matching(rule, pattern, group, value)?,
            Kind::Edge { branch } => {
                let wanted = branch.as_ref().or(facts.repository.default_branch.as_ref());
                let is_edge = wanted.is_some() && facts.branch() == wanted.map(String::as_str);
                is_edge.then(|| ("edge".to_owned(), false))
            }
            Kind::Ref(RefKind::Branch) => facts.branch().map(|branch| (branch.to_owned(), false)),
            Kind::Ref(RefKind::Tag) => facts.tag().map(|tag| (tag.to_owned(), true)),
            Kind::Ref(RefKind::PullRequest) => facts.pull_request().map(|number| (number.to_owned(), false)),
            Kind::Raw { value } => Some((expand(value, facts, &Values::None)?, false)),
            Kind::Sha { long } => facts.commit.as_ref().map(|commit| {
                let digits = if *long { commit.len() } else { SHORT_COMMIT.min(commit.len()) };
                (commit[..digits].to_owned(), false)
            }),
        })
    }

    fn semver(&mut self, pattern: &str, value: &str) -> Result<Option<(String, bool)>, RuleError> {
        let Some(raw) = self.given_or_tag(value)? else { return Ok(None) };
        let Some(version) = semver::Version::parse(&raw) else {
            self.warnings.push(format!("{raw} is no semantic version (https://semver.org)"));
            return Ok(None);
        };
        let values = Values::Version {
            raw: &raw,
            version: version.to_string(),
            parts: [version.major, version.minor, version.patch],
        };
        self.of_version(pattern, &values, version.is_prerelease()).map(Some)
    }

    fn pep440(&mut self, pattern: &str, value: &str) -> Result<Option<(String, bool)>, RuleError> {
        let Some(raw) = self.given_or_tag(value)? else { return Ok(None) };
        let Some(version) = pep440::Version::parse(&raw) else {
            self.warnings.push(format!("{raw} is no version as PEP 440 has it"));
            return Ok(None);
        };
        let values =
            Values::Version { raw: &raw, version: version.to_string(), parts: version.first_three() };
        self.of_version(pattern, &values, !version.is_final()).map(Some)
    }

    /// A version that is not final must not be taken for the end of its series: it is only itself.
    fn of_version(
        &self,
        pattern: &str,
        values: &Values<'_>,
        is_unfinished: bool,
    ) -> Result<(String, bool), RuleError> {
        let is_raw = pattern.trim_start_matches(['{', ' ']).trim_end_matches(['}', ' ']) == "raw";
        let pattern = if is_unfinished && !is_raw { "{{version}}" } else { pattern };
        Ok((expand(pattern, self.facts, values)?, !is_unfinished))
    }

    fn matching(
        &mut self,
        rule: &Rule,
        pattern: &str,
        group: &str,
        value: &str,
    ) -> Result<Option<(String, bool)>, RuleError> {
        let Some(raw) = self.given_or_tag(value)? else { return Ok(None) };
        let expression = compile(pattern).map_err(|error| RuleError::new(&rule.text, error.to_string()))?;
        let Some(found) = expression.captures(&raw) else {
            self.warnings.push(format!("{pattern} does not match {raw}"));
            return Ok(None);
        };
        let number = group.parse::<usize>().ok();
        let part = number.map_or_else(|| found.name(group), |number| found.get(number));
        if part.is_none() {
            self.warnings.push(format!("{pattern} has no group {group} in {raw}"));
        }
        Ok(part.map(|part| (part.as_str().to_owned(), true)))
    }

    /// The value of a rule, else Git's tag.
    fn given_or_tag(&self, value: &str) -> Result<Option<String>, RuleError> {
        if value.is_empty() {
            return Ok(self.facts.tag().map(str::to_owned));
        }
        expand(value, self.facts, &Values::None).map(Some)
    }

    /// A rule's own prefix and suffix stand in for the flavor's.
    fn dress(&self, rule: &Rule, value: &str) -> Result<String, RuleError> {
        let part = |own: &Option<String>, general: &str| {
            expand(own.as_deref().unwrap_or(general), self.facts, &Values::None)
        };
        let (prefix, suffix) =
            (part(&rule.prefix, &self.flavor.prefix)?, part(&rule.suffix, &self.flavor.suffix)?);
        Ok(format!("{prefix}{value}{suffix}"))
    }

    fn add(&mut self, rule: &str, value: &str, latest: bool) -> Result<(), RuleError> {
        if value.is_empty() {
            return Ok(());
        }
        let tag = clean(value);
        if !is_tag(&tag) {
            let reason =
                format!("gives {tag:?}, which is no tag: letters, digits, _ . - and at most {TAG_LIMIT}");
            return Err(RuleError::new(rule, reason));
        }
        self.latest.get_or_insert(match self.flavor.latest {
            Latest::Auto => latest,
            Latest::Always => true,
            Latest::Never => false,
        });
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ImageTags, RuleError> {
        let version = self.tags.first().cloned();
        if self.latest == Some(true) {
            let part = |wanted: bool, text: &str| match wanted {
                true => expand(text, self.facts, &Values::None),
                false => Ok(String::new()),
            };
            let prefix = part(self.flavor.prefix_latest, &self.flavor.prefix)?;
            let suffix = part(self.flavor.suffix_latest, &self.flavor.suffix)?;
            let latest = clean(&format!("{prefix}latest{suffix}"));
            if !self.tags.contains(&latest) {
                self.tags.push(latest);
            }
        }
        let labels = labels::labels(self.facts, version.as_deref());
        Ok(ImageTags { version, tags: self.tags, labels, warnings: self.warnings })
    }
}

/// `/pattern/flags`, or a bare pattern.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    let slashed = pattern.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
    let (pattern, flags) = slashed.unwrap_or((pattern, ""));
    RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .size_limit(PATTERN_LIMIT)
        .build()
}

/// Runs of characters that no tag has become a `-`.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut in_run = false;
    for character in text.chars() {
        let fits = character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        if fits {
            clean.push(character);
        } else if !in_run {
            clean.push('-');
        }
        in_run = !fits;
    }
    clean
}

fn is_tag(text: &str) -> bool {
    text.len() <= TAG_LIMIT && !text.starts_with(['.', '-']) && clean(text) == text
}

#[cfg(test)]
mod tests;
