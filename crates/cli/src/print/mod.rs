//! All printing. Data goes to stdout, everything else to stderr; a terminal sees live progress, a pipe plain lines.

mod diagnostics;
mod progress;
mod table;

use std::io::{self, IsTerminal, Write};

pub use diagnostics::{print_diagnostics, rendered, summary_of};
pub use progress::{Printer, Step, duration};
pub use table::{Table, age};

use crate::arguments::Output;
use crate::exit::Failure;

/// Colours of the program's own words on stderr. `anstream` drops them where `NO_COLOR` or a pipe asks for it.
pub mod style {
    use anstyle::{AnsiColor, Style};

    pub const GOOD: Style = AnsiColor::Green.on_default();
    pub const BAD: Style = AnsiColor::Red.on_default().bold();
    pub const WARN: Style = AnsiColor::Yellow.on_default();
    pub const FAINT: Style = Style::new().dimmed();
    pub const STRONG: Style = Style::new().bold();
}

/// `text` in `style`; the reset comes with it.
pub fn styled(style: anstyle::Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// True when a person watches stderr: live progress makes sense there, and nowhere else.
pub fn person_watches() -> bool {
    let continuous_integration =
        std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    io::stderr().is_terminal()
        && !continuous_integration
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Prints data as the user asked: `table` makes the human form.
pub fn data<T: serde::Serialize>(
    output: Output,
    value: &T,
    table: impl FnOnce() -> Table,
) -> Result<(), Failure> {
    let text = match output {
        Output::Table => table().to_string(),
        Output::Json => serde_json::to_string_pretty(value)? + "\n",
        Output::Yaml => minato_resource::emit::to_yaml(&serde_json::to_value(value)?),
    };
    to_stdout(&text)
}

/// Writes to stdout. A reader that went away (`| head`) is not our failure.
pub fn to_stdout(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// A size for people, in powers of 1000 as registries count.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 99.95);
    format!("{number:.digits$} {}", UNITS[unit])
}

/// Says why a verb ended without doing what it was asked.
pub fn failure(printer: &Printer, failure: &Failure) {
    match failure {
        Failure::No | Failure::Program(_) => {}
        Failure::Interrupted => {
            printer.line("interrupted; containers go on running, and the next run carries on from here")
        }
        Failure::Files(diagnostics) => print_diagnostics(printer, diagnostics),
        Failure::Step { finding, output } => {
            // Elsewhere than on a terminal every line stands above already.
            for line in output.iter().filter(|_| printer.is_live()) {
                printer.line(&format!("{} {line}", styled(style::FAINT, "|")));
            }
            print_diagnostics(printer, std::slice::from_ref(finding));
        }
        Failure::Refused(error) | Failure::Error(error) => {
            printer.line(&format!("{}: {}", styled(style::BAD, "error"), causes(error)))
        }
    }
}

/// An error with its causes, outermost first; one that an outer message has told already is not told again.
fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        told if told.contains(&cause) => text,
        _ => format!("{text}: {cause}"),
    })
}

/// A moment as RFC 3339 in UTC, for `-o json`.
pub fn rfc3339<S: serde::Serializer>(time: &std::time::SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let stamp = jiff::Timestamp::try_from(*time).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{stamp:.0}"))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{causes, size};

    #[test]
    fn a_cause_is_told_once() {
        let of = |error: anyhow::Error| causes(&error);
        assert_eq!(of(anyhow!("no such file").context("a.yaml")), "a.yaml: no such file");
        assert_eq!(
            of(anyhow!("no such file").context("a.yaml: no such file; give one")),
            "a.yaml: no such file; give one"
        );
    }

    #[test]
    fn sizes_have_a_unit_that_fits() {
        let of = |bytes| size(bytes);
        assert_eq!([of(0), of(999), of(1_000), of(135_400_000)], ["0 B", "999 B", "1.0 kB", "135 MB"]);
    }
}
