//! What the checks know of a Dockerfile: its stages, what they are built on, and the environment at each instruction.

use minato_dockerfile::{Dockerfile, Instruction, Stage, Statement};
use minato_oci::Platform;
use minato_resource::Span;

use super::environment::Environment;
use crate::check::{BaseImage, Build, CheckedStages};
use crate::subject::{is_named, sources_of};

/// More stages than a build takes; those behind are not looked at.
const MAX_STAGES: usize = 256;

/// One Dockerfile, looked through once.
pub(super) struct Analysis<'a> {
    pub(super) build: &'a Build<'a>,
    /// What FROM lines see.
    pub(super) globals: Environment,
    pub(super) stages: Vec<StageFacts<'a>>,
}

/// A stage in its place among the others.
pub(super) struct StageFacts<'a> {
    pub(super) stage: &'a Stage,
    /// The number of the stage that it is built on.
    pub(super) parent: Option<usize>,
    /// The image that it is built on, where it is known.
    pub(super) base: Option<BaseImage>,
    /// Whether what its instructions do counts: it is built, or all stages are checked.
    pub(super) needed: bool,
    /// Whether the target needs it. Only then the triggers that it inherits are run.
    built: bool,
}

/// An instruction while a stage is followed from its start.
pub(super) struct Step<'a, 'b> {
    /// The number of the stage.
    pub(super) stage: usize,
    pub(super) statement: &'b Statement<Instruction>,
    /// What the instruction sees.
    pub(super) environment: &'b Environment,
    /// Of a trigger that the stage inherits: the FROM that sets it off.
    place: Option<Span>,
    pub(super) analysis: &'b Analysis<'a>,
}

impl Step<'_, '_> {
    /// What to underline for a word of the instruction.
    pub(super) fn place(&self, word: Span) -> Span {
        self.place.unwrap_or(word)
    }
}

impl<'a> Analysis<'a> {
    pub(super) fn new(build: &'a Build<'a>) -> Analysis<'a> {
        let globals = Environment::of_globals(build.dockerfile, &build.arguments, build.target);
        let mut analysis = Analysis { build, globals, stages: Vec::new() };
        for (index, stage) in build.dockerfile.stages.iter().take(MAX_STAGES).enumerate() {
            let image = analysis.globals.expand(&stage.from.value.image).text;
            let parent = image.as_ref().and_then(|image| {
                let earlier = &build.dockerfile.stages[..index];
                earlier.iter().rposition(|it| is_named(it, image))
            });
            let base = match (&image, parent) {
                (Some(image), None) => base_image(build, image),
                _ => None,
            };
            analysis.stages.push(StageFacts { stage, parent, base, needed: false, built: false });
        }
        analysis.mark_needed();
        analysis
    }

    /// The file.
    pub(super) fn dockerfile(&self) -> &'a Dockerfile {
        self.build.dockerfile
    }

    /// Follows every stage that counts from its start: inherited triggers, then its own instructions.
    pub(super) fn follow(&self, mut visit: impl FnMut(&Step<'_, '_>)) {
        let mut ends: Vec<Option<Environment>> = Vec::new();
        for (index, facts) in self.stages.iter().enumerate() {
            if !facts.needed {
                ends.push(None);
                continue;
            }
            let parent = facts.parent.and_then(|parent| ends[parent].as_ref());
            let mut environment = match parent {
                Some(parent) => parent.clone(),
                None => Environment::of_stage(&self.globals, facts.base.as_ref()),
            };
            for (statement, place) in self.instructions(facts) {
                let step = Step { stage: index, statement, environment: &environment, place, analysis: self };
                visit(&step);
                environment.apply(&statement.value, &self.globals);
            }
            ends.push(Some(environment));
        }
    }

    /// The stage and those it is built on, the stage first.
    pub(super) fn lineage(&self, stage: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(stage), |stage| self.stages[*stage].parent)
    }

    /// What the image is built for.
    pub(super) fn platform(&self) -> Platform {
        self.build.platform.clone().unwrap_or_else(Platform::host)
    }

    /// The stage's instructions behind the triggers of the stage that it is built on, which have its FROM as their place.
    fn instructions(
        &self,
        facts: &StageFacts<'a>,
    ) -> impl Iterator<Item = (&'a Statement<Instruction>, Option<Span>)> {
        let parent = facts.parent.filter(|_| facts.built).map(|parent| self.stages[parent].stage);
        let from = facts.stage.from.span;
        let triggers =
            parent.into_iter().flat_map(|parent| &parent.instructions).filter_map(|it| match &it.value {
                Instruction::Onbuild(onbuild) => onbuild.trigger.as_deref(),
                _ => None,
            });
        let own = facts.stage.instructions.iter().map(|it| (it, None));
        triggers.map(move |it| (it, Some(from))).chain(own)
    }

    fn mark_needed(&mut self) {
        let mut open: Vec<usize> = self.target().into_iter().collect();
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut self.stages[index].built, true) {
                continue;
            }
            let facts = &self.stages[index];
            open.extend(facts.parent);
            open.extend(sources_of(facts.stage).iter().filter_map(|word| self.number_of(&word.raw)));
        }
        let all = self.build.stages == CheckedStages::All && self.build.target.is_none();
        self.stages.iter_mut().for_each(|facts| facts.needed = all || facts.built);
    }

    fn target(&self) -> Option<usize> {
        match self.build.target {
            None => self.stages.len().checked_sub(1),
            Some(target) => self.number_of(target),
        }
    }

    fn number_of(&self, name: &str) -> Option<usize> {
        let named = self.stages.iter().rposition(|facts| is_named(facts.stage, name));
        named.or_else(|| name.parse().ok().filter(|number| *number < self.stages.len()))
    }
}

fn base_image(build: &Build<'_>, image: &str) -> Option<BaseImage> {
    match image {
        "scratch" => Some(BaseImage::default()),
        image => build.bases.base_image(image),
    }
}
