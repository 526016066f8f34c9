//! Files of `NAME=value` lines, with the quoting of Docker Compose's `.env` files.

use std::collections::BTreeMap;
use std::sync::Arc;

use minato_resource::{Diagnostic, SourceFile, Span};
use minato_sync::SecretValue;

/// Reads a file. In it:
///
/// - empty lines and lines that start with `#` are skipped, `export ` before a name is ignored;
/// - a value without quotes ends before ` #` and loses the spaces around it;
/// - in single quotes everything stands for itself, over several lines too;
/// - in double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes;
/// - the last of two lines with one name counts.
///
/// A name may hold what names of secrets hold: `SECRET/KEY`, an ARN. `$NAME` outside single quotes, which Compose
/// would expand, is refused: a password with a `$` in it must not change silently. No diagnostic holds a value.
pub(super) fn parse(file: &Arc<SourceFile>) -> (BTreeMap<String, SecretValue>, Vec<Diagnostic>) {
    let mut reader = Reader { file, text: file.text(), offset: 0, diagnostics: Vec::new() };
    let mut values = BTreeMap::new();
    while let Some((name, value)) = reader.entry() {
        if let Some(value) = value {
            values.insert(name, SecretValue::new(value));
        }
    }
    (values, reader.diagnostics)
}

struct Reader<'file> {
    file: &'file Arc<SourceFile>,
    text: &'file str,
    offset: usize,
    diagnostics: Vec<Diagnostic>,
}

impl<'file> Reader<'file> {
    /// The next name with its value, `None` for a value that was refused; `None` at the end.
    fn entry(&mut self) -> Option<(String, Option<String>)> {
        loop {
            self.skip(|character| character.is_whitespace());
            let line = self.rest_of_line();
            if line.is_empty() && self.offset >= self.text.len() {
                return None;
            }
            if line.starts_with('#') {
                self.offset += line.len();
                continue;
            }
            let line = match line.strip_prefix("export ") {
                Some(rest) => {
                    self.offset += line.len() - rest.len();
                    self.skip(|character| character == ' ');
                    self.rest_of_line()
                }
                None => line,
            };
            let Some((name, _)) = line.split_once('=') else {
                self.error("expected NAME=value", Span::new(self.offset, self.offset));
                self.offset += line.len();
                continue;
            };
            let start = self.offset;
            self.offset += name.len() + 1;
            let name = name.trim_end();
            let is_name = !name.is_empty() && !name.contains(|character: char| character.is_whitespace());
            let value = self.value();
            if is_name {
                return Some((name.to_owned(), value));
            }
            self.error("a name must not be empty or hold spaces", Span::new(start, start + name.len()));
        }
    }

    fn value(&mut self) -> Option<String> {
        self.skip(|character| character == ' ' || character == '\t');
        match self.rest().chars().next() {
            Some('\'') => self.single_quoted(),
            Some('"') => self.double_quoted(),
            _ => self.unquoted(),
        }
    }

    fn unquoted(&mut self) -> Option<String> {
        let line = self.rest_of_line();
        let start = self.offset;
        self.offset += line.len();
        let comment = line.char_indices().find(|(index, character)| {
            *character == '#' && (*index == 0 || line[..*index].ends_with([' ', '\t']))
        });
        let value = comment.map_or(line, |(index, _)| &line[..index]).trim_end();
        self.refuse_variables(value, start)?;
        Some(value.to_owned())
    }

    fn single_quoted(&mut self) -> Option<String> {
        let inside = &self.rest()[1..];
        let Some(length) = inside.find('\'') else { return self.unclosed() };
        self.offset += length + 2;
        self.nothing_follows()?;
        Some(inside[..length].to_owned())
    }

