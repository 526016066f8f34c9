//! RUN and its flags.

use minato_resource::Span;

use super::{Command, Heredoc};
use crate::syntax::Word;

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command line, without the heredocs' bodies. See [`Run::script`].
    pub command: Command,
    /// The bodies that follow the line, in order. Only in shell form.
    pub heredocs: Vec<Heredoc>,
    /// `--mount=…`, in order.
    pub mounts: Vec<Mount>,
    /// `--network=…`
    pub network: Network,
    /// `--security=…`
    pub security: Security,
    /// `--device=…`, in order.
    pub devices: Vec<Device>,
}

/// What a RUN starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// One string for the shell.
    Shell(String),
    /// An executable file with a `#!` line, to be placed read-only at `/dev/pipes/NAME` and started with the
    /// shell as a command of that path.
    File {
        /// The heredoc's name.
        name: String,
        /// The file's content.
        content: String,
    },
    /// Arguments to start without a shell.
    Exec(Vec<String>),
}

/// `--mount=type=…,…` of a RUN. Its values may hold variables; [`Mount::resolve`](crate::Mount::resolve) gives
/// the typed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `key=value` or `key`, in order.
    pub fields: Vec<MountField>,
    /// The flag's value in the file.
    pub span: Span,
}

/// One field of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountField {
    /// In lower case.
    pub key: String,
    /// What follows the equals sign, if there is one; to be expanded.
    pub value: Option<Word>,
    /// The field in the file.
    pub span: Span,
}

/// What a mount mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A folder of the context, a stage or an image.
    #[default]
    Bind,
    /// A folder kept between builds.
    Cache,
    /// An empty file system in memory.
    Tmpfs,
    /// A secret as a file or a variable.
    Secret,
    /// An SSH agent's socket.
    Ssh,
}

/// How builds at the same time share a cache mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountSharing {
    /// All use it at once.
    #[default]
    Shared,
    /// Each that comes second gets a new one.
    Private,
    /// The second waits.
    Locked,
}

/// `RUN --network=…`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The builder's choice.
    #[default]
    Default,
    /// No network.
    None,
    /// The host's network.
    Host,
}

/// `RUN --security=…`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// The usual limits.
    #[default]
    Sandbox,
    /// Without them.
    Insecure,
}

/// `RUN --device=name[,required]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// A name of the Container Device Interface.
    pub name: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// The flag's value in the file.
    pub span: Span,
}

impl Run {
    /// What is started, with the heredocs in place.
    ///
    /// A line that is nothing but one heredoc runs its content, as a file when it starts with `#!`. In any other
    /// line the shell gets the heredocs back as they were written.
    #[must_use]
    pub fn script(&self) -> Script {
        let line = match &self.command {
            Command::Exec(arguments) => {
                return Script::Exec(arguments.iter().map(|word| word.raw.clone()).collect());
            }
            Command::Shell(line) => &line.raw,
        };
        let Some(first) = self.heredocs.first() else { return Script::Shell(line.clone()) };
        if crate::heredoc::is_heredoc(line) {
            return whole_line_script(first);
        }
        let mut script = line.clone();
        for heredoc in &self.heredocs {
            script.push('\n');
            script.push_str(&heredoc.body);
            script.push_str(&heredoc.name);
        }
        Script::Shell(script)
    }
}

fn whole_line_script(heredoc: &Heredoc) -> Script {
    let content = heredoc.content();
    if content.starts_with("#!") {
        Script::File { name: heredoc.name.clone(), content }
    } else {
        Script::Shell(content)
    }
}
