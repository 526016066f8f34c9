//! What one instruction does to the root file system, with every variable replaced.

use std::path::PathBuf;

use minato_oci::{ImageConfig, Reference};
use minato_resource::Span;

use crate::copy::ModeChange;
use crate::executor::StepNetwork;

/// A stage, ready to be solved.
#[derive(Clone, Debug)]
pub(crate) struct LoweredStage {
    /// The image's config and history when all operations are done; its layers are still missing.
    pub(crate) config: ImageConfig,
    /// What makes layers, in order.
    pub(crate) steps: Vec<LoweredStep>,
}

/// One operation and the instruction it comes from.
#[derive(Clone, Debug)]
pub(crate) struct LoweredStep {
    pub(crate) span: Span,
    /// The instruction on one line, as progress shows it.
    pub(crate) text: String,
    pub(crate) operation: Operation,
}

/// Makes one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Run(Run),
    Copy(Copy),
    MakeFolder(MakeFolder),
}

/// RUN
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) args: Vec<String>,
    /// What ENV and ARG say, in order.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) network: StepNetwork,
    /// A heredoc that is a script of its own: its path in the step and its content.
    pub(crate) script: Option<(PathBuf, String)>,
}

/// COPY and ADD
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) from: CopyFrom,
    /// Paths and patterns in the source.
    pub(crate) sources: Vec<String>,
    /// Heredocs: name and content.
    pub(crate) texts: Vec<(String, String)>,
    /// Absolute; ends with a slash where a folder is meant.
    pub(crate) destination: String,
    /// `--chown`, still by name.
    pub(crate) owner: Option<String>,
    pub(crate) mode: Option<ModeChange>,
    /// ADD: archives among the sources are unpacked.
    pub(crate) unpack: bool,
}

/// Where COPY copies from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyFrom {
    Context,
    /// A stage by its number in the file.
    Stage(usize),
    Image(Reference),
}

/// WORKDIR
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MakeFolder {
    /// Absolute.
    pub(crate) path: String,
    /// The user whose folder it is; root when empty.
    pub(crate) owner: String,
}
