//! The whole file: lines to statements to stages.

use std::ops::Range;
use std::sync::Arc;

use minato_resource::{Diagnostic, SourceFile, Span};

use crate::flag::{self, RawFlags};
use crate::heredoc::{Marker, markers};
use crate::instruction::{From, Heredoc, Instruction};
use crate::keyword::Keyword;
use crate::line::{LineReader, LogicalLine, MAX_LINE_BYTES};
use crate::operand::{JsonForm, Operands, is_blank};
use crate::report::Reporter;
use crate::syntax::{Directives, Dockerfile, Stage, Statement, Word};
use crate::{directive, grammar};
use minato_resource::nearest;

/// The largest Dockerfile that is read, in bytes; `BuildKit` has the same limit.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// After so many errors the file is hardly a Dockerfile at all.
const MAX_ERRORS: usize = 100;

/// Parses a Dockerfile. The diagnostics hold every mistake of the file; where one of them is an error, the
/// Dockerfile has only what could be understood and must not be built.
#[must_use]
pub fn parse(file: &Arc<SourceFile>) -> (Dockerfile, Vec<Diagnostic>) {
    let mut reporter = Reporter::new(file);
    if let Some(span) = over_limit(file.text()) {
        let message = format!(
            "the file or a line of it is too long: at most {MAX_FILE_BYTES} and {MAX_LINE_BYTES} bytes"
        );
        reporter.error("too-long", span, message);
        return (empty(), reporter.finish());
    }
    let mut lines = LineReader::new(file.text(), 0);
    let (directives, escape) = directive::read(&mut lines, &mut reporter);
    let mut assembly = Assembly { dockerfile: Dockerfile { directives, escape, ..empty() } };
    while let Some(line) = lines.next_logical(escape) {
        if reporter.error_count() >= MAX_ERRORS {
            let message = format!("more than {MAX_ERRORS} errors, so the rest of the file was not read");
            reporter.error("too-many-errors", line.span(0..line.text.len()), message);
            break;
        }
        if let Some(statement) = read_statement(line, escape, &mut lines, &mut reporter) {
            assembly.add(statement, &mut reporter);
        }
    }
    let dockerfile = assembly.finish(file.text(), &mut reporter);
    (dockerfile, reporter.finish())
}

fn empty() -> Dockerfile {
    Dockerfile {
        directives: Directives::default(),
        global_args: Vec::new(),
        stages: Vec::new(),
        escape: '\\',
    }
}

fn over_limit(text: &str) -> Option<Span> {
    if text.len() > MAX_FILE_BYTES {
        return Some(Span::at(0));
    }
    let mut lines = LineReader::new(text, 0);
    std::iter::from_fn(|| lines.next_physical())
        .find(|line| line.text.trim_end_matches('\n').len() > MAX_LINE_BYTES)
        .map(|line| Span::at(line.start))
}

/// A line's content: what starts a stage, or what stands in one.
pub(crate) enum Parsed {
    From(From),
    Instruction(Instruction),
}

/// Puts statements into stages.
struct Assembly {
    dockerfile: Dockerfile,
}

impl Assembly {
    fn add(&mut self, statement: Statement<Parsed>, reporter: &mut Reporter) {
        let Statement { value, span, keyword, text, comments, blank_line } = statement;
        let rest = Statement { value: (), span, keyword, text, comments, blank_line };
        match value {
            Parsed::From(from) => {
                self.dockerfile.stages.push(Stage { from: rest.map(|()| from), instructions: Vec::new() });
            }
            Parsed::Instruction(instruction) => self.add_instruction(instruction, rest, reporter),
        }
    }

    fn add_instruction(&mut self, instruction: Instruction, rest: Statement<()>, reporter: &mut Reporter) {
        if let Some(stage) = self.dockerfile.stages.last_mut() {
            stage.instructions.push(rest.map(|()| instruction));
            return;
        }
        match instruction {
            Instruction::Arg(arg) => self.dockerfile.global_args.push(rest.map(|()| arg)),
            _ => {
                let message = format!("{} stands before the first FROM", rest.keyword.raw.to_uppercase());
                reporter
                    .error("no-stage", rest.keyword.span, message)
                    .hint("start the stage with FROM; only ARG and comments may stand above it");
            }
        }
    }

    fn finish(self, text: &str, reporter: &mut Reporter) -> Dockerfile {
        // A FROM that could not be read was reported already, and then nothing here is more helpful.
        if self.dockerfile.stages.is_empty() && reporter.error_count() == 0 {
            let message = "the file has no FROM, so there is nothing to build";
            reporter
                .error("no-stage", Span::at(text.len()), message)
                .hint("begin with FROM IMAGE, or FROM scratch for an empty image");
        }
        self.dockerfile
    }
}

/// The parts that every statement has, before its operands are understood.
pub(crate) struct Head<'a> {
    pub keyword: Word,
    pub flags: RawFlags,
    pub operands: Operands<'a>,
}

