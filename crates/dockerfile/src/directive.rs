//! The parser directives: `# name=value` lines at the very top of the file.

use crate::line::{LineReader, PhysicalLine};
use crate::report::Reporter;
use crate::syntax::{Directive, Directives};
use minato_resource::Span;

/// The escape character where no directive says otherwise.
const DEFAULT_ESCAPE: char = '\\';

/// Reads the directives and leaves the reader behind the last one. The first line that is not a directive ends
/// them, be it a comment, a blank line or a name that is not known.
pub(crate) fn read(lines: &mut LineReader<'_>, reporter: &mut Reporter) -> (Directives, char) {
    let mut directives = Directives::default();
    loop {
        let before = lines.offset();
        let Some((name, directive)) = lines.next_physical().as_ref().and_then(split) else {
            lines.rewind(before);
            break;
        };
        let Some(slot) = directives.slot(&name) else {
            lines.rewind(before);
            break;
        };
        if slot.is_some() {
            let message = format!("the directive '{name}' may stand only once");
            reporter
                .error("duplicate-directive", directive.span, message)
                .hint("remove one of the two lines");
        } else {
            *slot = Some(directive);
        }
    }
    let escape =
        directives.escape.as_ref().map_or(DEFAULT_ESCAPE, |directive| escape_of(directive, reporter));
    (directives, escape)
}

impl Directives {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Directive>> {
        match name {
            "syntax" => Some(&mut self.syntax),
            "escape" => Some(&mut self.escape),
            "check" => Some(&mut self.check),
            _ => None,
        }
    }
}

fn escape_of(directive: &Directive, reporter: &mut Reporter) -> char {
    match directive.value.as_str() {
        "\\" => '\\',
        "`" => '`',
        other => {
            let message = format!("the escape character is '{other}', it must be \\ or `");
            reporter.error("bad-directive", directive.span, message);
            DEFAULT_ESCAPE
        }
    }
}

/// `# name = value` → the name in lower case, and the value.
fn split(line: &PhysicalLine<'_>) -> Option<(String, Directive)> {
    let content = line.content();
    let body = content.trim_start().strip_prefix('#')?.trim_start();
    let (name, value) = body.split_once('=')?;
    let name = name.trim_end_matches(is_blank);
    let value = value.trim_matches(is_blank);
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !named || value.is_empty() {
        return None;
    }
    let end = line.start + content.trim_end_matches(is_blank).len();
    let span = Span::new(end - value.len(), end);
    Some((name.to_ascii_lowercase(), Directive { value: value.to_owned(), span }))
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}
