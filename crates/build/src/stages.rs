//! Which stages a build needs, what each starts from, and in which order they can be built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use minato_dockerfile::{Dockerfile, Instruction, Mount, Stage, Statement};
use minato_oci::{Platform, Reference};
use minato_resource::Span;

use crate::error::{BuildError, StepError};
use crate::lower::{CopyFrom, GlobalScope};
use crate::place::{Source, one_line};

/// More stages than any Dockerfile should have: each is built by a thread of its own.
const MAX_STAGES: usize = 256;

/// The stages that the target needs, by their number in the file. A stage starts from an earlier one only, and may
/// copy from any.
pub(crate) struct Stages<'a> {
    pub(crate) needed: BTreeMap<usize, NeededStage<'a>>,
    /// The one that becomes the image.
    pub(crate) target: usize,
}

/// One stage.
pub(crate) struct NeededStage<'a> {
    pub(crate) stage: &'a Stage,
    /// Its name, or `stage-N`; behind its platform, when that is not this machine's.
    pub(crate) name: String,
    pub(crate) base: Base,
    /// What its programs run on, and its image if it becomes one.
    pub(crate) platform: Platform,
}

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(Reference),
    /// An OCI layout on this machine, and the name in it.
    Layout {
        folder: PathBuf,
        name: Option<String>,
    },
}

/// Follows the references from the target back to what it needs.
pub(crate) fn select<'a>(
    dockerfile: &'a Dockerfile,
    source: &Source<'_>,
    scope: &GlobalScope,
    target: Option<&str>,
    platform: &Platform,
) -> Result<Stages<'a>, BuildError> {
    if dockerfile.stages.len() > MAX_STAGES {
        return Err(BuildError::Request(format!("the Dockerfile has more than {MAX_STAGES} stages")));
    }
    let target = find_target(dockerfile, target)?;
    let mut needed: BTreeMap<usize, NeededStage<'a>> = BTreeMap::new();
    let mut uses: BTreeMap<usize, Vec<Use<'_>>> = BTreeMap::new();
    let mut open = BTreeSet::from([target]);
    while let Some(index) = open.pop_last() {
        let stage = &dockerfile.stages[index];
        let base = base_of(dockerfile, index, source, scope)?;
        let used = stages_used(dockerfile, stage, &base, source)?;
        open.extend(used.iter().map(|it| it.stage).filter(|it| *it != index && !needed.contains_key(it)));
        uses.insert(index, used);
        let named = stage.from.value.name.as_ref().map(|name| name.raw.clone());
        let name = named.unwrap_or_else(|| format!("stage-{index}"));
        let platform = platform_of(dockerfile, index, source, scope)?.unwrap_or_else(|| platform.clone());
        needed.insert(index, NeededStage { stage, name, base, platform });
    }
    refuse_circle(source, &needed, &uses)?;
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

/// A stage that another one takes files from, or starts from.
struct Use<'a> {
    stage: usize,
    /// Of the instruction that says so.
    span: Span,
    text: &'a str,
}

fn stages_used<'a>(
    dockerfile: &Dockerfile,
    stage: &'a Stage,
    base: &Base,
    source: &Source<'_>,
) -> Result<Vec<Use<'a>>, BuildError> {
    let from = &stage.from;
    let mut used = Vec::new();
    if let Base::Stage(stage) = base {
        used.push(Use { stage: *stage, span: from.span, text: &from.text });
    }
    for statement in &stage.instructions {
        for origin in sources_of(dockerfile, statement, source)? {
            if let CopyFrom::Stage(stage) = origin {
                used.push(Use { stage, span: statement.span, text: &statement.text });
            }
        }
    }
    Ok(used)
}

