//! The eighteen instructions and their operands. Words stay raw: values of variables are not known here.

mod run;
mod transfer;

pub use run::{Device, Mount, MountField, MountKind, MountSharing, Network, Run, Script, Security};
pub use transfer::{Add, Copy, CopyOptions, Heredoc, Transfer};

use std::time::Duration;

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
