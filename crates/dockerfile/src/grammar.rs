//! Each instruction's own grammar: operands and flags to an [`Instruction`].

mod healthcheck;
mod pairs;
mod run;
mod transfer;

use crate::flag::{FlagRule, value};
use crate::instruction::{Command, Expose, From, Heredoc, Instruction, Onbuild, SingleWord, Volume};
use crate::keyword::Keyword;
use crate::operand::JsonForm;
use crate::parse::{Head, Parsed, parse_trigger};
use crate::report::Reporter;
use crate::syntax::Word;

/// Understands one statement. `None` where it could not be understood, which was reported then.
pub(crate) fn parse(
    keyword: Keyword,
    head: Head<'_>,
    heredocs: &[Heredoc],
    reporter: &mut Reporter,
) -> Option<Parsed> {
    let instruction = match keyword {
        Keyword::From => return from(head, reporter).map(Parsed::From),
        Keyword::Add => Instruction::Add(transfer::add(head, heredocs, reporter)?),
        Keyword::Copy => Instruction::Copy(transfer::copy(head, heredocs, reporter)?),
        Keyword::Run => Instruction::Run(run::run(head, heredocs, reporter)?),
        Keyword::Arg => Instruction::Arg(pairs::arg(head, reporter)?),
        Keyword::Env => Instruction::Env(pairs::env(head, reporter)?),
        Keyword::Label => Instruction::Label(pairs::label(head, reporter)?),
        Keyword::Cmd => Instruction::Cmd(lone_command(keyword, head, reporter)?),
        Keyword::Entrypoint => Instruction::Entrypoint(lone_command(keyword, head, reporter)?),
        Keyword::Healthcheck => Instruction::Healthcheck(healthcheck::healthcheck(head, reporter)?),
        Keyword::Shell => Instruction::Shell(shell(head, reporter)?),
        Keyword::Expose => Instruction::Expose(expose(head, reporter)?),
        Keyword::Volume => Instruction::Volume(volume(head, reporter)?),
        Keyword::Onbuild => Instruction::Onbuild(onbuild(head, heredocs, reporter)?),
        Keyword::Maintainer => Instruction::Maintainer(single(keyword, head, reporter)?),
        Keyword::Stopsignal => Instruction::Stopsignal(single(keyword, head, reporter)?),
        Keyword::User => Instruction::User(single(keyword, head, reporter)?),
        Keyword::Workdir => Instruction::Workdir(single(keyword, head, reporter)?),
    };
    Some(Parsed::Instruction(instruction))
}

fn from(head: Head<'_>, reporter: &mut Reporter) -> Option<From> {
    let mut words = head.operands.at_blanks().into_iter();
    let (image, r#as, name, more) = (words.next(), words.next(), words.next(), words.next());
    let flags = head.flags.check("FROM", &[value("platform")], reporter);
    let platform = flags.value("platform").cloned();
    match (image, r#as, name, more) {
        (Some(image), None, None, None) => Some(From { image, platform, name: None }),
        (Some(image), Some(r#as), Some(name), None) if r#as.raw.eq_ignore_ascii_case("as") => {
            let name = stage_name(name, reporter)?;
            Some(From { image, platform, name: Some(name) })
        }
        (Some(_), Some(extra), ..) => {
            let message = "FROM takes one image and, behind it, only AS and a name";
            reporter.error("bad-operand", extra.span, message).hint("write FROM IMAGE or FROM IMAGE AS NAME");
            None
        }
        _ => missing("FROM", &head.keyword, "an image", "FROM IMAGE", reporter),
    }
}

/// Names of stages have no capitals: they are folded, as in `BuildKit`.
fn stage_name(name: Word, reporter: &mut Reporter) -> Option<Word> {
    let folded = name.raw.to_lowercase();
    let good = folded.starts_with(|first: char| first.is_ascii_lowercase())
        && folded
            .chars()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '-' | '_' | '.'));
    if !good {
        let message = format!("'{}' can't be the name of a stage", name.raw);
        reporter
            .error("bad-stage-name", name.span, message)
            .hint("begin with a letter and go on with letters, digits, '-', '_' and '.'");
        return None;
    }
    Some(Word { raw: folded, span: name.span })
}

/// A command in shell or JSON form. A JSON array of other things than strings is an error; anything else that is
/// not a JSON array goes to the shell.
pub(super) fn command(operands: &crate::operand::Operands<'_>, reporter: &mut Reporter) -> Option<Command> {
    match operands.json() {
        JsonForm::Strings(words) => Some(Command::Exec(words)),
        JsonForm::OtherArray => {
            report_mixed_array(operands.whole(), reporter);
            None
        }
        JsonForm::NotJson => {
            warn_of_almost_json(operands, reporter);
            Some(Command::Shell(operands.whole()))
        }
    }
}

pub(super) fn report_mixed_array(array: Word, reporter: &mut Reporter) {
    let message = "a JSON array here may hold only strings";
    reporter.error("bad-json", array.span, message).hint("put each element in double quotes");
}

/// `CMD ['node', 'app.js']` goes to the shell as it stands, which is never what was meant. `[ -f x ]` is.
fn warn_of_almost_json(operands: &crate::operand::Operands<'_>, reporter: &mut Reporter) {
    let text = operands.text();
    let quoted = text.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(['"', '\'']));
    if quoted && text.ends_with(']') {
        reporter
            .warning(
                "almost-json",
                operands.whole().span,
                "this is not valid JSON, so a shell gets it as it stands",
            )
            .hint("use double quotes, no comma at the end, and \\\\ for a backslash");
    }
}

