//! A stage's instructions → config, history and operations, once the base image's config is known.
//!
//! Nothing is read and nothing runs here, so every mistake of a stage shows before its first step starts.

mod copy;
mod history;
mod image;
mod mount;
mod operation;
mod run;
mod scope;

use std::sync::Arc;

use minato_dockerfile::{ExpandError, Instruction, Stage, Statement, Word};
use minato_oci::ImageConfig;
use minato_resource::SourceFile;

pub(crate) use operation::{
    Copy, CopyFrom, LoweredStage, LoweredStep, MakeFolder, Operation, Permissions, Run, RunMount,
    RunMountKind, TransferSource,
};
pub(crate) use scope::GlobalScope;
use scope::StageScope;

use crate::error::{BuildError, StepError};
use crate::executor::StepNetwork;
use crate::names::{Names, names_sources};
use crate::place::{Source, one_line};
use crate::stages::NeededStage;

/// Docker's search path where neither image nor Dockerfile has one.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage while its instructions are read, and for the stages that start from it.
#[derive(Clone)]
pub(crate) struct StageState {
    config: ImageConfig,
    scope: StageScope,
}

/// What lowering needs to know besides the stage.
pub(crate) struct Lowering<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) source: &'a Source<'a>,
    pub(crate) global: &'a GlobalScope,
    /// RFC 3339, for the history.
    pub(crate) created: &'a str,
    /// The network of RUN steps that say nothing themselves.
    pub(crate) network: StepNetwork,
    /// Whether `RUN --security=insecure` is done.
    pub(crate) allow_insecure: bool,
}

impl StageState {
    /// The start of a stage that is built on an image.
    pub(crate) fn on_image(mut config: ImageConfig) -> Self {
        config.other.clear();
        config.config.other.retain(|name, _| name == "ArgsEscaped");
        Self::start(config, StageScope::default())
    }

    /// The start of a stage that is built on the files of a named context.
    pub(crate) fn on_tree(mut config: ImageConfig, name: &str, created: &str) -> Self {
        config.history.push(history::entry(format!("FROM {name}"), true, created));
        Self::on_image(config)
    }

    /// The start of a stage that is built on another one.
    pub(crate) fn on_stage(base: &StageState) -> Self {
        Self::start(base.config.clone(), base.scope.clone())
    }

    fn start(mut config: ImageConfig, mut scope: StageScope) -> Self {
        if !config.config.env.iter().any(|variable| variable.starts_with("PATH=")) {
            config.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for variable in &config.config.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            scope.set(name, value);
        }
        Self { config, scope }
    }

    fn set_env(&mut self, name: &str, value: &str) {
        let prefix = format!("{name}=");
        let variable = format!("{prefix}{value}");
        let env = &mut self.config.config.env;
        match env.iter_mut().find(|known| known.starts_with(&prefix)) {
            Some(known) => *known = variable,
            None => env.push(variable),
        }
        self.scope.set(name, value);
    }

    /// SHELL, or Docker's.
    fn shell(&self) -> Vec<String> {
        self.config.config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()])
    }
}

/// Reads the instructions of a stage. The state that comes back is for the stages built on it.
pub(crate) fn lower(
    lowering: &Lowering<'_>,
    stage: &NeededStage<'_>,
    mut state: StageState,
) -> Result<(LoweredStage, StageState), BuildError> {
    let mut steps = Vec::new();
    let triggers = match stage.is_replaced {
        true => Vec::new(),
        false => triggers(&mut state, stage.stage)
            .map_err(|error| lowering.source.failed(&stage.stage.from, error))?,
    };
    let mut lowered = StageLowering { lowering, index: stage.index, state: &mut state, has_cmd: false };
    for statement in triggers.iter().chain(stage.instructions) {
        let operation = lowered.lower(statement)?;
        steps.extend(operation.map(|operation| LoweredStep {
            span: statement.span,
            text: one_line(&statement.text),
            operation,
        }));
    }
    Ok((LoweredStage { config: state.config.clone(), steps }, state))
}

