//! A build's steps on the terminal: one spinner for each that runs, one line for each that is done.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use minato_build::{Progress, StepName, StepOutcome, Stream};

use crate::print::{Printer, Step, duration, style, styled};

/// Shows steps as they run. On a terminal a step's output passes by behind its name; elsewhere each line is kept.
pub struct BuildProgress<'a> {
    printer: &'a Printer,
    running: Mutex<HashMap<(String, usize), Step>>,
}

impl<'a> BuildProgress<'a> {
    pub fn new(printer: &'a Printer) -> Self {
        Self { printer, running: Mutex::default() }
    }
}

impl Progress for BuildProgress<'_> {
    fn started(&self, step: &StepName) {
        let shown = self.printer.step(&step.to_string());
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key(step), shown);
    }

    fn output(&self, step: &StepName, _: Stream, line: &str) {
        if !self.printer.is_live() {
            self.printer.line(&format!("{} {line}", styled(style::FAINT, place(step))));
        } else if let Some(shown) =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&key(step))
        {
            shown.doing(line);
        }
    }

    fn finished(&self, step: &StepName, outcome: StepOutcome, took: Duration) {
        // Its spinner goes; the line that stays says how it went.
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(step));
        let (mark, word) = match outcome {
            StepOutcome::Cached => (styled(style::FAINT, "·"), "cached".to_owned()),
            StepOutcome::Done => (styled(style::GOOD, "✓"), duration(took)),
            StepOutcome::Failed => (styled(style::BAD, "✗"), duration(took)),
        };
        self.printer.line(&format!("{mark} {step} {}", styled(style::FAINT, word)));
    }

    fn warning(&self, message: &str) {
        self.printer.warning(message);
    }
}

fn key(step: &StepName) -> (String, usize) {
    (step.stage.clone(), step.number)
}

fn place(step: &StepName) -> String {
    format!("[{} {}/{}] |", step.stage, step.number, step.total)
}
