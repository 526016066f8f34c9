//! Variables, quotes and escapes in a word: `$NAME`, `${NAME}`, `${NAME:-word}` and the other modifiers.
//!
//! The rules are those of `BuildKit`'s `shell.Lex`, which is close to a POSIX shell and not quite one: the
//! escape character may be a backtick, `${x/a/b}` is known, command substitution is not.

mod lexer;
mod output;
mod pattern;

pub(crate) use lexer::{Lexer, Mode, Quotes};
use pattern::PatternError;

use crate::syntax::Word;

/// Why a word can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote is opened and not closed.
    #[error("a {0} quote is not closed")]
    UnclosedQuote(&'static str),
    /// `${NAME` without its end.
    #[error("'${{' is not closed: '}}' is missing")]
    MissingBrace,
    /// `${NAME/pattern` without the second slash.
    #[error("'${{{0}/' needs a second '/': ${{{0}/pattern/replacement}}")]
    MissingSlash(String),
    /// `${}`, `${:…}` or `${{…`.
    #[error("'${{' is not followed by the name of a variable")]
    MissingName,
    /// A modifier that does not exist, such as `${NAME^^}`.
    #[error("unknown modifier '{0}' in '${{…}}'; known are :- - :+ + :? ? # ## % %% / //")]
    UnknownModifier(String),
    /// `${NAME:?message}` and the variable is not there.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message in the word, or what is wrong.
        message: String,
    },
    /// The pattern after `#`, `%` or `/` is wrong.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Defaults inside defaults, too deep to follow.
    #[error("'${{…}}' is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// The result would be too long to be meant.
    #[error("the expanded text would be longer than {MAX_RESULT_BYTES} bytes")]
    TooLong,
}

/// How deep `${A:-${B:-…}}` may nest.
pub const MAX_DEPTH: usize = 100;

/// The longest result of one expansion, in bytes.
pub const MAX_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// Expands a word to one string: variables replaced, quotes and escapes taken away.
///
/// A variable for which `lookup` has nothing is empty.
///
/// # Errors
/// See [`ExpandError`]; the place to show is the word's span.
pub fn expand(
    word: &Word,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    Lexer::new(&word.raw, Mode::expansion(escape), lookup).run().map(|it| it.text)
}

/// Expands a word and splits the result at blanks that are not quoted. EXPOSE does this.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand_words(
    word: &Word,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, ExpandError> {
    Lexer::new(&word.raw, Mode::expansion(escape), lookup).run().map(|it| it.words)
}

/// Expands variables in the content of a COPY or ADD heredoc. Quotes stay, and the escape character is always
/// the backslash.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mode = Mode { quotes: Quotes::Text, ..Mode::expansion('\\') };
    Lexer::new(text, mode, lookup).run().map(|it| it.text)
}
