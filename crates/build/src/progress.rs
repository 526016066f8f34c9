//! What a build tells while it works.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One step, as progress lines and reports name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepName {
    /// The stage's name, or `stage-N`.
    pub stage: String,
    /// From 1; FROM is the first.
    pub number: usize,
    /// How many steps the stage has.
    pub total: usize,
    /// The instruction on one line: `COPY package.json ./`.
    pub instruction: String,
    /// The line of the Dockerfile, from 1.
    pub line: usize,
}

impl std::fmt::Display for StepName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} {}/{}] {}", self.stage, self.number, self.total, self.instruction)
    }
}

/// Where a step's output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Hears what a build does. Called from several threads, in order for any one step.
pub trait Progress: Sync {
    /// A step begins.
    fn started(&self, step: &StepName);
    /// A step printed one line (without its line break; a line without end comes in parts of 64 KiB).
    fn output(&self, step: &StepName, stream: Stream, line: &str);
    /// A step is done.
    fn finished(&self, step: &StepName, outcome: StepOutcome, took: Duration);
    /// Something that is no error and that the user should know: `file:line: message`.
    fn warning(&self, message: &str);
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// Nothing had to be done.
    Cached,
    /// It was done.
    Done,
    /// It failed; the build ends with the reason.
    Failed,
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn started(&self, _: &StepName) {}
    fn output(&self, _: &StepName, _: Stream, _: &str) {}
    fn finished(&self, _: &StepName, _: StepOutcome, _: Duration) {}
    fn warning(&self, _: &str) {}
}

/// Keeps what was told as plain lines, for tests and for logs.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Progress for Recorder {
    fn started(&self, step: &StepName) {
        self.push(format!("{step}"));
    }

    fn output(&self, step: &StepName, _: Stream, line: &str) {
        self.push(format!("[{} {}/{}] | {line}", step.stage, step.number, step.total));
    }

    fn finished(&self, step: &StepName, outcome: StepOutcome, _: Duration) {
        let outcome = match outcome {
            StepOutcome::Cached => "cached",
            StepOutcome::Done => "done",
            StepOutcome::Failed => "failed",
        };
        self.push(format!("[{} {}/{}] {outcome}", step.stage, step.number, step.total));
    }

    fn warning(&self, message: &str) {
        self.push(format!("warning: {message}"));
    }
}
