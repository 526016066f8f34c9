//! What is wrong with a user's file, where, and what to do about it.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::{Position, SourceFile, Span};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Said, and nothing stops.
    Warning,
    /// What was asked for is not done.
    Error,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A span in a file.
#[derive(Debug, Clone)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The part of it.
    pub span: Span,
}

impl Location {
    /// Line and column where the span starts.
    pub fn position(&self) -> Position {
        self.file.position(self.span.start)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.path().display(), self.position())
    }
}

/// One finding about a user's file. Only the command line renders it with the text underlined;
/// [`std::fmt::Display`] is the one-line form `path:line:column: error[code]: message`.
///
/// A message never holds the value of a secret.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable name of the rule, for `--allow` and for machines: `yaml-syntax`, `duplicate-key`.
    pub code: String,
    /// Lowercase sentence that says what is wrong and what was expected.
    pub message: String,
    /// Where; absent when the finding is not about a text (a built image, say).
    pub location: Option<Location>,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(
        code: impl Into<String>,
        message: impl Into<String>,
        file: &Arc<SourceFile>,
        span: Span,
    ) -> Diagnostic {
        Diagnostic::without_location(Severity::Error, code, message).at(file, span)
    }

    /// A warning at a place.
    pub fn warning(
        code: impl Into<String>,
        message: impl Into<String>,
        file: &Arc<SourceFile>,
        span: Span,
    ) -> Diagnostic {
        Diagnostic::without_location(Severity::Warning, code, message).at(file, span)
    }

    /// A finding that is not about a text.
    pub fn without_location(
        severity: Severity,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { severity, code: code.into(), message: message.into(), location: None, hint: None }
    }

    /// The same finding at a place.
    #[must_use]
    pub fn at(mut self, file: &Arc<SourceFile>, span: Span) -> Diagnostic {
        self.location = Some(Location { file: Arc::clone(file), span });
        self
    }

    /// The same finding with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// True for an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)
    }
}

impl Serialize for Diagnostic {
    /// The shape of `-o json`: severity, code, message, hint, file, line, column, end_line, end_column.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Diagnostic", 9)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("hint", &self.hint)?;
        let start = self.location.as_ref().map(Location::position);
        let end = self.location.as_ref().map(|place| place.file.position(place.span.end));
        out.serialize_field(
            "file",
            &self.location.as_ref().map(|place| place.file.path().to_string_lossy()),
        )?;
        out.serialize_field("line", &start.map(|position| position.line))?;
        out.serialize_field("column", &start.map(|position| position.column))?;
        out.serialize_field("end_line", &end.map(|position| position.line))?;
        out.serialize_field("end_column", &end.map(|position| position.column))?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_line_form_has_place_severity_and_code() {
        let file = Arc::new(SourceFile::new("k8s/web.yaml", "a: 1\nb: 2\n"));
        let diagnostic = Diagnostic::error("duplicate-key", "key b appears twice", &file, Span::new(5, 6));
        assert_eq!(diagnostic.to_string(), "k8s/web.yaml:2:1: error[duplicate-key]: key b appears twice");
    }

    #[test]
    fn json_has_line_and_column() {
        let file = Arc::new(SourceFile::new("a", "x\nyz"));
        let diagnostic = Diagnostic::warning("w", "m", &file, Span::new(2, 4)).with_hint("h");
        let value = serde_json::to_value(&diagnostic).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"severity": "warning", "code": "w", "message": "m", "hint": "h", "file": "a",
                "line": 2, "column": 1, "end_line": 2, "end_column": 3})
        );
    }
}
