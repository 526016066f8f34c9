//! Collects an expanded text and, beside it, its words.

/// A text after expansion, whole and split.
pub(crate) struct Expanded {
    pub text: String,
    pub words: Vec<String>,
}

/// Collects the whole text and, beside it, its words.
#[derive(Default)]
pub(super) struct Output {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// A character of the text itself: a blank ends the word.
    pub(super) fn push(&mut self, character: char) {
        self.text.push(character);
        self.push_to_word(character);
    }

    /// The value of a variable: blanks in it split.
    pub(super) fn push_splitting(&mut self, value: &str) {
        self.text.push_str(value);
        value.chars().for_each(|character| self.push_to_word(character));
    }

    /// What was quoted: blanks in it don't split.
    pub(super) fn push_quoted(&mut self, value: &str) {
        self.text.push_str(value);
        self.word.push_str(value);
    }

    pub(super) fn push_quoted_char(&mut self, character: char) {
        self.text.push(character);
        self.word.push(character);
    }

    pub(super) fn push_to_word(&mut self, character: char) {
        if !character.is_whitespace() {
            self.word.push(character);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    pub(super) fn finish(mut self) -> Expanded {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        Expanded { text: self.text, words: self.words }
    }
}
