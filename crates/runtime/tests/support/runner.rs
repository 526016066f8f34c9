//! A runner for test programs that are a shim or a supervisor themselves, which the standard runner can't be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// A test's name and body. The body says what is missing when it can't run.
pub type Test = (&'static str, fn() -> Result<(), Missing>);

/// What a test needs and this machine has not.
pub struct Missing(pub String);

/// Runs tests as the standard runner would, one after another (they count processes and mounts).
pub fn run(tests: &[Test]) {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen = |test: &&Test| filter.as_ref().is_none_or(|filter| test.0.contains(filter.as_str()));
    if std::env::args().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let mut failed = Vec::new();
    for (name, body) in tests.iter().filter(chosen) {
        let started = Instant::now();
        let outcome = match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => "ok",
            Ok(Err(Missing(what))) => {
                eprintln!("SKIPPED {name}: {what}");
                "ignored"
            }
            Err(_) => {
                failed.push(*name);
                "FAILED"
            }
        };
        println!("test {name} ... {outcome} ({} ms)", started.elapsed().as_millis());
    }
    if !failed.is_empty() {
        println!("failed: {failed:?}");
        std::process::exit(101);
    }
}
