//! `{{…}}` in values, patterns, prefixes and suffixes.

use super::date;
use super::facts::Facts;
use super::rules::RuleError;
use super::{SHORT_COMMIT, clean};

/// What expressions may name beside the facts.
pub(super) enum Values<'a> {
    None,
    /// Of a version rule's pattern.
    Version {
        /// As it was tagged.
        raw: &'a str,
        /// Normalised.
        version: String,
        /// Major, minor, patch.
        parts: [u64; 3],
    },
}

/// `text` with its expressions replaced.
///
/// # Errors
/// An expression is not closed, or names nothing that is known.
pub(super) fn expand(text: &str, facts: &Facts, values: &Values<'_>) -> Result<String, RuleError> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let closed = after.split_once("}}");
        let (expression, after) = closed.ok_or_else(|| RuleError::new(text, "{{ has no }} to end it"))?;
        expanded.push_str(before);
        let value = evaluate(expression, facts, values);
        expanded.push_str(&value.map_err(|reason| RuleError::new(text, reason))?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn evaluate(expression: &str, facts: &Facts, values: &Values<'_>) -> Result<String, String> {
    let expression = expression.trim();
    let (name, arguments) = expression.split_once(char::is_whitespace).unwrap_or((expression, ""));
    if let Values::Version { raw, version, parts: [major, minor, patch] } = values {
        match name {
            "raw" => return Ok((*raw).to_owned()),
            "version" => return Ok(version.clone()),
            "major" => return Ok(major.to_string()),
            "minor" => return Ok(minor.to_string()),
            "patch" => return Ok(patch.to_string()),
            _ => {}
        }
    }
    let own = |value: Option<&str>| value.map(clean).unwrap_or_default();
    Ok(match name {
        "branch" => own(facts.branch()),
        "tag" => own(facts.tag()),
        "sha" => {
            facts.commit.as_deref().map_or("", |commit| &commit[..SHORT_COMMIT.min(commit.len())]).to_owned()
        }
        "base_ref" => facts.base_branch.clone().unwrap_or_default(),
        "is_default_branch" => facts.is_default_branch().to_string(),
        "is_not_default_branch" => (!facts.is_default_branch()).to_string(),
        "date" => formatted(facts.now, arguments)?,
        "commit_date" => formatted(facts.committed.ok_or("there is no commit")?, arguments)?,
        _ => {
            let known = "branch, tag, sha, base_ref, is_default_branch, is_not_default_branch, date, commit_date; in version patterns raw, version, major, minor, patch";
            return Err(format!("{{{{{expression}}}}} is not known; there are {known}"));
        }
    })
}

/// `'FORMAT' [tz='ZONE']`.
fn formatted(time: jiff::Timestamp, arguments: &str) -> Result<String, String> {
    let expected = || format!("{arguments:?}: expected 'FORMAT' or 'FORMAT' tz='ZONE'");
    let (format, rest) = quoted(arguments).ok_or_else(expected)?;
    let zone = match rest.trim() {
        "" => "UTC",
        rest => {
            let zone = rest.strip_prefix("tz=").and_then(quoted);
            zone.filter(|(_, rest)| rest.trim().is_empty()).ok_or_else(expected)?.0
        }
    };
    date::format(time, format, zone)
}

/// A text between quotes of either kind at the start, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}