impl<'a> Head<'a> {
    /// Splits a part of a logical line: all of it, or the trigger of an ONBUILD.
    pub(crate) fn split(line: &'a LogicalLine, range: Range<usize>, escape: char) -> Head<'a> {
        let range = line.trim(range);
        let text = &line.text[range.clone()];
        let keyword_end = range.start + text.find(is_blank).unwrap_or(text.len());
        let (flags, rest) = flag::split(line, keyword_end..range.end, escape);
        Head {
            keyword: line.word(range.start..keyword_end),
            flags,
            operands: Operands { line, range: rest, escape },
        }
    }

    /// Whether bodies of heredocs may follow the line: RUN, COPY and ADD, also behind ONBUILD, unless in JSON form.
    fn takes_heredocs(&self) -> bool {
        match Keyword::parse(&self.keyword.raw) {
            Some(Keyword::Run | Keyword::Copy | Keyword::Add) => {
                !matches!(self.operands.json(), JsonForm::Strings(_))
            }
            Some(Keyword::Onbuild) => {
                let line = self.operands.line;
                let trigger = Head::split(line, self.operands.range.clone(), self.operands.escape);
                Keyword::parse(&trigger.keyword.raw) != Some(Keyword::Onbuild) && trigger.takes_heredocs()
            }
            _ => false,
        }
    }
}

fn read_statement(
    line: LogicalLine,
    escape: char,
    lines: &mut LineReader<'_>,
    reporter: &mut Reporter,
) -> Option<Statement<Parsed>> {
    let head = Head::split(&line, 0..line.text.len(), escape);
    let mut span = line.span(line.trim(0..line.text.len()));
    let keyword = head.keyword.clone();
    let Some(known) = Keyword::parse(&keyword.raw) else {
        report_unknown(&keyword, reporter);
        skip_heredocs(&line.text, lines);
        return None;
    };
    let heredocs =
        if head.takes_heredocs() { read_heredocs(&line, span, lines, reporter) } else { Vec::new() };
    if !heredocs.is_empty() {
        span.end = lines.offset();
    }
    let value = grammar::parse(known, head, &heredocs, reporter)?;
    let text = line.text.trim().to_owned();
    Some(Statement { value, span, keyword, text, comments: line.comments, blank_line: line.blank })
}

fn report_unknown(keyword: &Word, reporter: &mut Reporter) {
    if keyword.raw.is_empty() {
        reporter.error("unknown-instruction", keyword.span, "a continuation without an instruction");
        return;
    }
    let shown: String = keyword.raw.chars().take(40).collect();
    let hint = match nearest(&keyword.raw, Keyword::names()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            "if it belongs to the instruction above, end the line above with the escape character".to_owned()
        }
    };
    reporter.error("unknown-instruction", keyword.span, format!("unknown instruction '{shown}'")).hint(hint);
}

/// After a keyword with a typing mistake its heredocs would each look like many unknown instructions.
fn skip_heredocs(line: &str, lines: &mut LineReader<'_>) {
    for marker in markers(line) {
        if marker.read_body(lines).is_none() {
            return;
        }
    }
}

fn read_heredocs(
    line: &LogicalLine,
    span: Span,
    lines: &mut LineReader<'_>,
    reporter: &mut Reporter,
) -> Vec<Heredoc> {
    let mut heredocs = Vec::new();
    for marker in markers(&line.text) {
        let Some(heredoc) = marker.read_body(lines) else {
            report_unterminated(&marker, line, span, lines, reporter);
            break;
        };
        heredocs.push(heredoc);
    }
    heredocs
}

/// What follows is most likely the body, so it is skipped: up to a line that would be the end but for blanks
/// around it, else up to the end of the file.
fn report_unterminated(
    marker: &Marker,
    line: &LogicalLine,
    span: Span,
    lines: &mut LineReader<'_>,
    reporter: &mut Reporter,
) {
    let place = line.text.find("<<").map_or(span, |at| line.span(at..line.trim(0..line.text.len()).end));
    let indent =
        if marker.strip_tabs { "only tabs may stand before it" } else { "no blanks may stand around it" };
    let near = std::iter::from_fn(|| lines.next_physical()).find(|it| it.content().trim() == marker.name);
    let hint = match near {
        Some(near) => format!("line {} would be the end, but {indent}", reporter.line(near.start)),
        None => format!("put {} on a line of its own after the text; {indent}", marker.name),
    };
    let message = format!("the heredoc '{}' has no end", marker.name);
    reporter.error("unterminated-heredoc", place, message).hint(hint);
}

/// The statement behind an ONBUILD, with the heredocs of the whole line.
pub(crate) fn parse_trigger(
    operands: &Operands<'_>,
    heredocs: &[Heredoc],
    reporter: &mut Reporter,
) -> Option<Statement<Instruction>> {
    let line = operands.line;
    let head = Head::split(line, operands.range.clone(), operands.escape);
    let keyword = head.keyword.clone();
    let Some(known) = Keyword::parse(&keyword.raw) else {
        report_unknown(&keyword, reporter);
        return None;
    };
    let Parsed::Instruction(value) = grammar::parse(known, head, heredocs, reporter)? else { return None };
    let text = operands.text().to_owned();
    Some(Statement {
        value,
        span: line.span(operands.range.clone()),
        keyword,
        text,
        comments: Vec::new(),
        blank_line: None,
    })
}
