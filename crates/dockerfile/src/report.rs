//! Collects diagnostics for one file.

use std::sync::Arc;

use minato_resource::{Diagnostic, Severity, SourceFile, Span};

/// The diagnostics of one file, in the order they were found.
pub(crate) struct Reporter {
    file: Arc<SourceFile>,
    diagnostics: Vec<Diagnostic>,
}

/// The diagnostic just reported, to hang a hint on.
pub(crate) struct Reported<'a>(&'a mut Diagnostic);

impl Reported<'_> {
    pub(crate) fn hint(self, hint: impl Into<String>) {
        self.0.hint = Some(hint.into());
    }

    pub(crate) fn hint_if_any(self, hint: Option<String>) {
        self.0.hint = hint;
    }
}

impl Reporter {
    pub(crate) fn new(file: &Arc<SourceFile>) -> Reporter {
        Reporter { file: Arc::clone(file), diagnostics: Vec::new() }
    }

    /// What the build can't do.
    pub(crate) fn error(&mut self, code: &str, span: Span, message: impl Into<String>) -> Reported<'_> {
        self.push(Diagnostic::error(code, message, &self.file.clone(), span))
    }

    /// What the build does, but hardly as meant.
    pub(crate) fn warning(&mut self, code: &str, span: Span, message: impl Into<String>) -> Reported<'_> {
        self.push(Diagnostic::warning(code, message, &self.file.clone(), span))
    }

    /// The text of a span.
    pub(crate) fn source(&self, span: Span) -> &str {
        self.file.slice(span)
    }

    /// The number of the line that an offset is on.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.file.position(offset).line
    }

    /// Another reporter for the same file, for findings that [`Reporter::adopt`] takes over.
    pub(crate) fn fork(&self) -> Reporter {
        Reporter::new(&self.file)
    }

    /// Takes over the findings of a fork: as warnings, but for those with one of the given codes.
    pub(crate) fn adopt_as_warnings(&mut self, fork: Reporter, except: &[&str]) {
        let findings = fork.diagnostics.into_iter().map(|mut diagnostic| {
            if !except.contains(&diagnostic.code.as_str()) {
                diagnostic.severity = Severity::Warning;
            }
            diagnostic
        });
        self.diagnostics.extend(findings);
    }

    pub(crate) fn error_count(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    fn push(&mut self, diagnostic: Diagnostic) -> Reported<'_> {
        self.diagnostics.push(diagnostic);
        let last = self.diagnostics.len() - 1;
        Reported(&mut self.diagnostics[last])
    }
}
