//! An executor for tests: steps are functions that write into the upper folder.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Cancelled, ExecuteError, Executor, RunStep, StepExit};
use crate::progress::Stream;

type Behaviour = dyn Fn(&RunStep, &Path) -> Result<i32, ExecuteError> + Sync;

/// Runs a function in place of a program and keeps the steps it was given.
pub struct FakeExecutor {
    behaviour: Box<Behaviour>,
    ran: Mutex<Vec<RunStep>>,
}

impl FakeExecutor {
    /// `behaviour` gets the step and its upper folder, and returns the exit code.
    pub fn new(behaviour: impl Fn(&RunStep, &Path) -> Result<i32, ExecuteError> + Sync + 'static) -> Self {
        Self { behaviour: Box::new(behaviour), ran: Mutex::default() }
    }

    /// The steps that ran, in order of their end.
    pub fn ran(&self) -> Vec<RunStep> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for FakeExecutor {
    /// Writes the step's last argument to the file `/ran`, prints it and succeeds.
    fn default() -> Self {
        Self::new(|step, upper| {
            let text = step.args.last().map_or("", String::as_str);
            std::fs::write(upper.join("ran"), text).map_err(|error| ExecuteError(error.into()))?;
            Ok(0)
        })
    }
}

impl Executor for FakeExecutor {
    fn run(
        &self,
        step: &RunStep,
        _: &Cancelled,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<StepExit, ExecuteError> {
        let text = step.args.last().map_or("", String::as_str);
        output(Stream::Output, format!("{text}\n").as_bytes());
        let code = (self.behaviour)(step, &step.upper)?;
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(step.clone());
        Ok(StepExit { code, out_of_memory: false })
    }
}
