//! `--name` and `--name=value` between the keyword and the operands.

use std::ops::Range;

use crate::line::LogicalLine;
use crate::report::Reporter;
use crate::syntax::Word;
use minato_resource::nearest;

/// A flag that an instruction knows.
pub(crate) struct FlagRule {
    pub name: &'static str,
    pub kind: FlagKind,
}

/// What may follow a flag's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagKind {
    /// `--name`, `--name=true` or `--name=false`, once.
    Switch,
    /// `--name=value`, once.
    Value,
    /// `--name=value`, any number of times.
    List,
}

pub(crate) const fn switch(name: &'static str) -> FlagRule {
    FlagRule { name, kind: FlagKind::Switch }
}

pub(crate) const fn value(name: &'static str) -> FlagRule {
    FlagRule { name, kind: FlagKind::Value }
}

pub(crate) const fn list(name: &'static str) -> FlagRule {
    FlagRule { name, kind: FlagKind::List }
}

/// The flags of one line as they were written, quotes and escapes taken away.
pub(crate) struct RawFlags {
    flags: Vec<Word>,
}

/// The flags after they were checked against what the instruction knows.
pub(crate) struct Flags {
    accepted: Vec<(&'static str, Word)>,
}

/// Reads the flags at the start of a range and gives the range behind them. A lone `--` ends them.
pub(crate) fn split(line: &LogicalLine, range: Range<usize>, escape: char) -> (RawFlags, Range<usize>) {
    let mut flags = Vec::new();
    let mut at = range.start;
    loop {
        at += blanks(&line.text[at..range.end]);
        if !line.text[at..range.end].starts_with("--") {
            break;
        }
        let (raw, length) = read_flag(&line.text[at..range.end], escape);
        let start = at;
        at += length;
        if raw == "--" {
            break;
        }
        flags.push(Word { raw, span: line.span(start..at) });
    }
    (RawFlags { flags }, line.trim(at..range.end))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// One flag without its quotes and escapes, and its length in the text.
fn read_flag(text: &str, escape: char) -> (String, usize) {
    let mut raw = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match quote {
            None if character.is_whitespace() => return (raw, index),
            Some(open) if open == character => quote = None,
            None if matches!(character, '\'' | '"') => quote = Some(character),
            // Escapes work inside both kinds of quotes here.
            _ if character == escape => raw.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => raw.push(character),
        }
    }
    (raw, text.len())
}

impl RawFlags {
    /// The place of the first flag.
    pub(crate) fn first(&self) -> Option<&Word> {
        self.flags.first()
    }

    /// Keeps the flags that `rules` allow and reports the others.
    pub(crate) fn check(self, keyword: &str, rules: &[FlagRule], reporter: &mut Reporter) -> Flags {
        let mut accepted: Vec<(&'static str, Word)> = Vec::new();
        for flag in self.flags {
            let (name, text) = match flag.raw[2..].split_once('=') {
                Some((name, text)) => (name, Some(text)),
                None => (&flag.raw[2..], None),
            };
            let Some(rule) = rules.iter().find(|rule| rule.name == name) else {
                unknown_flag(keyword, name, &flag, rules, reporter);
                continue;
            };
            if rule.kind != FlagKind::List && accepted.iter().any(|(present, _)| *present == rule.name) {
                let message = format!("the flag --{name} may stand only once");
                reporter.error("duplicate-flag", flag.span, message);
            } else if let Some(value) = accept(rule, text, &flag, reporter) {
                accepted.push((rule.name, value));
            }
        }
        Flags { accepted }
    }
}

fn unknown_flag(keyword: &str, name: &str, flag: &Word, rules: &[FlagRule], reporter: &mut Reporter) {
    let message = format!("{keyword} has no flag --{name}");
    let names: Vec<&'static str> = rules.iter().map(|rule| rule.name).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(meant) => Some(format!("did you mean --{meant}?")),
        None if names.is_empty() => Some(format!("{keyword} takes no flags")),
        None => Some(format!("its flags are --{}", names.join(", --"))),
    };
    reporter.error("unknown-flag", flag.span, message).hint_if_any(hint);
}

/// The flag's value as a word, if it may have the one it has.
fn accept(rule: &FlagRule, text: Option<&str>, flag: &Word, reporter: &mut Reporter) -> Option<Word> {
    let name = rule.name;
    let text = match (rule.kind, text) {
        (FlagKind::Switch, None) => "true",
        (FlagKind::Switch, Some(text)) if ["true", "false"].contains(&text.to_ascii_lowercase().as_str()) => {
            text
        }
        (FlagKind::Switch, Some(text)) => {
            let message = format!("--{name} is '{text}', it must be true or false");
            reporter.error("bad-flag-value", flag.span, message);
            return None;
        }
        (_, None) => {
            let message = format!("--{name} needs a value");
            reporter.error("bad-flag-value", flag.span, message).hint(format!("write --{name}=VALUE"));
            return None;
        }
        (_, Some(text)) => text,
    };
    Some(Word { raw: text.to_owned(), span: value_span(flag, text, reporter) })
}

/// The value's own place where it stands in the file as it is, else the whole flag's.
fn value_span(flag: &Word, value: &str, reporter: &Reporter) -> minato_resource::Span {
    if !value.is_empty() && reporter.source(flag.span) == flag.raw {
        return minato_resource::Span::new(flag.span.end - value.len(), flag.span.end);
    }
    flag.span
}

impl Flags {
    /// The value of a flag that stands at most once.
    pub(crate) fn value(&self, name: &'static str) -> Option<&Word> {
        self.list(name).next()
    }

    /// All values of a flag.
    pub(crate) fn list<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a Word> {
        self.accepted.iter().filter(move |(accepted, _)| *accepted == name).map(|(_, word)| word)
    }

    /// A switch, where it was written.
    pub(crate) fn switch(&self, name: &'static str) -> Option<bool> {
        self.value(name).map(|word| word.raw.eq_ignore_ascii_case("true"))
    }
}
