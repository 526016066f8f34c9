//! COPY and ADD.

use crate::expand::expand;
use crate::flag::{Flags, list, switch, value};
use crate::heredoc::{Marker, is_heredoc};
use crate::instruction::{Add, Copy, CopyOptions, Heredoc, Transfer};
use crate::operand::JsonForm;
use crate::parse::Head;
use crate::report::Reporter;
use crate::syntax::Word;

use super::{Rules, missing, report_mixed_array};

const COPY_FLAGS: Rules =
    &[value("from"), value("chown"), value("chmod"), switch("link"), switch("parents"), list("exclude")];

const ADD_FLAGS: Rules = &[
    value("chown"),
    value("chmod"),
    switch("link"),
    switch("keep-git-dir"),
    value("checksum"),
    switch("unpack"),
    list("exclude"),
];

pub(super) fn copy(head: Head<'_>, heredocs: &[Heredoc], reporter: &mut Reporter) -> Option<Copy> {
    let escape = head.operands.escape;
    let (transfer, flags) = transfer("COPY", head, COPY_FLAGS, heredocs, reporter)?;
    let from = flags.value("from").filter(|from| !from.raw.is_empty()).cloned();
    if let Some(from) = &from
        && expand(from, escape, &|_| None).as_ref() != Ok(&from.raw)
    {
        reporter
            .error("variable-in-from", from.span, "variables are not expanded in COPY --from")
            .hint("add a stage FROM ${VARIABLE} AS NAME with a global ARG, and copy from NAME");
    }
    Some(Copy { transfer, from, parents: flags.switch("parents").unwrap_or(false) })
}

pub(super) fn add(head: Head<'_>, heredocs: &[Heredoc], reporter: &mut Reporter) -> Option<Add> {
    let (transfer, flags) = transfer("ADD", head, ADD_FLAGS, heredocs, reporter)?;
    Some(Add {
        transfer,
        checksum: flags.value("checksum").filter(|checksum| !checksum.raw.is_empty()).cloned(),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

fn transfer(
    name: &str,
    head: Head<'_>,
    rules: Rules,
    heredocs: &[Heredoc],
    reporter: &mut Reporter,
) -> Option<(Transfer, Flags)> {
    let Head { keyword, flags, operands } = head;
    let flags = flags.check(name, rules, reporter);
    let mut words = match operands.json() {
        JsonForm::Strings(words) => words,
        JsonForm::OtherArray => {
            report_mixed_array(operands.whole(), reporter);
            return None;
        }
        JsonForm::NotJson => operands.at_blanks(),
    };
    let destination = words.pop().filter(|_| !words.is_empty());
    let Some(destination) = destination else {
        let example = format!("{name} SOURCE DESTINATION");
        return missing(name, &keyword, "a source and a destination", &example, reporter);
    };
    if is_heredoc(&destination.raw) {
        let message = format!("a heredoc can't be the destination of {name}");
        reporter.error("bad-operand", destination.span, message).hint("put the destination behind it");
        return None;
    }
    let (sources, heredocs) = split_sources(words, heredocs);
    Some((Transfer { sources, heredocs, destination, options: options(&flags) }, flags))
}

/// Words that are heredoc markers get their body; where two have one name the last body counts, and a marker
/// without a body (in JSON form) is an empty file.
fn split_sources(words: Vec<Word>, bodies: &[Heredoc]) -> (Vec<Word>, Vec<Heredoc>) {
    let mut heredocs = Vec::new();
    let mut sources = Vec::new();
    for word in words {
        let Some(marker) = Marker::parse(&word.raw) else {
            sources.push(word);
            continue;
        };
        let body = bodies.iter().rev().find(|body| body.name == marker.name);
        let (body, span) = body.map_or((String::new(), word.span), |body| (body.body.clone(), body.span));
        heredocs.push(marker.with_body(body, span));
    }
    (sources, heredocs)
}

fn options(flags: &Flags) -> CopyOptions {
    let given = |name| flags.value(name).filter(|word: &&Word| !word.raw.is_empty()).cloned();
    CopyOptions {
        chown: given("chown"),
        chmod: given("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.list("exclude").cloned().collect(),
    }
}
