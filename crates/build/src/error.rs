//! Why a build failed, and where in the Dockerfile.

use std::fmt;

use minato_oci::StoreError;
use minato_oci::layer::{ArchiveError as TarError, WalkError};
use minato_resource::{Diagnostic, Location};

use crate::bases::FetchError;
use crate::copy::CopyError;
use crate::executor::{ExecuteError, StepExit};
use crate::layer::LayerError;
use crate::remote::RemoteError;
use crate::tree::TreeError;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile or the ignore file has mistakes; all of them.
    #[error("{}", first_of(.0))]
    Syntax(Vec<Diagnostic>),
    /// What was asked for makes no sense with this Dockerfile.
    #[error("{0}")]
    Request(String),
    /// An instruction failed.
    #[error("{location}: {instruction}: {cause}")]
    Step {
        /// Where the instruction stands.
        location: Location,
        /// The instruction on one line.
        instruction: String,
        /// What went wrong.
        #[source]
        cause: Box<StepError>,
    },
    /// The image can't be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What went wrong in one instruction.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The instruction means nothing: a bad port, an unknown signal, a variable that can't be expanded.
    #[error("{0}")]
    Invalid(String),
    /// `BuildKit` can do it and Minato can't yet.
    #[error("{feature} is not supported yet{}", with_hint(.hint))]
    Unsupported {
        /// What it is.
        feature: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A base image can't be had.
    #[error("{image}: {source}")]
    Base {
        /// The image as it was named.
        image: String,
        /// Why.
        source: FetchError,
    },
    /// COPY or ADD failed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A file or a repository can't be fetched.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A tree can't be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A layer can't be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The layer that a RUN left can't be read.
    #[error("the changes that the step made can't be made a layer: {0}")]
    Changes(#[from] WalkError),
    /// An archive can't be read.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The step's program could not be started.
    #[error("{0}")]
    Start(#[from] ExecuteError),
    /// The step's program failed.
    #[error("{0}")]
    Failed(RunFailure),
    /// The content store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the cache can't be written.
    #[error("build cache: {0}")]
    Cache(std::io::Error),
    /// Another step failed, or the user gave up.
    #[error("cancelled")]
    Cancelled,
}

/// How a RUN step's program failed.
#[derive(Debug)]
pub struct RunFailure {
    /// How it ended.
    pub exit: StepExit,
    /// The last lines of its output, oldest first.
    pub last_lines: Vec<String>,
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exit {
            StepExit { out_of_memory: true, .. } => write!(f, "killed for lack of memory")?,
            StepExit { code, .. } if code > 128 => {
                write!(f, "ended by signal {} (exit code {code})", code - 128)?
            }
            StepExit { code, .. } => write!(f, "exit code {code}")?,
        }
        if code_hint(self.exit.code).is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", code_hint(self.exit.code))
        }
    }
}

fn code_hint(code: i32) -> &'static str {
    match code {
        126 => "the program is there and can't be executed",
        127 => "the program is not in the image, or not in its PATH",
        _ => "",
    }
}

fn first_of(diagnostics: &[Diagnostic]) -> String {
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|it| it.is_error()).collect();
    match errors.as_slice() {
        [] => "the Dockerfile can't be built".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

fn with_hint(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

impl StepError {
    pub(crate) fn invalid(message: impl fmt::Display) -> Self {
        Self::Invalid(message.to_string())
    }

    pub(crate) fn unsupported(feature: impl Into<String>, hint: &'static str) -> Self {
        Self::Unsupported { feature: feature.into(), hint }
    }
}