/// What the base's ONBUILD says, as if it stood right after FROM, where its mistakes are shown, too. It is done once.
fn triggers(state: &mut StageState, stage: &Stage) -> Result<Vec<Statement<Instruction>>, StepError> {
    let expressions = std::mem::take(&mut state.config.config.on_build);
    let mut triggers = Vec::new();
    for expression in expressions {
        let file = Arc::new(SourceFile::new("ONBUILD", format!("FROM scratch\n{expression}\n")));
        let (parsed, diagnostics) = minato_dockerfile::parse(&file);
        if let Some(error) = diagnostics.iter().find(|it| it.is_error()) {
            return Err(StepError::Invalid(format!("ONBUILD {expression} of the base: {}", error.message)));
        }
        let statements = parsed.stages.into_iter().flat_map(|stage| stage.instructions);
        triggers.extend(statements.map(|it| Statement { span: stage.from.span, ..it }));
    }
    // Which stages and images a build needs is known before its bases' configurations are.
    match triggers.iter().find(|it| names_sources(it)) {
        None => Ok(triggers),
        Some(trigger) => Err(StepError::unsupported(
            format!("ONBUILD {} of the base", one_line(&trigger.text)),
            "say it in the Dockerfile itself",
        )),
    }
}

/// One stage on the way.
struct StageLowering<'a> {
    lowering: &'a Lowering<'a>,
    index: usize,
    state: &'a mut StageState,
    /// Whether this stage has had a CMD: an ENTRYPOINT then keeps it.
    has_cmd: bool,
}

impl StageLowering<'_> {
    fn lower(&mut self, statement: &Statement<Instruction>) -> Result<Option<Operation>, BuildError> {
        let result = match &statement.value {
            Instruction::Run(it) => {
                let from = self.lowering.names.sources_of(self.index, statement, self.lowering.source)?;
                self.run(it, from).map(Some)
            }
            Instruction::Copy(it) => {
                let from = self.lowering.names.sources_of(self.index, statement, self.lowering.source)?;
                self.copy(it, from.into_iter().next().unwrap_or(CopyFrom::Context)).map(Some)
            }
            Instruction::Add(it) => self.add(it).map(Some),
            Instruction::Workdir(it) => self.workdir(&it.operand),
            Instruction::Arg(it) => self.arg(it).map(|()| None),
            Instruction::Env(it) => self.env(it).map(|()| None),
            Instruction::Label(it) => self.label(it).map(|()| None),
            Instruction::Expose(it) => self.expose(it).map(|()| None),
            Instruction::User(it) => self.user(&it.operand).map(|()| None),
            Instruction::Volume(it) => self.volume(it).map(|()| None),
            Instruction::Stopsignal(it) => self.stop_signal(&it.operand).map(|()| None),
            Instruction::Shell(it) => {
                self.set_shell(it);
                Ok(None)
            }
            Instruction::Cmd(it) => {
                self.cmd(it);
                Ok(None)
            }
            Instruction::Entrypoint(it) => {
                self.entrypoint(it);
                Ok(None)
            }
            Instruction::Healthcheck(it) => {
                self.healthcheck(it);
                Ok(None)
            }
            Instruction::Maintainer(it) => {
                self.maintainer(&it.operand);
                Ok(None)
            }
            Instruction::Onbuild(it) => {
                self.state.config.config.on_build.push(it.expression.clone());
                Ok(None)
            }
        };
        result.map_err(|error| self.lowering.source.failed(statement, error))
    }

    fn expand(&self, word: &Word) -> Result<String, StepError> {
        self.state
            .scope
            .expand(word, self.lowering.names.dockerfile.escape)
            .map_err(|error| self.cannot_expand(word, &error))
    }

    fn expand_words(&self, word: &Word) -> Result<Vec<String>, StepError> {
        let lookup = |name: &str| self.state.scope.get(name);
        let words = minato_dockerfile::expand_words(word, self.lowering.names.dockerfile.escape, &lookup);
        words.map_err(|error| self.cannot_expand(word, &error))
    }

    fn cannot_expand(&self, word: &Word, error: &ExpandError) -> StepError {
        StepError::Invalid(format!("{:?} can't be expanded: {error}", word.raw))
    }

    /// Adds a line to the image's history.
    fn note(&mut self, created_by: String, makes_layer: bool) {
        let entry = history::entry(created_by, makes_layer, self.lowering.created);
        self.state.config.history.push(entry);
    }
}
