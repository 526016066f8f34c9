//! The shape of a whole Dockerfile: directives, global arguments, stages, and the words they are made of.

use minato_resource::Span;

use crate::instruction::{Arg, From, Instruction};

/// A parsed Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The parser directives at the top (`# syntax=`, `# escape=`, `# check=`).
    pub directives: Directives,
    /// The ARG instructions before the first FROM. Only FROM lines see them; a stage that wants one repeats
    /// `ARG NAME`.
    pub global_args: Vec<Statement<Arg>>,
    /// In the order of the file; the last one is what is built unless a target is named.
    pub stages: Vec<Stage>,
    /// The escape character in force: `\` or, after `# escape=`, the backtick.
    pub escape: char,
}

impl Dockerfile {
    /// The stage with this name, which has no case. Where several stages share a name the last is meant, as for a
    /// target and for COPY in `BuildKit`; only FROM means the last one *above* it.
    #[must_use]
    pub fn stage_named(&self, name: &str) -> Option<usize> {
        self.stages.iter().rposition(|stage| {
            stage.from.value.name.as_ref().is_some_and(|it| it.raw.eq_ignore_ascii_case(name))
        })
    }
}

/// The parser directives of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=docker/dockerfile:1`: the frontend that the file asks for.
    pub syntax: Option<Directive>,
    /// `# escape=` followed by a backslash or a backtick.
    pub escape: Option<Directive>,
    /// `# check=skip=RULE,…;error=true`: settings of `BuildKit`'s own checks.
    pub check: Option<Directive>,
}

/// One parser directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// What follows the equals sign, without surrounding blanks.
    pub value: String,
    /// The value in the file.
    pub span: Span,
}

/// A FROM line and the instructions under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What the stage starts from.
    pub from: Statement<From>,
    /// The instructions, in order, without the FROM.
    pub instructions: Vec<Statement<Instruction>>,
}

/// An instruction with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<T> {
    /// What it says.
    pub value: T,
    /// From the keyword to the end of the last operand or heredoc.
    pub span: Span,
    /// The keyword as it was written (`RUN`, `run`).
    pub keyword: Word,
    /// The logical line: continuations joined, comments dropped, heredoc bodies left out. This is what a
    /// progress line or the image's history shows.
    pub text: String,
    /// The comment lines directly above, without `#`, oldest first.
    pub comments: Vec<String>,
    /// The first blank line inside the instruction, between a continuation and what it goes on with.
    pub blank_line: Option<Span>,
}

impl<T> Statement<T> {
    /// The same statement around another value.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Statement<U> {
        Statement {
            value: change(self.value),
            span: self.span,
            keyword: self.keyword,
            text: self.text,
            comments: self.comments,
            blank_line: self.blank_line,
        }
    }
}

/// One operand, before variables are expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text that expansion starts from. Quotes and escapes are still in it, except where the grammar takes
    /// them away earlier: in flags and in the strings of a JSON array.
    pub raw: String,
    /// Its place in the file; it covers quotes and continuation lines, so it may be longer than `raw`.
    pub span: Span,
}
