//! How a text is written: plain, in quotes, or as a block.

use crate::document::yaml::scalar::{Plain, resolve};
use crate::document::yaml::time_stamp::TimeStamp;

/// The styles that Kubernetes' YAML has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// A `|` block.
    Literal,
}

/// The style of a value or key.
pub(super) fn of_value(text: &str) -> Style {
    if is_bare(text) {
        return if reads_as_text(text) { Style::Plain } else { Style::DoubleQuoted };
    }
    let allowed = Allowed::of(text);
    if text.contains('\n') {
        if allowed.block { Style::Literal } else { Style::DoubleQuoted }
    } else if !reads_as_text(text) {
        Style::DoubleQuoted
    } else if allowed.plain {
        Style::Plain
    } else if allowed.single_quoted {
        Style::SingleQuoted
    } else {
        Style::DoubleQuoted
    }
}

/// True for a text with a line break of any kind.
pub(super) fn is_multiline(text: &str) -> bool {
    // All of them are control characters or outside ASCII.
    text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) && text.chars().any(is_break)
}

/// `\n`, `\r` and Unicode's own.
pub(super) fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml writes without an escape: no tab, and nothing outside the basic plane.
pub(super) fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// The usual case, seen without looking at each character's neighbours: visible ASCII in which nothing can be taken for
/// an indicator.
fn is_bare(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(&first) = bytes.first() else { return false };
    let bare = |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b':' | b'#');
    bytes.iter().all(bare)
        && !is_indicator(char::from(first))
        && !matches!(first, b'?' | b'-')
        && !text.starts_with("...")
}

/// True when a reader of YAML 1.1 gives the plain text back, and not null, a boolean, a number or a time.
fn reads_as_text(text: &str) -> bool {
    match text.as_bytes().first() {
        None => false,
        Some(b'0'..=b'9') => {
            resolve(text) == Plain::Text && !is_base60(text) && TimeStamp::parse(text).is_none()
        }
        Some(b'+' | b'-') => resolve(text) == Plain::Text && !is_base60(text),
        Some(_) => resolve(text) == Plain::Text,
    }
}

/// `1:30` is a number of base 60 for YAML 1.1 readers other than go-yaml.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let digit_or_underscore = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    let first = parts.next().unwrap_or_default();
    let sixty = |part: &str| match part.as_bytes() {
        [unit] => unit.is_ascii_digit(),
        [ten, unit] => matches!(ten, b'0'..=b'5') && unit.is_ascii_digit(),
        _ => false,
    };
    whole.contains(':')
        && first.starts_with(|digit: char| digit.is_ascii_digit())
        && first.bytes().all(digit_or_underscore)
        && parts.all(sixty)
        && fraction.bytes().all(digit_or_underscore)
}

/// Characters that cannot begin a plain text.
fn is_indicator(first: char) -> bool {
    matches!(
        first,
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
    )
}

/// The styles that can hold a text.
struct Allowed {
    plain: bool,
    single_quoted: bool,
    block: bool,
}

impl Allowed {
    fn of(text: &str) -> Allowed {
        let seen = Seen::of(text);
        let edge = |character: Option<char>| character.is_some_and(|edge| edge == ' ' || is_break(edge));
        let edges = edge(text.chars().next()) || edge(text.chars().next_back());
        let quotable = !seen.blank_before_break && !seen.special;
        Allowed {
            plain: quotable && !seen.break_before_blank && !edges && !seen.breaks && !seen.indicators,
            single_quoted: quotable && !seen.break_before_blank,
            block: quotable && !text.ends_with(' '),
        }
    }
}

/// What was found in a text.
#[derive(Default)]
struct Seen {
    indicators: bool,
    breaks: bool,
    /// A character that must be escaped.
    special: bool,
    break_before_blank: bool,
    blank_before_break: bool,
}

impl Seen {
    fn of(text: &str) -> Seen {
        let mut seen =
            Seen { indicators: text.starts_with("---") || text.starts_with("..."), ..Seen::default() };
        let mut characters = text.chars().peekable();
        let mut before = None;
        while let Some(character) = characters.next() {
            let blank_follows = characters.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
            seen.indicators |= match before {
                None => is_indicator(character) || (matches!(character, '?' | ':' | '-') && blank_follows),
                Some(before) => {
                    (character == ':' && blank_follows) || (character == '#' && ends_word(before))
                }
            };
            seen.special |= !is_printable(character);
            seen.breaks |= is_break(character);
            seen.break_before_blank |= character == ' ' && before.is_some_and(is_break);
            seen.blank_before_break |= is_break(character) && before == Some(' ');
            before = Some(character);
        }
        seen
    }
}

/// A `#` behind one of these starts a comment.
fn ends_word(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\0') || is_break(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_only_where_a_reader_would_take_it_otherwise() {
        let check = |text: &str, style: Style| assert_eq!(of_value(text), style, "{text:?}");
        for text in
            ["a", "a b", "a:b", "a#b", "-a", "?a", ":a", "<<", "=", "nginx:1.25", "10Mi", "0.5.1", "a-", "ä"]
        {
            check(text, Style::Plain);
        }
        for text in [
            "",
            "yes",
            "Y",
            "~",
            "0777",
            "1e3",
            "1:30",
            "2001-01-01",
            ".inf",
            "0x1F",
            "\t",
            "a\tb",
            "😀",
            "a \n",
        ] {
            check(text, Style::DoubleQuoted);
        }
        for text in ["- a", "a: b", "a #b", " a", "a ", "@a", "*", "---", "...", "a:", "-", "?"] {
            check(text, Style::SingleQuoted);
        }
        for text in ["a\nb", "\n", " a\n", "1\n2"] {
            check(text, Style::Literal);
        }
    }
}
