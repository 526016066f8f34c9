//! Whatever the text is: no panic, every span inside the text, and no time or memory beyond its size.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use minato_dockerfile::ignore::{Ignore, Matched};
use minato_dockerfile::{
    Dockerfile, Heredoc, Instruction, Statement, Word, expand, expand_text, expand_words, parse,
};
use minato_resource::{Diagnostic, SourceFile, Span};
use proptest::prelude::*;

/// Pieces that the grammar gives a meaning to, and some that it does not.
fn dockerfile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "FROM a\n",
            "FROM a AS b\n",
            "RUN ",
            "COPY ",
            "ADD ",
            "ENV ",
            "ARG ",
            "LABEL ",
            "CMD ",
            "HEALTHCHECK ",
            "ONBUILD ",
            "VOLUME ",
            "SHELL ",
            "USER ",
            "EXPOSE ",
            "x",
            "a=b",
            "a b",
            "\"",
            "'",
            "\\",
            "\\\n",
            "\n",
            " ",
            "\t",
            "#",
            "# escape=`\n",
            "`",
            "`\n",
            "<<E",
            "<<-'E'",
            "\nE\n",
            "--from=x ",
            "--mount=type=cache,target=/",
            "--",
            "[",
            "]",
            "\"a\"",
            ",",
            "$",
            "${",
            "}",
            ":-",
            "//",
            "%",
            "\r\n",
            "é",
            "\u{a0}",
            "\u{0}",
            "NONE",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// An instruction that mostly is valid, so that there is something to parse again.
fn mostly_valid() -> impl Strategy<Value = String> {
    let keyword = prop::sample::select(vec![
        "RUN ",
        "RUN --network=none ",
        "COPY a ",
        "ADD --link a ",
        "ENV A=",
        "ENV A ",
        "LABEL a=",
        "ARG ",
        "CMD ",
        "HEALTHCHECK --retries=3 CMD ",
        "VOLUME ",
        "USER ",
        "EXPOSE ",
        "COPY <<E ",
        "RUN cat <<-E ",
    ]);
    let piece = prop_oneof![
        prop::sample::select(vec![
            "x", "a=b", " ", "\t", "\\\n", "\\\n#c\n", "\"a b\"", "'c d'", "\\", "\\\"", "$A", "${A:-b}",
            "[\"a\"]", "é", "<<E",
        ])
        .prop_map(str::to_owned),
        "[a-z/.:]{1,4}",
    ];
    let operands = prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat());
    let ends = prop::sample::select(vec!["", "", "body\nE\n", "\tbody\n\tE\nE\n"]);
    (keyword, operands, ends).prop_map(|(keyword, operands, ends)| format!("{keyword}{operands}\n{ends}"))
}

/// All spans of a value: everything that has one derives `Debug`.
fn spans(value: &impl std::fmt::Debug) -> Vec<Span> {
    let shown = format!("{value:?}");
    let number = |text: &str| text.split(|it: char| !it.is_ascii_digit()).next().unwrap().parse().unwrap();
    shown
        .match_indices("Span { start: ")
        .map(|(at, start)| &shown[at + start.len()..])
        // The words of the file may hold such a text too, but not with numbers that a parser made.
        .filter_map(|rest| Some((rest, rest.split_once(", end: ")?.1)))
        .map(|(start, end)| Span::new(number(start), number(end)))
        .collect()
}

fn without_spans(value: &impl std::fmt::Debug) -> String {
    let shown = format!("{value:?}");
    let mut pieces = shown.split("Span { start: ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |out, piece| out + piece.split_once('}').map_or(piece, |(_, rest)| rest))
}

fn check_spans(text: &str, dockerfile: &Dockerfile, diagnostics: &[Diagnostic]) {
    let file = SourceFile::new("Dockerfile", text);
    let shown = diagnostics.iter().filter_map(|it| it.location.as_ref()).map(|it| it.span);
    for span in spans(dockerfile).into_iter().chain(shown) {
        assert!(span.start <= span.end && span.end <= file.text().len(), "{span:?} in {text:?}");
        assert!(
            file.text().is_char_boundary(span.start) && file.text().is_char_boundary(span.end),
            "{span:?} splits a character of {text:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_without_a_panic_and_with_spans_inside_it(text in dockerfile_text()) {
        let (dockerfile, diagnostics) = parse(&Arc::new(SourceFile::new("Dockerfile", text.as_str())));
        check_spans(&text, &dockerfile, &diagnostics);
    }

    #[test]
    fn a_logical_line_parsed_again_is_the_same_instruction(text in mostly_valid()) {
        let text = format!("FROM scratch\n{text}");
        let (dockerfile, diagnostics) = parse(&Arc::new(SourceFile::new("Dockerfile", text.as_str())));
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Ok(());
        }
        for statement in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
            let Some(again) = parse_alone(statement, dockerfile.escape) else { continue };
            prop_assert_eq!(without_spans(&again), without_spans(&statement.value), "{:?}", statement.text);
        }
    }

    #[test]
    fn any_word_is_expanded_without_a_panic(text in dockerfile_text(), escape in prop::sample::select(vec!['\\', '`'])) {
        let word = Word { raw: text, span: Span::at(0) };
        let lookup = |name: &str| (name.len() % 2 == 1).then(|| name.repeat(2));
        let whole = expand(&word, escape, &lookup);
        prop_assert_eq!(whole.is_ok(), expand_words(&word, escape, &lookup).is_ok());
        let _ = expand_text(&word.raw, &lookup);
    }

    #[test]
    fn what_is_quoted_stays_as_it_is(text in "[^'\u{0}]*") {
        let word = Word { raw: format!("'{text}'"), span: Span::at(0) };
        prop_assert_eq!(expand(&word, '\\', &|_| None).unwrap(), text.clone());
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        let word = Word { raw: format!("\"{escaped}\""), span: Span::at(0) };
        prop_assert_eq!(expand(&word, '\\', &|_| None).unwrap(), text);
    }

    #[test]
    fn nothing_stays_inside_a_folder_that_may_be_skipped(
        patterns in prop::collection::vec("!?[ab*?/\\[\\]\\^-]{1,6}", 0..6),
        folder in "[ab]{1,2}(/[ab]){0,2}",
        inside in "[ab]{1,2}(/[ab]){0,2}",
    ) {
        let (ignore, _) = Ignore::parse(&Arc::new(SourceFile::new(".dockerignore", patterns.join("\n"))));
        let mut matched = Matched::root();
        for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            matched = ignore.enter(&matched, &folder[..end]);
        }
        let path = format!("{folder}/{inside}");
        if ignore.may_skip_folder(&matched, &folder) {
            prop_assert!(ignore.is_excluded(&path), "{} with {:?}", path, patterns);
        }
    }
}