    fn double_quoted(&mut self) -> Option<String> {
        let inside = &self.rest()[1..];
        let (mut value, mut plain) = (String::new(), String::new());
        let mut characters = inside.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    let start = self.offset;
                    self.offset += index + 2;
                    self.nothing_follows()?;
                    self.refuse_variables(&plain, start)?;
                    return Some(value);
                }
                '\\' => {
                    let (_, escaped) = characters.next()?;
                    value.push_str(&unescaped(escaped));
                    plain.push(' ');
                }
                _ => {
                    value.push(character);
                    plain.push(character);
                }
            }
        }
        self.unclosed()
    }

    /// Only a comment may stand behind a closing quote.
    fn nothing_follows(&mut self) -> Option<()> {
        let rest = self.rest_of_line();
        let start = self.offset;
        self.offset += rest.len();
        let rest = rest.trim();
        if rest.is_empty() || rest.starts_with('#') {
            return Some(());
        }
        self.error("nothing but a comment may follow the closing quote", Span::at(start));
        None
    }

    fn unclosed<T>(&mut self) -> Option<T> {
        self.error("the quote is not closed", Span::new(self.offset, self.offset + 1));
        self.offset = self.text.len();
        None
    }

    fn refuse_variables(&mut self, value: &str, start: usize) -> Option<()> {
        let refers = value.match_indices('$').any(|(index, _)| {
            value[index + 1..]
                .starts_with(|next: char| next == '{' || next == '_' || next.is_ascii_alphabetic())
        });
        if !refers {
            return Some(());
        }
        let diagnostic =
            Diagnostic::error("env-file", "variables are not expanded here", self.file, Span::at(start))
                .with_hint("put the value in single quotes if the `$` belongs to it");
        self.diagnostics.push(diagnostic);
        None
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start_matches(skipped).len();
    }

    fn rest(&self) -> &'file str {
        &self.text[self.offset..]
    }

    fn rest_of_line(&self) -> &'file str {
        let rest = self.rest();
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn error(&mut self, message: &str, span: Span) {
        self.diagnostics.push(Diagnostic::error("env-file", message, self.file, span));
    }
}

/// An escape of double quotes; one that is not known stays as it is.
fn unescaped(character: char) -> String {
    match character {
        'n' => "\n".to_owned(),
        'r' => "\r".to_owned(),
        't' => "\t".to_owned(),
        '"' | '\\' | '$' | '\'' => character.to_string(),
        other => format!("\\{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let (values, diagnostics) = parse(&Arc::new(SourceFile::new(".env", text)));
        let shown = |value: &SecretValue| String::from_utf8(value.expose().to_vec()).unwrap();
        let values = values.iter().map(|(name, value)| (name.clone(), shown(value)));
        (values.collect(), diagnostics.iter().map(ToString::to_string).collect())
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let (values, told) = read(text);
        assert_eq!(told, [""; 0], "{text}");
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(values, expected, "{text}");
    }

    #[test]
    fn lines() {
        check("", &[]);
        check(
            "# c\n\nA=1\r\n  B = x y  # c\nexport  C=z#z\nD=\n",
            &[("A", "1"), ("B", "x y"), ("C", "z#z"), ("D", "")],
        );
        check("A=1\nA=2", &[("A", "2")]);
        check("A=#c", &[("A", "")]);
        check("A=b=c", &[("A", "b=c")]);
        check(
            "db/url=x\narn:aws:ssm:r:1:parameter/a/b=y",
            &[("arn:aws:ssm:r:1:parameter/a/b", "y"), ("db/url", "x")],
        );
        check("A=p$1\nB=5$", &[("A", "p$1"), ("B", "5$")]);
    }

    #[test]
    fn quotes() {
        check("A='x # y' # c\nB='$X\\n'", &[("A", "x # y"), ("B", "$X\\n")]);
        check("A=\"x\\ny\\\"\\\\\\$Z\\q\"\nB=2", &[("A", "x\ny\"\\$Z\\q"), ("B", "2")]);
        check("A='one\ntwo'\nB=\"three\nfour\"", &[("A", "one\ntwo"), ("B", "three\nfour")]);
    }

    #[test]
    fn mistakes_are_told_without_the_value() {
        let check = |text: &str, expected: &str| {
            let (_, told) = read(text);
            assert_eq!(told, [expected], "{text}");
            assert!(!told[0].contains("hush"));
        };
        check("hush\n", ".env:1:1: error[env-file]: expected NAME=value");
        check("A=1\nB='hush\n", ".env:2:3: error[env-file]: the quote is not closed");
        check(
            "A=\"hush\" hush\n",
            ".env:1:9: error[env-file]: nothing but a comment may follow the closing quote",
        );
        check("A=hush$HUSH\n", ".env:1:3: error[env-file]: variables are not expanded here");
        check("A=\"hush${HUSH}\"\n", ".env:1:3: error[env-file]: variables are not expanded here");
        check("A B=hush\n", ".env:1:1: error[env-file]: a name must not be empty or hold spaces");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~\n\r\t\u{e9}'\"\\\\$#=]{0,60}") {
            let (_, diagnostics) = parse(&Arc::new(SourceFile::new(".env", text.clone())));
            for diagnostic in diagnostics {
                prop_assert!(diagnostic.location.is_some_and(|place| place.span.end <= text.len() + 1));
            }
        }

        #[test]
        fn a_single_quoted_value_reads_back(value in "[^'\u{0}]{0,40}") {
            let (values, told) = read(&format!("A='{value}'\nB=1\n"));
            prop_assert!(told.is_empty());
            prop_assert_eq!(&values[0].1, &value);
        }
    }
}
