//! Findings with the text they are about, underlined.

use std::fmt::Write;

use minato_resource::{Diagnostic, Location, Severity};

use super::{Printer, style, styled};

/// Longest part of a source line that is shown; minified files have lines of megabytes.
const MAX_SHOWN: usize = 160;

/// Prints every finding, worst place first as given.
pub fn print_diagnostics(printer: &Printer, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        printer.line(render(diagnostic).trim_end());
    }
}

/// Every finding as text, for `check`, whose answer they are.
pub fn rendered(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(render).collect()
}

/// `2 errors, 1 warning`.
pub fn summary_of(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|finding| finding.is_error()).count();
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    format!("{}, {}", count(errors, "error"), count(diagnostics.len() - errors, "warning"))
}

fn render(diagnostic: &Diagnostic) -> String {
    let colour = match diagnostic.severity {
        Severity::Error => style::BAD,
        Severity::Warning => style::WARN,
    };
    let title = styled(colour, format_args!("{}[{}]", diagnostic.severity, diagnostic.code));
    let mut text = format!("{title}: {}\n", styled(style::STRONG, &diagnostic.message));
    if let Some(location) = &diagnostic.location {
        excerpt(&mut text, location, colour);
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(text, "  {} {hint}", styled(style::GOOD, "fix:"));
    }
    text
}

fn excerpt(text: &mut String, location: &Location, colour: anstyle::Style) {
    let position = location.position();
    let line = location.file.line(position.line);
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = styled(style::FAINT, "|");
    let _ = writeln!(text, "{margin}{} {location}", styled(style::FAINT, "-->"));
    let (shown, marks) =
        underline(line, position.column, location.span.end.saturating_sub(location.span.start));
    let _ = writeln!(text, "{} {bar} {shown}", styled(style::FAINT, &number));
    let _ = writeln!(text, "{margin} {bar} {}", styled(colour, marks));
}

/// The line as shown (tabs become one blank, long lines are cut around the column) and its underline.
fn underline(line: &str, column: usize, length: usize) -> (String, String) {
    let characters: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = (column - 1).min(characters.len());
    let first = if start > MAX_SHOWN / 2 { start - MAX_SHOWN / 4 } else { 0 };
    let shown: String = characters.iter().skip(first).take(MAX_SHOWN).collect();
    let room = shown.chars().count().saturating_sub(start - first).max(1);
    let marks = " ".repeat(start - first) + &"^".repeat(length.clamp(1, room));
    (shown, marks)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minato_resource::{SourceFile, Span};

    use super::*;

    fn check(text: &str, span: Span, expected: &str) {
        let file = Arc::new(SourceFile::new("Dockerfile", text));
        let finding = Diagnostic::error("latest-tag", "no tag", &file, span).with_hint("name a version");
        let plain = anstream::adapter::strip_str(&render(&finding)).to_string();
        assert_eq!(plain, expected);
    }

    #[test]
    fn the_text_is_underlined() {
        check(
            "ARG A=1\nFROM node AS deps\n",
            Span::new(13, 17),
            "error[latest-tag]: no tag\n --> Dockerfile:2:6\n2 | FROM node AS deps\n  |      ^^^^\n  fix: name a version\n",
        );
    }

    #[test]
    fn a_span_over_several_lines_is_underlined_on_its_first() {
        check(
            "RUN a\\\n b\n",
            Span::new(0, 9),
            "error[latest-tag]: no tag\n --> Dockerfile:1:1\n1 | RUN a\\\n  | ^^^^^^\n  fix: name a version\n",
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let (shown, marks) = underline(&"x".repeat(10_000), 5_000, 3);
        assert_eq!(shown.len(), MAX_SHOWN);
        assert_eq!(marks.trim_start(), "^^^");
    }
}
