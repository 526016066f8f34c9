//! Progress: live on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{person_watches, style, styled};

/// Writes to stderr. Shared by threads; lines never tear live progress apart.
#[derive(Clone)]
pub struct Printer {
    live: Option<MultiProgress>,
    quiet: bool,
}

impl Printer {
    pub fn new() -> Printer {
        Printer { live: person_watches().then(MultiProgress::new), quiet: false }
    }

    /// True when progress is drawn live.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// A printer that says nothing but warnings and errors, if `quiet`.
    pub fn quiet_if(&self, quiet: bool) -> Printer {
        if quiet { Printer { live: None, quiet } } else { self.clone() }
    }

    /// One line (or several) for good.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        let write = || {
            // A closed stderr must not stop a deployment.
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        };
        match &self.live {
            Some(live) => live.suspend(write),
            None => write(),
        }
    }

    /// A warning of our own, not about a place in a file.
    pub fn warning(&self, text: &str) {
        self.say(&format!("{}: {text}", styled(style::WARN, "warning")));
    }

    /// Begins a piece of work that takes a while.
    pub fn step(&self, name: &str) -> Step {
        let bar = self.live.as_ref().map(|live| {
            let bar = live.add(ProgressBar::new_spinner().with_message(name.to_owned()));
            bar.set_style(spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step { printer: self.clone(), name: name.to_owned(), bar, started: Instant::now() }
    }
}

/// One piece of work under way. Dropped without an end, it vanishes from the terminal.
pub struct Step {
    printer: Printer,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Step {
    /// What it is doing now; shown only live.
    pub fn doing(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} {}", self.name, styled(style::FAINT, what)));
        }
    }

    /// Several lines instead of its name.
    pub fn show(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// It is done: `result` stands behind the name.
    pub fn done(self, result: &str) {
        let time = duration(self.started.elapsed());
        let text =
            format!("{} {} {} {}", styled(style::GOOD, "✓"), self.name, result, styled(style::FAINT, time));
        self.end(&text);
    }

    fn end(self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.printer.line(text);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg}").expect("the template is a constant that parses")
}

/// `0.3s`, `12s`, `3m05s`.
pub fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}
