//! Rules and flavor as they are written: fields `key=value`, separated by commas, quoted as in CSV.

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) kind: Kind,
    /// `true`, `false`, or an expression that becomes one of them.
    pub(super) enable: String,
    /// Rules with a higher one come first.
    pub(super) priority: i64,
    pub(super) prefix: Option<String>,
    pub(super) suffix: Option<String>,
    /// As it was written.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Schedule { pattern: String },
    Semver { pattern: String, value: String },
    Pep440 { pattern: String, value: String },
    Match { pattern: String, group: String, value: String },
    Edge { branch: Option<String> },
    Ref(RefKind),
    Raw { value: String },
    Sha { long: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefKind {
    Branch,
    Tag,
    PullRequest,
}

/// What all tags have, and when `latest` is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flavor {
    /// Whether there is a tag `latest`.
    pub latest: Latest,
    /// Before each tag that has no prefix of its own.
    pub prefix: String,
    /// Also before `latest`.
    pub prefix_latest: bool,
    /// After each tag that has no suffix of its own.
    pub suffix: String,
    /// Also after `latest`.
    pub suffix_latest: bool,
}

/// When the tag `latest` is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Latest {
    /// When the first rule that applies is about a release: a Git tag, or a version that is no prerelease.
    #[default]
    Auto,
    /// With any tag.
    Always,
    /// Never.
    Never,
}

/// A rule that can't be read or followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tag rule {rule:?}: {reason}")]
pub struct RuleError {
    rule: String,
    reason: String,
}

impl RuleError {
    pub(super) fn new(rule: &str, reason: impl Into<String>) -> Self {
        Self { rule: rule.to_owned(), reason: reason.into() }
    }
}

const TYPES: &str = "schedule, semver, pep440, match, edge, ref, raw or sha";

impl Rule {
    /// Reads one rule: `type=semver,pattern={{version}}`, or a bare word for `type=raw,value=…`.
    ///
    /// # Errors
    /// A field is missing, unknown or has a wrong value.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        let mut fields = Fields::read(text)?;
        let kind = fields.take("type").unwrap_or_else(|| "raw".to_owned());
        let (kind, priority) = fields.kind(&kind)?;
        let default_prefix = match kind {
            Kind::Sha { .. } => Some("sha-".to_owned()),
            Kind::Ref(RefKind::PullRequest) => Some("pr-".to_owned()),
            _ => None,
        };
        let rule = Rule {
            kind,
            enable: fields.take("enable").unwrap_or_else(|| "true".to_owned()),
            priority: fields.number("priority")?.unwrap_or(priority),
            prefix: fields.take("prefix").or(default_prefix),
            suffix: fields.take("suffix"),
            text: text.to_owned(),
        };
        fields.end()?;
        Ok(rule)
    }

    /// What stands where no rule is given.
    pub(super) fn defaults() -> Vec<Rule> {
        let texts = ["type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr"];
        texts.iter().map(|text| Rule::parse(text).expect("the defaults are rules")).collect()
    }
}

impl Flavor {
    /// Adds a line: `latest=auto|true|false`, `prefix=TEXT[,onlatest=true]`, `suffix=TEXT[,onlatest=true]`.
    ///
    /// # Errors
    /// A field is unknown or has a wrong value.
    pub fn add(&mut self, text: &str) -> Result<(), RuleError> {
        let mut last = "";
        for (key, value) in Fields::read(text)?.fields {
            match (key.as_str(), value.as_str(), last) {
                ("latest", "auto", _) => self.latest = Latest::Auto,
                ("latest", "true", _) => self.latest = Latest::Always,
                ("latest", "false", _) => self.latest = Latest::Never,
                ("prefix", _, _) => (self.prefix, last) = (value, "prefix"),
                ("suffix", _, _) => (self.suffix, last) = (value, "suffix"),
                ("onlatest", "true" | "false", "prefix") => self.prefix_latest = value == "true",
                ("onlatest", "true" | "false", "suffix") => self.suffix_latest = value == "true",
                _ => {
                    let expected = "expected latest=auto|true|false, prefix=TEXT or suffix=TEXT, the last two with onlatest=true";
                    return Err(RuleError::new(text, format!("{key}={value}: {expected}")));
                }
            }
        }
        Ok(())
    }
}

