//! Where the text stands: the column, and what go-yaml remembers of the characters before it.

/// Text that is being written. `whitespace` and `indention` decide whether a blank or a line break comes first, as in
/// libyaml's emitter, from which go-yaml was translated.
pub(super) struct Cursor<'out> {
    out: &'out mut String,
    /// Characters since the last line break.
    pub(super) column: usize,
    /// The last thing written was a blank or a line break.
    pub(super) whitespace: bool,
    /// Nothing but blanks, dashes and `?` stands on this line.
    pub(super) indention: bool,
}

const BLANKS: &str = "                                                                ";

impl<'out> Cursor<'out> {
    /// At the start of a line.
    pub(super) fn new(out: &'out mut String) -> Cursor<'out> {
        Cursor { out, column: 0, whitespace: true, indention: true }
    }

    /// Moves to a column of this line if nothing stands there yet, else of the next.
    pub(super) fn indent(&mut self, indent: usize) {
        let taken = self.column > indent || (self.column == indent && !self.whitespace);
        if !self.indention || taken {
            self.line_break();
        }
        let mut missing = indent.saturating_sub(self.column);
        while missing > 0 {
            let blanks = missing.min(BLANKS.len());
            self.out.push_str(&BLANKS[..blanks]);
            missing -= blanks;
        }
        self.column = self.column.max(indent);
        self.whitespace = true;
        self.indention = true;
    }

    /// A `-` or `?`: what follows may stand on the same line.
    pub(super) fn mark(&mut self, mark: char) {
        self.blank_before();
        self.push(mark);
        self.whitespace = false;
    }

    /// A bracket, quote, block header or the `:` behind a key; `blank` puts one before it.
    pub(super) fn indicator(&mut self, text: &str, blank: bool) {
        if blank {
            self.blank_before();
        }
        self.push_str(text);
        self.ended();
    }

    /// A blank, unless one stands here.
    pub(super) fn blank_before(&mut self) {
        if !self.whitespace {
            self.push(' ');
        }
    }

    /// A scalar was written up to here.
    pub(super) fn ended(&mut self) {
        self.whitespace = false;
        self.indention = false;
    }

    pub(super) fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    /// A break of the text's own: a line feed or one of Unicode's separators.
    pub(super) fn own_break(&mut self, character: char) {
        self.out.push(character);
        self.column = 0;
        self.indention = true;
    }

    pub(super) fn push(&mut self, character: char) {
        self.out.push(character);
        self.column += 1;
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += if text.is_ascii() { text.len() } else { text.chars().count() };
    }
}
