//! Reads a text once, left to right, and replaces what has a meaning.

use super::output::{Expanded, Output};
use super::pattern::{Pattern, PatternError};
use super::{ExpandError, MAX_DEPTH, MAX_RESULT_BYTES};

/// What quotes are to the lexer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They group and are taken away.
    Remove,
    /// They group and stay.
    Keep,
    /// They are characters like any other.
    Text,
}

/// How a text is read.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    pub escape: char,
    pub quotes: Quotes,
    /// Escape characters stay in the result.
    pub keep_escapes: bool,
    /// A variable without a value stays as it was written.
    pub keep_unset: bool,
}

impl Mode {
    pub(super) fn expansion(escape: char) -> Mode {
        Mode { escape, quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }
}

/// Reads a text once, left to right.
pub(crate) struct Lexer<'a> {
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    mode: Mode,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, mode: Mode, lookup: &'a dyn Fn(&str) -> Option<String>) -> Lexer<'a> {
        Lexer { characters: text.chars().peekable(), mode, lookup, depth: 0 }
    }

    pub(crate) fn run(mut self) -> Result<Expanded, ExpandError> {
        self.read_until(None, self.mode.keep_escapes, false)
    }

    /// Reads up to `stop` (which is consumed) or, without one, to the end.
    ///
    /// `pattern` doubles the escape character inside quotes, so that what is quoted stays literal when the
    /// result is read again as a pattern.
    fn read_until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
        pattern: bool,
    ) -> Result<Expanded, ExpandError> {
        let before = std::mem::replace(&mut self.mode.keep_escapes, keep_escapes);
        let result = self.read_parts(stop, pattern);
        self.mode.keep_escapes = before;
        result
    }

    fn read_parts(&mut self, stop: Option<char>, pattern: bool) -> Result<Expanded, ExpandError> {
        let mut output = Output::default();
        while let Some(&character) = self.characters.peek() {
            if Some(character) == stop {
                self.characters.next();
                return Ok(output.finish());
            }
            match character {
                '$' => output.push_splitting(&self.read_dollar()?),
                '<' => output.push_quoted(&self.read_less_than()),
                '\'' if self.mode.quotes != Quotes::Text => {
                    output.push_quoted(&self.read_single_quoted(pattern)?)
                }
                '"' if self.mode.quotes != Quotes::Text => {
                    output.push_quoted(&self.read_double_quoted(pattern)?)
                }
                _ => self.read_plain(&mut output),
            }
            if output.len() > MAX_RESULT_BYTES {
                return Err(ExpandError::TooLong);
            }
        }
        if stop.is_some() { Err(ExpandError::MissingBrace) } else { Ok(output.finish()) }
    }

    fn read_plain(&mut self, output: &mut Output) {
        let Some(character) = self.characters.next() else { return };
        if character != self.mode.escape {
            output.push(character);
            return;
        }
        if self.mode.keep_escapes {
            output.push_quoted_char(character);
        }
        if let Some(escaped) = self.characters.next() {
            output.push_quoted_char(escaped);
        }
    }

    fn read_single_quoted(&mut self, pattern: bool) -> Result<String, ExpandError> {
        let mut result = String::new();
        self.take_quote(&mut result);
        while let Some(&character) = self.characters.peek() {
            if character == '\'' {
                self.take_quote(&mut result);
                return Ok(result);
            }
            if pattern && character == self.mode.escape {
                result.push(character);
            }
            result.push(character);
            self.characters.next();
        }
        Err(ExpandError::UnclosedQuote("single"))
    }

    fn read_double_quoted(&mut self, pattern: bool) -> Result<String, ExpandError> {
        let mut result = String::new();
        self.take_quote(&mut result);
        while let Some(&character) = self.characters.peek() {
            match character {
                '"' => {
                    self.take_quote(&mut result);
                    return Ok(result);
                }
                '$' => result.push_str(&self.read_dollar()?),
                _ => self.read_double_quoted_plain(&mut result, pattern),
            }
            if result.len() > MAX_RESULT_BYTES {
                return Err(ExpandError::TooLong);
            }
        }
        Err(ExpandError::UnclosedQuote("double"))
    }

    /// Inside double quotes the escape character escapes only `"`, `$` and itself; before anything else it
    /// stays.
    fn read_double_quoted_plain(&mut self, result: &mut String, pattern: bool) {
        let Some(character) = self.characters.next() else { return };
        if character != self.mode.escape {
            result.push(character);
            return;
        }
        let Some(&next) = self.characters.peek() else { return };
        if next == '"' || next == '$' || next == self.mode.escape {
            if self.mode.keep_escapes {
                result.push(character);
            }
            result.push(next);
            self.characters.next();
            return;
        }
        if self.mode.keep_escapes && (self.mode.quotes != Quotes::Keep || pattern) {
            result.push(character);
        }
        result.push(character);
    }

    fn take_quote(&mut self, result: &mut String) {
        if let Some(quote) = self.characters.next()
            && self.mode.quotes == Quotes::Keep
        {
            result.push(quote);
        }
    }

    /// `<<` with the blanks after it is one piece of a word, so that `<< EOF` is found as a heredoc.
    fn read_less_than(&mut self) -> String {
        let mut result = String::from("<");
        self.characters.next();
        if self.characters.next_if_eq(&'<').is_some() {
            result.push('<');
            while let Some(blank) = self.characters.next_if(|it| matches!(it, '\t' | '\r' | ' ')) {
                result.push(blank);
            }
        }
        result
    }

    fn read_dollar(&mut self) -> Result<String, ExpandError> {
        self.characters.next();
        if self.characters.next_if_eq(&'{').is_some() {
            if self.depth == MAX_DEPTH {
                return Err(ExpandError::TooDeep);
            }
            self.depth += 1;
            let result = self.read_braces();
            self.depth -= 1;
            return result;
        }
        let name = self.read_name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok((self.lookup)(&name).unwrap_or_else(|| self.unset(format!("${name}"))))
    }

    fn unset(&self, written: String) -> String {
        if self.mode.keep_unset { written } else { String::new() }
    }

    /// What follows `${`.
    fn read_braces(&mut self) -> Result<String, ExpandError> {
        match self.characters.peek() {
            None => return Err(ExpandError::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::MissingName),
            Some(_) => {}
        }
        let name = self.read_name();
        match self.characters.next() {
            None => Err(ExpandError::MissingBrace),
            Some('}') => Ok((self.lookup)(&name).unwrap_or_else(|| self.unset(format!("${{{name}}}")))),
            Some(':') => match self.characters.next() {
                None => Err(ExpandError::MissingBrace),
                Some(modifier @ ('-' | '+' | '?')) => self.read_default(&name, modifier, true),
                Some(other) => Err(ExpandError::UnknownModifier(format!(":{other}"))),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.read_default(&name, modifier, false),
            Some(side @ ('#' | '%')) => self.read_trim(&name, side),
            Some('/') => self.read_replace(&name),
            Some(other) => Err(ExpandError::UnknownModifier(other.to_string())),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`; with a colon an empty value counts as none.
    fn read_default(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, ExpandError> {
        let word = self.read_until(Some('}'), false, false)?.text;
        let value = (self.lookup)(name);
        if value.is_none() && self.mode.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let given = value.as_ref().is_some_and(|value| !(colon && value.is_empty()));
        match modifier {
            '-' if given => Ok(value.unwrap_or_default()),
            '-' => Ok(word),
            '+' if given => Ok(word),
            '+' => Ok(String::new()),
            _ if given => Ok(value.unwrap_or_default()),
            _ => Err(ExpandError::Required {
                name: name.to_owned(),
                message: requirement(word, value.is_some()),
            }),
        }
    }

    /// `${name#pattern}` and `${name%pattern}`; the sign twice takes the longest match.
    fn read_trim(&mut self, name: &str, side: char) -> Result<String, ExpandError> {
        let word = self.read_until(Some('}'), true, true)?.text;
        let value = (self.lookup)(name);
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}{side}{word}}}"));
        }
        // `${A##x}` reaches this place as `${A#` and the word `#x`.
        let (pattern, longest) = word.strip_prefix(side).map_or((word.as_str(), false), |rest| (rest, true));
        Ok(trim(pattern, &value.unwrap_or_default(), side, longest)?)
    }

    /// `${name/pattern/replacement}`; with two slashes every match is replaced.
    fn read_replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.characters.next_if_eq(&'/').is_some();
        let pattern = self.read_until(Some('/'), true, true).map_err(|error| match error {
            ExpandError::MissingBrace => ExpandError::MissingSlash(name.to_owned()),
            other => other,
        })?;
        let replacement = self.read_until(Some('}'), true, false)?.text;
        let value = (self.lookup)(name);
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}/{}/{replacement}}}", pattern.text));
        }
        let pattern = Pattern::parse(&pattern.text)?;
        let value = value.unwrap_or_default();
        let result = if all {
            pattern.replace_all(&value, &replacement)
        } else {
            pattern.replace_first(&value, &replacement)
        };
        if result.len() > MAX_RESULT_BYTES { Err(ExpandError::TooLong) } else { Ok(result) }
    }

    /// A name: letters, digits and `_`; or digits only; or one special parameter such as `$@`.
    fn read_name(&mut self) -> String {
        let mut name = String::new();
        match self.characters.peek() {
            Some(first) if is_digit(*first) => {
                while let Some(digit) = self.characters.next_if(|it| is_digit(*it)) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.characters.next()),
            _ => {
                while let Some(letter) = self.characters.next_if(|it| it.is_alphanumeric() || *it == '_') {
                    name.push(letter);
                }
            }
        }
        name
    }
}

fn is_digit(character: char) -> bool {
    character.is_ascii_digit() || (!character.is_ascii() && character.is_numeric())
}

fn requirement(word: String, set: bool) -> String {
    match (word.is_empty(), set) {
        (false, _) => word,
        (true, true) => "is not allowed to be empty".to_owned(),
        (true, false) => "is not allowed to be unset".to_owned(),
    }
}

fn trim(pattern: &str, value: &str, side: char, longest: bool) -> Result<String, PatternError> {
    if side == '#' {
        return Ok(Pattern::parse(pattern)?.trim_start(value, longest).to_owned());
    }
    // The shortest match at the end is the shortest at the start of the mirror image.
    let mirrored: String = value.chars().rev().collect();
    let rest = Pattern::parse_mirrored(pattern)?.trim_start(&mirrored, longest).chars().rev().collect();
    Ok(rest)
}