struct Fields<'a> {
    text: &'a str,
    fields: Vec<(String, String)>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, RuleError> {
        let fields = split(text).ok_or_else(|| RuleError::new(text, "a quote is not closed"))?;
        let fields: Vec<&str> =
            fields.iter().map(|field| field.trim()).filter(|field| !field.is_empty()).collect();
        if let [word] = fields.as_slice()
            && !word.contains('=')
        {
            let fields =
                vec![("type".to_owned(), "raw".to_owned()), ("value".to_owned(), (*word).to_owned())];
            return Ok(Self { text, fields });
        }
        let pair = |field: &&str| {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| RuleError::new(text, format!("{field:?} is no key=value")))?;
            Ok((key.trim().to_lowercase(), value.trim().to_owned()))
        };
        Ok(Self { text, fields: fields.iter().map(pair).collect::<Result<_, _>>()? })
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let place = self.fields.iter().rposition(|(known, _)| known == key)?;
        let (_, value) = self.fields.remove(place);
        self.fields.retain(|(known, _)| known != key);
        Some(value)
    }

    fn need(&mut self, key: &str) -> Result<String, RuleError> {
        let value = self.take(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| RuleError::new(self.text, format!("needs {key}=")))
    }

    fn number(&mut self, key: &str) -> Result<Option<i64>, RuleError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.parse();
        number.map(Some).map_err(|_| RuleError::new(self.text, format!("{key}={value} is no number")))
    }

    /// What kind of rule it is, and that kind's priority.
    fn kind(&mut self, kind: &str) -> Result<(Kind, i64), RuleError> {
        let value = |fields: &mut Self| fields.take("value").unwrap_or_default();
        Ok(match kind {
            "schedule" => {
                let pattern = self.take("pattern").filter(|pattern| !pattern.is_empty());
                (Kind::Schedule { pattern: pattern.unwrap_or_else(|| "nightly".to_owned()) }, 1000)
            }
            "semver" => (Kind::Semver { pattern: self.need("pattern")?, value: value(self) }, 900),
            "pep440" => (Kind::Pep440 { pattern: self.need("pattern")?, value: value(self) }, 900),
            "match" => {
                let group = self.take("group").unwrap_or_else(|| "0".to_owned());
                (Kind::Match { pattern: self.need("pattern")?, group, value: value(self) }, 800)
            }
            "edge" => (Kind::Edge { branch: self.take("branch").filter(|branch| !branch.is_empty()) }, 700),
            "ref" => {
                let event = self.need("event")?;
                let kind = match event.as_str() {
                    "branch" => RefKind::Branch,
                    "tag" => RefKind::Tag,
                    "pr" => RefKind::PullRequest,
                    _ => {
                        return Err(RuleError::new(
                            self.text,
                            format!("event={event}: expected branch, tag or pr"),
                        ));
                    }
                };
                (Kind::Ref(kind), 600)
            }
            "raw" => (Kind::Raw { value: self.need("value")? }, 200),
            "sha" => {
                let format = self.take("format").unwrap_or_else(|| "short".to_owned());
                if !matches!(format.as_str(), "short" | "long") {
                    return Err(RuleError::new(
                        self.text,
                        format!("format={format}: expected short or long"),
                    ));
                }
                (Kind::Sha { long: format == "long" }, 100)
            }
            _ => return Err(RuleError::new(self.text, format!("type={kind}: expected {TYPES}"))),
        })
    }

    fn end(&self) -> Result<(), RuleError> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => Err(RuleError::new(self.text, format!("{key} is no field of this type"))),
        }
    }
}

/// Fields between commas. A field that begins with a quote ends with one; a quote inside is doubled. Quotes elsewhere stand
/// for themselves.
fn split(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is always a field");
        match character {
            ',' => fields.push(String::new()),
            '"' if field.trim().is_empty() => {
                field.clear();
                loop {
                    match characters.next()? {
                        '"' if characters.peek() == Some(&'"') => field.extend(characters.next()),
                        '"' => break,
                        inside => field.push(inside),
                    }
                }
            }
            other => field.push(other),
        }
    }
    Some(fields)
}
