//! ENV, LABEL and ARG: names and values.

use crate::instruction::{Arg, ArgDefinition, Env, Label, Pair, PairForm};
use crate::operand::is_blank;
use crate::parse::Head;
use crate::report::Reporter;
use crate::syntax::Word;

use super::{missing, warn_of_ignored_flags};

pub(super) fn env(head: Head<'_>, reporter: &mut Reporter) -> Option<Env> {
    pairs("ENV", head, reporter).map(|pairs| Env { pairs })
}

pub(super) fn label(head: Head<'_>, reporter: &mut Reporter) -> Option<Label> {
    pairs("LABEL", head, reporter).map(|pairs| Label { pairs })
}

fn pairs(name: &str, head: Head<'_>, reporter: &mut Reporter) -> Option<Vec<Pair>> {
    let Head { keyword, flags, operands } = head;
    flags.check(name, &[], reporter);
    let words = operands.outside_quotes();
    let example = format!("{name} NAME=VALUE");
    let Some(first) = words.first() else {
        return missing(name, &keyword, "a name and a value", &example, reporter);
    };
    if !first.raw.contains('=') {
        // The old form: the first blank separates, quotes or not, and the value is the rest of the line.
        let (name_word, Some(value)) = operands.split_first(is_blank) else {
            let message = format!("{name} {} has no value", first.raw);
            reporter.error("bad-pair", first.span, message).hint(format!("write {example}"));
            return None;
        };
        return Some(vec![Pair { name: name_word, value: value.whole(), form: PairForm::Blank }]);
    }
    // Only the first is reported: the others are mostly words of the same value, which lacks its quotes.
    words.iter().map(|word| pair(name, word, reporter)).collect()
}

fn pair(instruction: &str, word: &Word, reporter: &mut Reporter) -> Option<Pair> {
    let Some((name, value)) = split_at_equals(word, reporter) else {
        let message = format!("'{}' has no '='", word.raw);
        reporter
            .error("bad-pair", word.span, message)
            .hint("each pair is NAME=VALUE; a value with blanks needs quotes: NAME=\"a b\"");
        return None;
    };
    checked_name(instruction, name, reporter).map(|name| Pair { name, value, form: PairForm::Equals })
}

pub(super) fn arg(head: Head<'_>, reporter: &mut Reporter) -> Option<Arg> {
    warn_of_ignored_flags(&head, reporter);
    let words = head.operands.outside_quotes();
    if words.is_empty() {
        return missing("ARG", &head.keyword, "a name", "ARG NAME or ARG NAME=DEFAULT", reporter);
    }
    let mut definitions = Vec::new();
    for word in words {
        let (name, default) = match split_at_equals(&word, reporter) {
            Some((name, default)) => (name, Some(default)),
            None => (word, None),
        };
        definitions.push(ArgDefinition { name: checked_name("ARG", name, reporter)?, default });
    }
    Some(Arg { definitions })
}

fn checked_name(instruction: &str, name: Word, reporter: &mut Reporter) -> Option<Word> {
    if name.raw.is_empty() {
        reporter.error("bad-operand", name.span, format!("{instruction} has an empty name before '='"));
        return None;
    }
    Some(name)
}

/// `name=value` as two words with places of their own.
fn split_at_equals(word: &Word, reporter: &Reporter) -> Option<(Word, Word)> {
    let (name, value) = word.raw.split_once('=')?;
    let exact = reporter.source(word.span) == word.raw;
    let middle = word.span.start + name.len();
    let (name_span, value_span) = if exact {
        ((word.span.start..middle).into(), (middle + 1..word.span.end).into())
    } else {
        (word.span, word.span)
    };
    Some((Word { raw: name.to_owned(), span: name_span }, Word { raw: value.to_owned(), span: value_span }))
}
