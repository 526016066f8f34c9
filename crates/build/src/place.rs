//! From a statement to the place that an error names.

use std::sync::Arc;

use minato_dockerfile::Statement;
use minato_resource::{Location, SourceFile, Span};

use crate::error::{BuildError, StepError};

/// The Dockerfile's text, to tell places in it.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Arc<SourceFile>,
}

impl Source<'_> {
    /// The error of a statement.
    pub(crate) fn failed<T>(&self, statement: &Statement<T>, cause: impl Into<StepError>) -> BuildError {
        self.failed_at(statement.span, &one_line(&statement.text), cause)
    }

    /// The error of an instruction.
    pub(crate) fn failed_at(&self, span: Span, instruction: &str, cause: impl Into<StepError>) -> BuildError {
        BuildError::Step {
            location: Location { file: Arc::clone(self.file), span },
            instruction: instruction.to_owned(),
            cause: Box::new(cause.into()),
        }
    }

    /// The line, from 1, on which a span starts.
    pub(crate) fn line(&self, span: Span) -> usize {
        self.file.position(span.start).line
    }
}

/// Runs of blanks become one; a very long line is cut.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 160;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
