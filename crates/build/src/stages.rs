//! Which stages a build needs, what each starts from, and in which order they can be built.

use std::collections::{BTreeMap, BTreeSet};

use minato_dockerfile::{Dockerfile, Instruction, Stage, Statement};
use minato_oci::Platform;

use crate::error::{BuildError, StepError};
use crate::lower::{CopyFrom, GlobalScope};
use crate::names::{Base, Names};
use crate::place::Source;

/// More stages than any Dockerfile should have: each is built by a thread of its own.
const MAX_STAGES: usize = 256;

/// The stages that the target needs, by their number in the file. A stage needs only earlier ones.
pub(crate) struct Stages<'a> {
    pub(crate) needed: BTreeMap<usize, NeededStage<'a>>,
    /// The one that becomes the image.
    pub(crate) target: usize,
}

/// One stage.
pub(crate) struct NeededStage<'a> {
    /// Its number in the file.
    pub(crate) index: usize,
    pub(crate) stage: &'a Stage,
    /// The instructions under its FROM.
    pub(crate) instructions: &'a [Statement<Instruction>],
    /// The command line puts something else in its place, which is taken as it is.
    pub(crate) is_replaced: bool,
    /// Its name, or `stage-N`; behind its platform, when that is not this machine's.
    pub(crate) name: String,
    pub(crate) base: Base,
    /// What its programs run on, and its image if it becomes one.
    pub(crate) platform: Platform,
}

/// Follows the references from the target back to what it needs.
pub(crate) fn select<'a>(
    names: &Names<'a>,
    source: &Source<'_>,
    scope: &GlobalScope,
    target: Option<&str>,
    platform: &Platform,
) -> Result<Stages<'a>, BuildError> {
    let dockerfile = names.dockerfile;
    if dockerfile.stages.len() > MAX_STAGES {
        return Err(BuildError::Request(format!("the Dockerfile has more than {MAX_STAGES} stages")));
    }
    let target = find_target(dockerfile, target)?;
    let mut needed: BTreeMap<usize, NeededStage<'a>> = BTreeMap::new();
    let mut open = BTreeSet::from([target]);
    while let Some(index) = open.pop_last() {
        let stage = &dockerfile.stages[index];
        let given = names.instead_of(stage);
        let is_replaced = given.is_some();
        let instructions: &[_] = if is_replaced { &[] } else { &stage.instructions };
        let base = given.map_or_else(|| names.base_of(index, source, scope), Ok)?;
        if let Base::Stage(earlier) = base {
            open.insert(earlier);
        }
        for statement in instructions {
            let sources = names.sources_of(index, statement, source)?;
            open.extend(sources.into_iter().filter_map(|source| match source {
                CopyFrom::Stage(earlier) => Some(earlier),
                _ => None,
            }));
        }
        let named = stage.from.value.name.as_ref().map(|name| name.raw.clone());
        let name = named.unwrap_or_else(|| format!("stage-{index}"));
        let platform = platform_of(dockerfile, index, source, scope)?.unwrap_or_else(|| platform.clone());
        needed.insert(index, NeededStage { index, stage, instructions, is_replaced, name, base, platform });
    }
    inherit_platforms(&mut needed);
    Ok(Stages { needed, target })
}

/// A stage on another stage is for the platform of that one, whatever it says itself.
fn inherit_platforms(needed: &mut BTreeMap<usize, NeededStage<'_>>) {
    let mut known: BTreeMap<usize, Platform> = BTreeMap::new();
    for (index, stage) in needed {
        if let Base::Stage(earlier) = stage.base
            && let Some(platform) = known.get(&earlier)
        {
            stage.platform = platform.clone();
        }
        if stage.platform != Platform::host() {
            stage.name = format!("{} {}", stage.platform, stage.name);
        }
        known.insert(*index, stage.platform.clone());
    }
}

/// What `FROM --platform` says.
fn platform_of(
    dockerfile: &Dockerfile,
    index: usize,
    source: &Source<'_>,
    scope: &GlobalScope,
) -> Result<Option<Platform>, BuildError> {
    let from = &dockerfile.stages[index].from;
    let Some(word) = &from.value.platform else { return Ok(None) };
    let wanted = minato_dockerfile::expand(word, dockerfile.escape, &|name| scope.get(name));
    let wanted = wanted.map_err(StepError::invalid).and_then(|text| text.parse().map_err(StepError::invalid));
    wanted.map(Some).map_err(|error| source.failed(from, error))
}

fn find_target(dockerfile: &Dockerfile, target: Option<&str>) -> Result<usize, BuildError> {
    let count = dockerfile.stages.len();
    let Some(target) = target else {
        return count
            .checked_sub(1)
            .ok_or_else(|| BuildError::Request("the Dockerfile has no FROM".to_owned()));
    };
    let by_number = || target.parse().ok().filter(|number| *number < count);
    dockerfile.stage_named(target).or_else(by_number).ok_or_else(|| {
        let names: Vec<&str> = dockerfile
            .stages
            .iter()
            .filter_map(|it| Some(it.from.value.name.as_ref()?.raw.as_str()))
            .collect();
        BuildError::Request(format!(
            "target stage {target:?} is not in the Dockerfile; it has: {}",
            names.join(", ")
        ))
    })
}
