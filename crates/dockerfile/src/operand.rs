//! The ways operands are split: at blanks, at blanks outside quotes, as a JSON array, or not at all.

use std::ops::Range;

use crate::line::LogicalLine;
use crate::syntax::Word;

/// The part of a logical line behind the keyword and the flags.
pub(crate) struct Operands<'a> {
    pub line: &'a LogicalLine,
    /// Without blanks at both ends.
    pub range: Range<usize>,
    pub escape: char,
}

/// What a text is as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JsonForm {
    /// An array of strings.
    Strings(Vec<Word>),
    /// A proper JSON array, but not of strings only; `BuildKit` refuses that instead of giving it to a shell.
    OtherArray,
    /// Anything else.
    NotJson,
}

impl<'a> Operands<'a> {
    pub(crate) fn text(&self) -> &'a str {
        &self.line.text[self.range.clone()]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// All of it as one word.
    pub(crate) fn whole(&self) -> Word {
        self.line.word(self.range.clone())
    }

    /// Splits at blanks, whatever is quoted.
    pub(crate) fn at_blanks(&self) -> Vec<Word> {
        let mut words = Vec::new();
        let mut start = None;
        for (index, character) in self.text().char_indices().chain([(self.text().len(), ' ')]) {
            match (is_blank(character), start) {
                (true, Some(from)) => {
                    words.push(self.sub_word(from..index));
                    start = None;
                }
                (false, None) => start = Some(index),
                _ => {}
            }
        }
        words
    }

    /// The first word and the rest behind the blanks.
    pub(crate) fn split_first(&self, is_separator: fn(char) -> bool) -> (Word, Option<Operands<'a>>) {
        let text = self.text();
        let Some(end) = text.find(is_separator) else { return (self.whole(), None) };
        let rest = &text[end..];
        let start = end + (rest.len() - rest.trim_start_matches(is_separator).len());
        let range = self.range.start + start..self.range.end;
        (self.sub_word(0..end), Some(Operands { line: self.line, range, escape: self.escape }))
    }

    /// Splits at blanks outside quotes; quotes and escapes stay in the words.
    pub(crate) fn outside_quotes(&self) -> Vec<Word> {
        let mut words = Vec::new();
        let mut current: Option<(usize, String)> = None;
        let mut quote = None;
        let mut characters = self.text().char_indices().peekable();
        while let Some((index, character)) = characters.next() {
            if quote.is_none() && character.is_whitespace() {
                self.close_word(&mut current, index, &mut words);
                continue;
            }
            let (_, raw) = current.get_or_insert_with(|| (index, String::new()));
            if character == self.escape && quote != Some('\'') {
                // An escape character at the very end is dropped.
                if let Some((_, escaped)) = characters.next() {
                    raw.extend([character, escaped]);
                }
                continue;
            }
            match quote {
                Some(open) if open == character => quote = None,
                None if matches!(character, '\'' | '"') => quote = Some(character),
                _ => {}
            }
            raw.push(character);
        }
        self.close_word(&mut current, self.text().len(), &mut words);
        words
    }

    fn close_word(&self, current: &mut Option<(usize, String)>, end: usize, words: &mut Vec<Word>) {
        if let Some((start, raw)) = current.take().filter(|(_, raw)| !raw.is_empty()) {
            words.push(Word { raw, span: self.sub_span(start..end) });
        }
    }

    /// Reads the operands as JSON.
    pub(crate) fn json(&self) -> JsonForm {
        if !self.text().starts_with('[') {
            return JsonForm::NotJson;
        }
        match JsonReader::new(self.text()).strings() {
            Some(strings) => {
                let word = |(raw, range)| Word { raw, span: self.sub_span(range) };
                JsonForm::Strings(strings.into_iter().map(word).collect())
            }
            None if serde_json::from_str::<Vec<serde_json::Value>>(self.text()).is_ok() => {
                JsonForm::OtherArray
            }
            None => JsonForm::NotJson,
        }
    }

    fn sub_word(&self, range: Range<usize>) -> Word {
        self.line.word(self.range.start + range.start..self.range.start + range.end)
    }

    fn sub_span(&self, range: Range<usize>) -> minato_resource::Span {
        self.line.span(self.range.start + range.start..self.range.start + range.end)
    }
}

/// The blanks that separate operands. A line break is not among them: there is none in a logical line.
pub(crate) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

/// Reads an array of strings and nothing else, keeping each string's place.
struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonReader<'a> {
    fn new(text: &'a str) -> JsonReader<'a> {
        JsonReader { text, at: 0 }
    }

    fn strings(mut self) -> Option<Vec<(String, Range<usize>)>> {
        let mut strings = Vec::new();
        self.expect('[')?;
        if self.expect(']').is_none() {
            loop {
                strings.push(self.string()?);
                if self.expect(',').is_none() {
                    self.expect(']')?;
                    break;
                }
            }
        }
        self.skip_blanks();
        (self.at == self.text.len()).then_some(strings)
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.skip_blanks();
        let rest = self.text[self.at..].strip_prefix(wanted)?;
        self.at = self.text.len() - rest.len();
        Some(())
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn string(&mut self) -> Option<(String, Range<usize>)> {
        self.skip_blanks();
        let start = self.at;
        let rest = self.text[start..].strip_prefix('"')?;
        let mut escaped = false;
        let length = rest.find(|character| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes
        })?;
        let end = start + length + 2;
        self.at = end;
        Some((serde_json::from_str(&self.text[start..end]).ok()?, start..end))
    }
}
