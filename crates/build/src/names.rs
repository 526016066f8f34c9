//! What the names in FROM, `COPY --from` and a mount's `from` mean: what the command line puts in their place, else a
//! stage, else nothing (`scratch`), else an image.

use std::path::PathBuf;

use minato_dockerfile::{Dockerfile, Instruction, Mount, Stage, Statement};
use minato_oci::Reference;

use crate::contexts::{Contexts, NamedContext};
use crate::error::{BuildError, StepError};
use crate::lower::{CopyFrom, GlobalScope};
use crate::place::Source;

/// Where names are looked up.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) contexts: &'a Contexts,
}

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(Reference),
    Layout(LayoutName),
    /// The files of a named context.
    Tree(String),
}

/// An OCI layout on this machine, and the name in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LayoutName {
    pub(crate) folder: PathBuf,
    pub(crate) name: Option<String>,
}

impl<'a> Names<'a> {
    /// What stage number `index` starts from.
    pub(crate) fn base_of(
        &self,
        index: usize,
        source: &Source<'_>,
        scope: &GlobalScope,
    ) -> Result<Base, BuildError> {
        let from = &self.dockerfile.stages[index].from;
        let failed = |error: StepError| source.failed(from, error);
        let lookup = |name: &str| scope.get(name);
        let image = minato_dockerfile::expand(&from.value.image, self.dockerfile.escape, &lookup);
        let image = image.map_err(StepError::invalid).map_err(failed)?;
        if image.is_empty() {
            let message =
                format!("base image {:?} is empty once its variables are replaced", from.value.image.raw);
            return Err(failed(StepError::Invalid(message)));
        }
        if image == "scratch" {
            return Ok(Base::Scratch);
        }
        if let Some(earlier) = self.stage_before(index, &image) {
            return Ok(Base::Stage(earlier));
        }
        if let Some(given) = self.given(&image) {
            return Ok(given);
        }
        if let Some(layout) = image.strip_prefix("oci-layout://") {
            return Ok(Base::Layout(LayoutName::parse(layout)));
        }
        image.parse().map(Base::Image).map_err(|error| failed(StepError::invalid(error)))
    }

    /// What the command line puts in the place of a stage of the Dockerfile.
    pub(crate) fn instead_of(&self, stage: &Stage) -> Option<Base> {
        self.given(&stage.from.value.name.as_ref()?.raw)
    }

    /// What an instruction of stage `index` names as the origin of files: of a COPY what `--from` says, of a RUN what
    /// `from=` of its mounts says, in order. Nothing where the context is meant.
    pub(crate) fn sources_of(
        &self,
        index: usize,
        statement: &Statement<Instruction>,
        source: &Source<'_>,
    ) -> Result<Vec<CopyFrom>, BuildError> {
        let fail = |message| source.failed(statement, StepError::Invalid(message));
        written(statement).into_iter().map(|name| self.source_named(index, name).map_err(fail)).collect()
    }

    /// A stage before stage `index` by name or number, what the command line says, nothing at all, or an image.
    fn source_named(&self, index: usize, name: &str) -> Result<CopyFrom, String> {
        if let Ok(number) = name.parse::<usize>() {
            return match number < index {
                true => Ok(CopyFrom::Stage(number)),
                false => {
                    Err(format!("--from={number} is no earlier stage; this is stage {index}, the first is 0"))
                }
            };
        }
        if let Some(earlier) = self.stage_before(index, name) {
            return Ok(CopyFrom::Stage(earlier));
        }
        if name == "scratch" {
            return Ok(CopyFrom::Scratch);
        }
        match self.given(name) {
            Some(Base::Tree(name)) => Ok(CopyFrom::Tree(name)),
            Some(Base::Image(reference)) => Ok(CopyFrom::Image(reference)),
            Some(Base::Layout(layout)) => Ok(CopyFrom::Layout(layout)),
            Some(Base::Scratch | Base::Stage(_)) => Ok(CopyFrom::Scratch),
            None if self.dockerfile.stage_named(name).is_some() => {
                Err(format!("stage {name:?} comes later; move it above this stage to copy from it"))
            }
            None => name
                .parse()
                .map(CopyFrom::Image)
                .map_err(|error| format!("--from={name} is neither a stage nor an image: {error}")),
        }
    }

    fn given(&self, name: &str) -> Option<Base> {
        let (name, context) = self.contexts.get(name)?;
        Some(match context {
            NamedContext::Scratch => Base::Scratch,
            NamedContext::Image(reference) => Base::Image(reference.clone()),
            NamedContext::Layout(layout) => Base::Layout(LayoutName::parse(layout)),
            NamedContext::Folder(_) | NamedContext::Remote(_) => Base::Tree(name.to_owned()),
        })
    }

    fn stage_before(&self, index: usize, name: &str) -> Option<usize> {
        // A later stage may repeat a name: the nearest one before is meant.
        let named = |stage: &Stage| {
            stage.from.value.name.as_ref().is_some_and(|it| it.raw.eq_ignore_ascii_case(name))
        };
        self.dockerfile.stages[..index].iter().rposition(named)
    }
}

impl LayoutName {
    /// `FOLDER[:TAG][@DIGEST]`
    fn parse(text: &str) -> Self {
        let (folder, name) = match text.rsplit_once('@') {
            Some((folder, digest)) => (folder, Some(digest)),
            None => match text.rsplit_once(':') {
                Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag)),
                _ => (text, None),
            },
        };
        Self { folder: PathBuf::from(folder), name: name.map(str::to_owned) }
    }
}

/// Whether an instruction takes files from elsewhere than the context.
pub(crate) fn names_sources(statement: &Statement<Instruction>) -> bool {
    !written(statement).is_empty()
}

fn written(statement: &Statement<Instruction>) -> Vec<&str> {
    match &statement.value {
        Instruction::Copy(copy) => copy.from.iter().map(|from| from.raw.as_str()).collect(),
        Instruction::Run(run) => run.mounts.iter().filter_map(origin).collect(),
        _ => Vec::new(),
    }
}

/// The last `from=` of a mount counts.
fn origin(mount: &Mount) -> Option<&str> {
    let field = mount.fields.iter().rfind(|field| field.key == "from")?;
    Some(field.value.as_ref()?.raw.as_str()).filter(|name| !name.is_empty())
}
