//! What one instruction does to the root file system, with every variable replaced.

use std::path::PathBuf;

use minato_dockerfile::MountSharing;
use minato_oci::{Digest, ImageConfig, Platform, Reference};
use minato_resource::Span;

use crate::copy::ModeChange;
use crate::executor::StepNetwork;
use crate::names::LayoutName;
use crate::remote::{GitAddress, HttpAddress};

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
    pub(crate) mounts: Vec<RunMount>,
    pub(crate) insecure: bool,
    /// What its programs were made for.
    pub(crate) platform: Platform,
}

/// `RUN --mount`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunMount {
    /// Absolute; only a secret that is just a variable has none.
    pub(crate) target: Option<String>,
    pub(crate) kind: RunMountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunMountKind {
    /// A file or folder of the context, a stage or an image. What is written to it is thrown away.
    Bind { from: CopyFrom, source: String, writable: bool },
    /// A folder that later builds find again.
    Cache {
        id: String,
        sharing: MountSharing,
        /// What it holds at first.
        from: Option<CopyFrom>,
        source: String,
        permissions: Permissions,
        read_only: bool,
    },
    /// An empty file system in memory, of at most so many bytes.
    Memory { size: Option<u64> },
    /// A secret as a file, as a variable, or both.
    Secret { id: String, variable: Option<String>, permissions: Permissions, required: bool },
    /// An SSH agent's socket.
    Agent { id: String, permissions: Permissions, required: bool },
}

/// Who may use what is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

impl RunMount {
    /// Where it takes files from.
    pub(crate) fn from(&self) -> Option<&CopyFrom> {
        match &self.kind {
            RunMountKind::Bind { from, .. } | RunMountKind::Cache { from: Some(from), .. } => Some(from),
            _ => None,
        }
    }
}

impl Operation {
    /// Where it takes files from: of a RUN, one for each mount that takes any, in order.
    pub(crate) fn sources(&self) -> Vec<&CopyFrom> {
        match self {
            Self::Copy(copy) => vec![&copy.from],
            Self::Run(run) => run.mounts.iter().filter_map(RunMount::from).collect(),
            Self::MakeFolder(_) => Vec::new(),
        }
    }
}

/// COPY and ADD
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) from: CopyFrom,
    pub(crate) sources: Vec<TransferSource>,
    /// Heredocs: name and content.
    pub(crate) texts: Vec<(String, String)>,
    /// Absolute; ends with a slash where a folder is meant.
    pub(crate) destination: String,
    /// `--chown`, still by name.
    pub(crate) owner: Option<String>,
    pub(crate) mode: Option<ModeChange>,
    /// Archives among the sources are unpacked.
    pub(crate) unpack: bool,
    /// `--exclude`, in order.
    pub(crate) exclude: Vec<String>,
    /// `--parents`: the folders of the sources come along.
    pub(crate) parents: bool,
}

/// One source of COPY or ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransferSource {
    /// A path or pattern in the tree that is copied from.
    Path(String),
    /// A file to be fetched.
    Http { address: HttpAddress, checksum: Option<Digest>, unpack: bool },
    /// A tree of a repository.
    Git(GitAddress),
}

/// Where COPY copies from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyFrom {
    Context,
    /// No file at all.
    Scratch,
    /// A stage by its number in the file.
    Stage(usize),
    Image(Reference),
    Layout(LayoutName),
    /// A named context.
    Tree(String),
}

impl Copy {
    /// A copy of one path to another, as it is.
    pub(crate) fn plain(from: CopyFrom, source: String, destination: String) -> Self {
        Self {
            from,
            sources: vec![TransferSource::Path(source)],
            texts: Vec::new(),
            destination,
            owner: None,
            mode: None,
            unpack: false,
            exclude: Vec::new(),
            parents: false,
        }
    }
}

/// WORKDIR
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MakeFolder {
    /// Absolute.
    pub(crate) path: String,
    /// The user whose folder it is; root when empty.
    pub(crate) owner: String,
}