/// Stages may stand in any order, but none may need itself. Those that need nothing, and those that nobody needs, are
/// taken away again and again; who is left then stands in a circle, and the instructions between them say it.
fn refuse_circle(
    source: &Source<'_>,
    needed: &BTreeMap<usize, NeededStage<'_>>,
    uses: &BTreeMap<usize, Vec<Use<'_>>>,
) -> Result<(), BuildError> {
    let mut left: BTreeSet<usize> = needed.keys().copied().collect();
    loop {
        let used: BTreeSet<usize> = left.iter().flat_map(|index| &uses[index]).map(|it| it.stage).collect();
        let needs_one = |index: &usize| uses[index].iter().any(|used| left.contains(&used.stage));
        let next: BTreeSet<usize> =
            left.iter().copied().filter(|index| used.contains(index) && needs_one(index)).collect();
        if next.len() == left.len() {
            break;
        }
        left = next;
    }
    let closing = left.iter().flat_map(|index| &uses[index]).find(|used| left.contains(&used.stage));
    let Some(closing) = closing else { return Ok(()) };
    let names: Vec<&str> =
        left.iter().filter_map(|index| needed.get(index)).map(|it| it.name.as_str()).collect();
    let message = format!("the stages {} need each other in a circle", names.join(", "));
    Err(source.failed_at(closing.span, &one_line(closing.text), StepError::Invalid(message)))
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

fn base_of(
    dockerfile: &Dockerfile,
    index: usize,
    source: &Source<'_>,
    scope: &GlobalScope,
) -> Result<Base, BuildError> {
    let from = &dockerfile.stages[index].from;
    let failed = |error: StepError| source.failed(from, error);
    let lookup = |name: &str| scope.get(name);
    let expand =
        |word| minato_dockerfile::expand(word, dockerfile.escape, &lookup).map_err(StepError::invalid);
    let image = expand(&from.value.image).map_err(failed)?;
    if image.is_empty() {
        let message =
            format!("base image {:?} is empty once its variables are replaced", from.value.image.raw);
        return Err(failed(StepError::Invalid(message)));
    }
    if image == "scratch" {
        return Ok(Base::Scratch);
    }
    if let Some(earlier) = stage_before(dockerfile, index, &image) {
        return Ok(Base::Stage(earlier));
    }
    if let Some(layout) = image.strip_prefix("oci-layout://") {
        return Ok(parse_layout(layout));
    }
    image.parse().map(Base::Image).map_err(|error| failed(StepError::invalid(error)))
}

/// `FOLDER[:TAG][@DIGEST]`
fn parse_layout(text: &str) -> Base {
    let (folder, name) = match text.rsplit_once('@') {
        Some((folder, digest)) => (folder, Some(digest)),
        None => match text.rsplit_once(':') {
            Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag)),
            _ => (text, None),
        },
    };
    Base::Layout { folder: PathBuf::from(folder), name: name.map(str::to_owned) }
}

fn stage_before(dockerfile: &Dockerfile, index: usize, name: &str) -> Option<usize> {
    // A later stage may repeat a name: the nearest one before is meant.
    let named =
        |stage: &Stage| stage.from.value.name.as_ref().is_some_and(|it| it.raw.eq_ignore_ascii_case(name));
    dockerfile.stages[..index].iter().rposition(named)
}

/// What an instruction names as the origin of files: of a COPY what `--from` says, of a RUN what `from=` of its mounts
/// says, in order. Nothing where the context is meant.
pub(crate) fn sources_of(
    dockerfile: &Dockerfile,
    statement: &Statement<Instruction>,
    source: &Source<'_>,
) -> Result<Vec<CopyFrom>, BuildError> {
    let named = |name: &str| source_named(dockerfile, name);
    let fail = |message| source.failed(statement, StepError::Invalid(message));
    names(statement).into_iter().map(|name| named(name).map_err(fail)).collect()
}

/// Whether it takes files from elsewhere than the context.
pub(crate) fn names_sources(statement: &Statement<Instruction>) -> bool {
    !names(statement).is_empty()
}

fn names(statement: &Statement<Instruction>) -> Vec<&str> {
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

/// A stage by name or number, an image, or nothing at all. Unlike FROM, this may name a stage further down; where
/// stages share a name the last is meant.
fn source_named(dockerfile: &Dockerfile, name: &str) -> Result<CopyFrom, String> {
    if let Ok(number) = name.parse::<usize>() {
        let count = dockerfile.stages.len();
        let out_of_range =
            || format!("--from={number} is no stage; the Dockerfile has {count}, the first is 0");
        return if number < count { Ok(CopyFrom::Stage(number)) } else { Err(out_of_range()) };
    }
    if let Some(stage) = dockerfile.stage_named(name) {
        return Ok(CopyFrom::Stage(stage));
    }
    if name == "scratch" {
        return Ok(CopyFrom::Scratch);
    }
    let image = name.parse().map(CopyFrom::Image);
    image.map_err(|error| format!("--from={name} is neither a stage nor an image: {error}"))
}