/// The statement made from its own text. `None` where the text alone can't stand for it: it ends in what would
/// continue the line.
fn parse_alone(statement: &Statement<Instruction>, escape: char) -> Option<Instruction> {
    if statement.text.ends_with(escape) {
        return None;
    }
    let mut text = format!("# escape={escape}\nFROM scratch\n{}\n", statement.text);
    for Heredoc { body, name, span, .. } in heredocs(&statement.value) {
        // A marker that got no body, because the quotes on its line don't match, stands for itself.
        if body.is_empty() && !span.is_empty() {
            continue;
        }
        text.push_str(&format!("{body}{name}\n"));
    }
    let (mut dockerfile, diagnostics) = parse(&Arc::new(SourceFile::new("Dockerfile", text.as_str())));
    assert!(!diagnostics.iter().any(Diagnostic::is_error), "{text:?}: {diagnostics:?}");
    Some(dockerfile.stages.pop()?.instructions.pop()?.value)
}

fn heredocs(instruction: &Instruction) -> Vec<Heredoc> {
    match instruction {
        Instruction::Run(run) => run.heredocs.clone(),
        Instruction::Copy(copy) => copy.transfer.heredocs.clone(),
        Instruction::Add(add) => add.transfer.heredocs.clone(),
        Instruction::Onbuild(onbuild) => {
            onbuild.trigger.as_ref().map_or_else(Vec::new, |it| heredocs(&it.value))
        }
        _ => Vec::new(),
    }
}

fn parse_text(text: String) -> (Dockerfile, Vec<Diagnostic>) {
    parse(&Arc::new(SourceFile::new("Dockerfile", text)))
}

#[test]
fn a_line_over_the_limit_is_refused() {
    let line = format!("FROM a\nRUN {}\n", "x".repeat(65_536));
    let (dockerfile, diagnostics) = parse_text(line);
    assert!(dockerfile.stages.is_empty());
    assert!(diagnostics[0].to_string().starts_with("Dockerfile:2:1: error[too-long]"), "{}", diagnostics[0]);
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let (_, diagnostics) = parse_text("# x\n".repeat(minato_dockerfile::MAX_FILE_BYTES / 4 + 1));
    assert_eq!(diagnostics[0].code, "too-long");
}

#[test]
fn a_file_that_is_no_dockerfile_gives_a_hundred_errors_and_no_more() {
    let (_, diagnostics) = parse_text("not a Dockerfile <<EOF\n".repeat(20_000));
    assert_eq!(diagnostics.len(), 101);
    assert_eq!(diagnostics[100].code, "too-many-errors");
}

#[test]
fn the_seeds_of_the_fuzz_target_are_parsed_with_spans_inside_them() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/dockerfile");
    let seeds: Vec<_> = std::fs::read_dir(seeds).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(seeds.len() > 10, "the seeds are missing");
    for seed in seeds {
        let text = std::fs::read_to_string(&seed).unwrap();
        let (dockerfile, diagnostics) = parse_text(text.clone());
        check_spans(&text, &dockerfile, &diagnostics);
    }
}

#[test]
fn deep_nesting_is_an_error_not_a_stack_overflow() {
    let word = Word { raw: "${A:-".repeat(30_000), span: Span::at(0) };
    assert_eq!(
        expand(&word, '\\', &|_| None).unwrap_err().to_string(),
        "'${…}' is nested more than 100 deep"
    );
    let (_, diagnostics) = parse_text(format!("FROM a\n{}RUN x\n", "ONBUILD ".repeat(8_000)));
    assert_eq!(diagnostics[0].code, "bad-trigger");
}

#[test]
fn a_result_that_explodes_is_refused() {
    let word = Word { raw: "$A".repeat(64), span: Span::at(0) };
    let error = expand(&word, '\\', &|_| Some("x".repeat(1024 * 1024))).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    let word = Word { raw: "${A//x/$A}".to_owned(), span: Span::at(0) };
    let error = expand(&word, '\\', &|_| Some("x".repeat(64 * 1024))).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn a_pattern_that_would_backtrack_for_ever_is_quick() {
    let word = Word { raw: format!("${{A%%{}b}}", "*a".repeat(200)), span: Span::at(0) };
    assert_eq!(expand(&word, '\\', &|_| Some("a".repeat(2_000))).unwrap().len(), 2_000);
    let (ignore, _) = Ignore::parse(&Arc::new(SourceFile::new("", format!("{}b", "*a".repeat(200)))));
    assert!(!ignore.is_excluded(&"a".repeat(2_000)));
}
