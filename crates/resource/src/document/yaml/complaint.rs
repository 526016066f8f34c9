//! What the parser does not like, as places in the file.

use std::sync::Arc;

use libyaml_safer::{Error, Mark};

use crate::{Diagnostic, SourceFile, Span};

/// The first character that YAML does not allow, which the parser reports without a place.
pub(super) fn control_character(file: &Arc<SourceFile>) -> Option<Diagnostic> {
    let allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    let (offset, character) = file.text().char_indices().find(|(_, character)| !allowed(*character))?;
    let message = format!("the control character U+{:04X} is not allowed in YAML", u32::from(character));
    let span = Span::new(offset, offset + character.len_utf8());
    Some(
        Diagnostic::error("yaml-syntax", message, file, span)
            .with_hint("remove it, or write it as an escape in a double-quoted text"),
    )
}

/// The parser's complaint in the words of this program.
pub(super) fn syntax_error(file: &Arc<SourceFile>, error: &Error) -> Diagnostic {
    let offset = |mark: Mark| (mark.index as usize).min(file.text().len());
    let start = error.problem_mark().map_or(file.text().len(), offset);
    let length = file.text()[start..].chars().next().map_or(0, char::len_utf8);
    let span = Span::new(start, start + length);
    let problem = error.problem();
    let message = match (error.context(), error.context_mark()) {
        (Some(context), Some(mark)) => {
            let line = file.position(offset(mark)).line;
            format!("{problem} {context} that starts on line {line}")
        }
        _ => problem.to_owned(),
    };
    let diagnostic = Diagnostic::error("yaml-syntax", message, file, span);
    match hint(file, span, problem) {
        Some(hint) => diagnostic.with_hint(hint),
        None => diagnostic,
    }
}

/// The parser failed behind this place.
pub(super) fn reader_lost(file: &Arc<SourceFile>, reached: usize) -> Diagnostic {
    let message = "this cannot be read as YAML".to_owned();
    Diagnostic::error("yaml-syntax", message, file, Span::at(reached)).with_hint(
        "look behind this place for a `!tag` with a comma right after it, or a quote that is not closed",
    )
}

/// Advice for the mistakes that people make most.
fn hint(file: &SourceFile, span: Span, problem: &str) -> Option<&'static str> {
    let line = file.line(file.position(span.start).line);
    if line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces: YAML does not allow tabs");
    }
    if line.contains("{{") {
        return Some("this looks like a template: render it first, or quote the value");
    }
    match problem {
        "mapping values are not allowed in this context" => {
            Some("quote a value that has `: ` in it, and check the indentation")
        }
        "could not find expected ':'" => Some("a key needs `: ` and its value; check the line above too"),
        "did not find expected key" => {
            Some("check the indentation: entries of one mapping start in one column")
        }
        "found character that cannot start any token" => {
            Some("quote a value that starts with `@`, `%` or a backquote")
        }
        _ => None,
    }
}
