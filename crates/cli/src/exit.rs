//! How the program ends: what each exit code means, and how a failure is said.

use std::process::ExitCode;

use minato_resource::Diagnostic;

/// Done and healthy.
pub const DONE: u8 = 0;
/// The answer is no: findings, differences, unhealthy, rolled back.
pub const NO: u8 = 1;
/// It could not be asked: bad flag, bad file, no connection.
pub const COULD_NOT_ASK: u8 = 2;

/// Why a verb ended without doing what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no, and everything about it is said already.
    No,
    /// The user's files are wrong; each finding has its place.
    Files(Vec<Diagnostic>),
    /// The program that was run inside a container ended with this code.
    Program(i32),
    /// It could not be asked.
    Error(anyhow::Error),
}

impl Failure {
    /// The exit code that says so.
    pub fn code(&self) -> ExitCode {
        match self {
            Failure::No => ExitCode::from(NO),
            Failure::Program(code) => ExitCode::from(u8::try_from(*code).unwrap_or(NO)),
            Failure::Files(_) | Failure::Error(_) => ExitCode::from(COULD_NOT_ASK),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}
