//! How the program ends: what each exit code means, and how a failure is said.

use std::process::ExitCode;

use minato_build::{BuildError, RunFailure, StepError};
use minato_resource::Diagnostic;

/// Done and healthy.
pub const DONE: u8 = 0;
/// The answer is no: findings, differences, unhealthy, rolled back.
pub const NO: u8 = 1;
/// It could not be asked: bad flag, bad file, no connection.
pub const COULD_NOT_ASK: u8 = 2;

/// Ctrl-C, as shells count it: 128 and the signal's number.
pub const INTERRUPTED: u8 = 130;

/// Why a verb ended without doing what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no, and everything about it is said already.
    No,
    /// The user's files are wrong; each finding has its place.
    Files(Vec<Diagnostic>),
    /// A RUN step ended with another exit code than 0.
    Step {
        /// Which, and how it ended.
        finding: Box<Diagnostic>,
        /// The end of its output, oldest line first.
        output: Vec<String>,
    },
    /// Ctrl-C.
    Interrupted,
    /// The program that was run inside a container ended with this code.
    Program(i32),
    /// Somebody else's answer is no, and this is what he said.
    Refused(anyhow::Error),
    /// It could not be asked.
    Error(anyhow::Error),
}

impl Failure {
    /// The exit code that says so.
    pub fn code(&self) -> ExitCode {
        match self {
            Failure::No | Failure::Step { .. } | Failure::Refused(_) => ExitCode::from(NO),
            Failure::Interrupted => ExitCode::from(INTERRUPTED),
            Failure::Program(code) => ExitCode::from(u8::try_from(*code).unwrap_or(NO)),
            Failure::Files(_) | Failure::Error(_) => ExitCode::from(COULD_NOT_ASK),
        }
    }
}

impl Failure {
    /// A build's failure: mistakes in its files are shown as such, with the text underlined.
    pub fn of_build(error: BuildError) -> Failure {
        match error {
            BuildError::Syntax(findings) => Failure::Files(findings),
            BuildError::Step { location, instruction, cause } => {
                let message = format!("{instruction}: {cause}");
                let finding = Diagnostic::error("build", message, &location.file, location.span);
                match *cause {
                    StepError::Failed(RunFailure { last_lines: output, .. }) => {
                        Failure::Step { finding: finding.into(), output }
                    }
                    _ => Failure::Files(vec![finding]),
                }
            }
            other => Failure::Error(other.into()),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}
