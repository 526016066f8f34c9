//! The eighteen instructions and their operands. Words stay raw: values of variables are not known here.

use std::time::Duration;

use minato_resource::Span;

use crate::syntax::{Statement, Word};

/// Everything that may stand under a FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD [flags] source… destination`
    Add(Add),
    /// `ARG name[=default] …`
    Arg(Arg),
    /// `CMD command`; a later one replaces it.
    Cmd(Command),
    /// `COPY [flags] source… destination`
    Copy(Copy),
    /// `ENTRYPOINT command`; a later one replaces it.
    Entrypoint(Command),
    /// `ENV name=value …` or `ENV name value`
    Env(Env),
    /// `EXPOSE port[-port][/protocol] …`
    Expose(Expose),
    /// `HEALTHCHECK [flags] CMD command` or `HEALTHCHECK NONE`
    Healthcheck(Healthcheck),
    /// `LABEL name=value …` or `LABEL name value`
    Label(Label),
    /// `MAINTAINER name`, deprecated.
    Maintainer(SingleWord),
    /// `ONBUILD instruction`
    Onbuild(Onbuild),
    /// `RUN [flags] command`
    Run(Run),
    /// `SHELL ["program", "argument", …]`
    Shell(Vec<Word>),
    /// `STOPSIGNAL signal`
    Stopsignal(SingleWord),
    /// `USER user[:group]`
    User(SingleWord),
    /// `VOLUME path …`
    Volume(Volume),
    /// `WORKDIR path`
    Workdir(SingleWord),
}

/// `FROM [--platform=…] image [AS name]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage, or `scratch`. Only global arguments are expanded in it.
    pub image: Word,
    /// `--platform=os/arch[/variant]`, to be expanded with global arguments.
    pub platform: Option<Word>,
    /// The stage's name, in lower case.
    pub name: Option<Word>,
}

/// `ARG name[=default] …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// At least one, in order; each sees those before it.
    pub definitions: Vec<ArgDefinition>,
}

/// One name of an ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgDefinition {
    /// The name, to be expanded.
    pub name: Word,
    /// The default, to be expanded; `None` means "only declared".
    pub default: Option<Word>,
}

/// `ENV`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    /// At least one pair. All are expanded with the environment *before* this instruction.
    pub pairs: Vec<Pair>,
}

/// `LABEL`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// At least one pair.
    pub pairs: Vec<Pair>,
}

/// A name and a value of ENV or LABEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// To be expanded.
    pub name: Word,
    /// To be expanded.
    pub value: Word,
    /// How it was written.
    pub form: PairForm,
}

/// The two ways to write ENV and LABEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairForm {
    /// `name=value`
    Equals,
    /// `name value`, the old form: one pair, the value is the rest of the line.
    Blank,
}

/// A command in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The text goes to the shell (`/bin/sh -c`, or what SHELL says) as it stands. Empty when nothing was written.
    Shell(Word),
    /// A JSON array: started without a shell, nothing is expanded.
    Exec(Vec<Word>),
}

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

/// A heredoc: `<<EOF` on the line, the body under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The terminator, which is also the file's name where a COPY makes a file of it.
    pub name: String,
    /// The body as it stands in the file, line ends included. See [`Heredoc::content`].
    pub body: String,
    /// Whether variables in the body are expanded: the terminator was not quoted.
    pub expand: bool,
    /// `<<-`: leading tabs of each line go.
    pub strip_tabs: bool,
    /// The number before `<<`; 0 when there is none.
    pub file_descriptor: u32,
    /// The body in the file.
    pub span: Span,
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

/// What COPY and ADD have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Paths and patterns (ADD: addresses too), to be expanded.
    pub sources: Vec<Word>,
    /// Sources written in the file itself; each becomes a file of its name.
    pub heredocs: Vec<Heredoc>,
    /// To be expanded.
    pub destination: Word,
    /// The flags that both know.
    pub options: CopyOptions,
}

/// The flags that COPY and ADD share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// `--chown=user[:group]`, to be expanded.
    pub chown: Option<Word>,
    /// `--chmod=mode`, octal or symbolic, to be expanded.
    pub chmod: Option<Word>,
    /// `--link`: the files make a layer of their own, apart from those below.
    pub link: bool,
    /// `--exclude=pattern`, in order; not expanded.
    pub exclude: Vec<Word>,
}

/// `COPY`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Sources, destination and common flags.
    pub transfer: Transfer,
    /// `--from=stage`, image or number of a stage; variables are not allowed in it.
    pub from: Option<Word>,
    /// `--parents`: keep the sources' folders.
    pub parents: bool,
}

/// `ADD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// Sources, destination and common flags.
    pub transfer: Transfer,
    /// `--checksum=sha256:…` of a remote source, to be expanded.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`, where it was written.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, where it was written; otherwise local archives are unpacked and remote ones are not.
    pub unpack: Option<bool>,
}

/// `EXPOSE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expose {
    /// Each is expanded and then split into words ([`expand_words`](crate::expand_words)).
    pub ports: Vec<Word>,
}

/// `VOLUME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// At least one, to be expanded.
    pub paths: Vec<Word>,
}

/// An instruction with exactly one operand, the whole rest of the line: `MAINTAINER`, `STOPSIGNAL`, `USER`,
/// `WORKDIR`. All but MAINTAINER are expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleWord {
    /// The operand.
    pub operand: Word,
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run, if anything.
    pub command: HealthcheckCommand,
    /// When it is run.
    pub options: HealthcheckOptions,
}

/// The command of a HEALTHCHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthcheckCommand {
    /// `HEALTHCHECK NONE`: a check of the base image is switched off.
    None,
    /// `HEALTHCHECK CMD …`; nothing is expanded.
    Cmd(Command),
}

/// The flags of a HEALTHCHECK. `None` and zero both mean "as the engine does by default".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthcheckOptions {
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}

/// `ONBUILD instruction`: kept in the image, run by builds that start from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// The trigger's text as the image keeps it, heredocs included.
    pub expression: String,
    /// The trigger, where it could be understood.
    pub trigger: Option<Box<Statement<Instruction>>>,
}

impl Heredoc {
    /// The body as a file's content: without leading tabs where `<<-` says so, variables not yet expanded.
    #[must_use]
    pub fn content(&self) -> String {
        if !self.strip_tabs {
            return self.body.clone();
        }
        self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
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