fn lone_command(keyword: Keyword, head: Head<'_>, reporter: &mut Reporter) -> Option<Command> {
    head.flags.check(keyword.name(), &[], reporter);
    command(&head.operands, reporter)
}

fn shell(head: Head<'_>, reporter: &mut Reporter) -> Option<Vec<Word>> {
    head.flags.check("SHELL", &[], reporter);
    match head.operands.json() {
        JsonForm::Strings(words) if !words.is_empty() => Some(words),
        JsonForm::OtherArray => {
            report_mixed_array(head.operands.whole(), reporter);
            None
        }
        _ => missing("SHELL", &head.keyword, "a JSON array", r#"SHELL ["/bin/bash", "-c"]"#, reporter),
    }
}

fn expose(head: Head<'_>, reporter: &mut Reporter) -> Option<Expose> {
    let ports = head.operands.at_blanks();
    head.flags.check("EXPOSE", &[], reporter);
    if ports.is_empty() {
        return missing("EXPOSE", &head.keyword, "a port", "EXPOSE 8080", reporter);
    }
    Some(Expose { ports })
}

fn volume(head: Head<'_>, reporter: &mut Reporter) -> Option<Volume> {
    head.flags.check("VOLUME", &[], reporter);
    let paths = match head.operands.json() {
        JsonForm::Strings(words) => words,
        JsonForm::OtherArray => {
            report_mixed_array(head.operands.whole(), reporter);
            return None;
        }
        JsonForm::NotJson => head.operands.at_blanks(),
    };
    if paths.is_empty() {
        return missing("VOLUME", &head.keyword, "a path", "VOLUME /data", reporter);
    }
    if let Some(blank) = paths.iter().find(|path| path.raw.trim().is_empty()) {
        reporter.error("bad-operand", blank.span, "a volume's path is empty");
        return None;
    }
    let trimmed = |path: Word| Word { raw: path.raw.trim().to_owned(), span: path.span };
    Some(Volume { paths: paths.into_iter().map(trimmed).collect() })
}

fn single(keyword: Keyword, head: Head<'_>, reporter: &mut Reporter) -> Option<SingleWord> {
    if keyword == Keyword::Stopsignal {
        warn_of_ignored_flags(&head, reporter);
    } else {
        head.flags.check(keyword.name(), &[], reporter);
    }
    if head.operands.is_empty() {
        let example = format!("{} VALUE", keyword.name());
        return missing(keyword.name(), &head.keyword, "an operand", &example, reporter);
    }
    Some(SingleWord { operand: head.operands.whole() })
}

/// `BuildKit` takes any flag of these instructions and does nothing with it.
pub(super) fn warn_of_ignored_flags(head: &Head<'_>, reporter: &mut Reporter) {
    if let Some(flag) = head.flags.first() {
        let message = format!("{} has no flags; this one does nothing", head.keyword.raw.to_uppercase());
        reporter.warning("unknown-flag", flag.span, message).hint("remove it");
    }
}

fn onbuild(head: Head<'_>, heredocs: &[Heredoc], reporter: &mut Reporter) -> Option<Onbuild> {
    let Head { keyword, flags, operands } = head;
    flags.check("ONBUILD", &[], reporter);
    if operands.is_empty() {
        return missing("ONBUILD", &keyword, "an instruction", "ONBUILD RUN make", reporter);
    }
    let (name, _) = operands.split_first(char::is_whitespace);
    if let Some(refused @ (Keyword::Onbuild | Keyword::Maintainer | Keyword::From)) =
        Keyword::parse(&name.raw)
    {
        let message = format!("{} can't be the trigger of an ONBUILD", refused.name());
        reporter.error("bad-trigger", name.span, message);
        return None;
    }
    // The image keeps the trigger as a text, so most of what is wrong in it stops only the builds that start from it.
    let mut trigger_reporter = reporter.fork();
    let trigger = parse_trigger(&operands, heredocs, &mut trigger_reporter).map(Box::new);
    reporter.adopt_as_warnings(trigger_reporter, &["bad-pair", "bad-json"]);
    let line = operands.line.text.trim_start();
    let mut expression = line[keyword.raw.len()..].trim_start().to_owned();
    for heredoc in heredocs {
        expression.push('\n');
        expression.push_str(&heredoc.body);
        expression.push_str(&heredoc.name);
    }
    Some(Onbuild { expression, trigger })
}

/// Reports that operands are missing and gives `None`.
pub(super) fn missing<T>(
    name: &str,
    keyword: &Word,
    what: &str,
    example: &str,
    reporter: &mut Reporter,
) -> Option<T> {
    let message = format!("{name} needs {what}");
    reporter.error("missing-operand", keyword.span, message).hint(format!("write {example}"));
    None
}

/// Looks a word up in a table of allowed values; reports what is not there.
pub(super) fn choice<T: Copy>(
    name: &str,
    word: &Word,
    choices: &[(&'static str, T)],
    reporter: &mut Reporter,
) -> Option<T> {
    if let Some((_, choice)) = choices.iter().find(|(text, _)| *text == word.raw) {
        return Some(*choice);
    }
    let known: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
    let message = format!("--{name} is '{}', it must be one of {}", word.raw, known.join(", "));
    reporter.error("bad-flag-value", word.span, message);
    None
}

/// The rules of an instruction's flags.
pub(super) type Rules = &'static [FlagRule];
