//! Why something is refused, before it is known where it was asked for.

use std::sync::Arc;

use minato_resource::{Diagnostic, SourceFile, Span, nearest};

/// A mistake that a message can be made of. It becomes a [`Diagnostic`] where its place is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// Stable name of the rule.
    pub(crate) code: &'static str,
    /// Lowercase; says what is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    /// The same refusal, with "did you mean" when a candidate is near.
    pub(crate) fn suggesting<'a>(
        self,
        wanted: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Refusal {
        match nearest(wanted, candidates) {
            Some(near) => self.with_hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    pub(crate) fn with_hint_if_none(self, hint: &str) -> Refusal {
        Refusal { hint: self.hint.or_else(|| Some(hint.to_owned())), ..self }
    }

    pub(crate) fn at(self, file: &Arc<SourceFile>, span: Span) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.code, self.message, file, span);
        match self.hint {
            Some(hint) => diagnostic.with_hint(hint),
            None => diagnostic,
        }
    }
}
