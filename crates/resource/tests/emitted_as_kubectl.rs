//! What is written is, byte for byte, what sigs.k8s.io/yaml writes (see `oracle/yaml`).

#![allow(clippy::unwrap_used, reason = "a case that cannot be answered fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod oracle;

use minato_resource::emit;
use oracle::Oracle;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Number, Value, json};

/// What decides styles, folding and order.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "a", "b", "word", "longer-word", " ", " ", "  ", "\n", "\n\n", "\t", ": ", ":", " #", "#", "- ", "-", "? ", "?", "'", "\"",
    "\\", "{", "}", "[", "]", ",", "&", "*", "!", "|", ">", "%", "@", "`", "=", "<<", "0", "1", "9", "10", "_", ".", "/",
    "é", "ü", "漢", "😀", "\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}", "\r", "\0", "\u{7}", "\u{1b}", "---", "...", "~",
];

/// Texts that are something else when they stand without quotes.
#[rustfmt::skip]
const SPECIAL: &[&str] = &[
    "", "~", "null", "Null", "yes", "YES", "no", "on", "Off", "y", "N", "true", "False", "0", "0777", "0o7", "0x1F", "0b11", "-0b11",
    "0b-11", "1_000", "1e3", "1.0", ".5", "5.", "+1", "-1", "--1", "1:30", "-1:30:00.5", "1:60", "1_0:30", ".inf", "-.Inf", ".nan",
    "2001-01-01", "2001-1-1", "2001-02-30", "2000-02-29", "1900-02-29", "2001-01-01T10:00:00Z", "2001-01-01t1:2:3.5+24:60", "2001-01-01T10:00:00",
    "2001-01-01 10:00:00", "2001-01-01   1:2:3,5", "2001-01-01 ", "2001-13-01", "20010-01-01", "9223372036854775808",
    "18446744073709551616", "1e400", "08", "1__0", "0x", "12e03", "-", "=", "<<", "1.2.3", "10Mi", "100m",
];

/// `others`: any other character, too. Keys have none, since Go's letters and digits are not quite ours.
fn text(others: bool) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(str::to_owned),
        u32::from(others) => any::<char>().prop_filter("the reference's own reader refuses these, or folds them", |character| {
            !matches!(character, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
        }).prop_map(String::from),
    ];
    prop_oneof![
        2 => prop::sample::select(SPECIAL).prop_map(str::to_owned),
        3 => prop::collection::vec(piece.clone(), 0..6).prop_map(|pieces| pieces.concat()),
        1 => prop::collection::vec(piece, 20..80).prop_map(|pieces| pieces.concat()),
        2 => "[a-z0-9.-]{1,12}",
        1 => "[-+0-9:._eETZx]{1,12}",
        1 => "[12][0-9]{3}-[01]?[0-9]-[0-3]?[0-9]([Tt ][0-2]?[0-9]:[0-6]?[0-9]:[0-6]?[0-9]([.,][0-9]{0,3})?(Z|[+-][0-9]{2}:[0-9]{2})?)?",
        1 => prop::collection::vec("[a-zé]{1,14}[:,#.]?", 8..30).prop_map(|words| words.join(" ")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        (-1000i64..1000).prop_map(Number::from),
        any::<f64>().prop_filter_map("finite", Number::from_f64),
        (-1e25f64..1e25).prop_filter_map("finite", Number::from_f64),
        (-2000i32..2000).prop_filter_map("finite", |eighths| Number::from_f64(f64::from(eighths) / 8.0)),
    ];
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => number.prop_map(Value::Number),
        6 => text(true).prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            2 => prop::collection::vec((text(false), inner), 0..7)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

#[test]
fn any_value_is_written_as_kubectl_writes_it() {
    let Some(mut oracle) = Oracle::start("yaml", "any_value_is_written_as_kubectl_writes_it") else { return };
    let cases = std::env::var("MINATO_EMIT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1000);
    let mut runner =
        TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let oracle = std::cell::RefCell::new(&mut oracle);
    let result = runner.run(&value(), |value| {
        let ask = || oracle.borrow_mut().ask(&json!({"emit": value.to_string()}));
        let ours = emit::to_yaml(&value);
        match ask() {
            Ok(theirs) if ours == theirs => {}
            // Its order of keys has circles (1002-1 < 2001-1 < 2a < 1002-1), and then it answers differently each time.
            Ok(theirs) if (0..20).any(|_| ask().as_ref() != Ok(&theirs)) => {}
            Ok(theirs) => prop_assert_eq!(ours, theirs),
            // Its reader takes no key of more than 1024 characters.
            Err(error) => prop_assert!(error.contains("could not find expected ':'"), "{}", error),
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
