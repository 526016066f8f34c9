//! One build from beginning to end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use minato_dockerfile::{Dockerfile, Instruction};
use minato_oci::{Image, ImageConfig, Layer, Platform, Store};
use minato_resource::Diagnostic;

use crate::base_images::BaseImages;
use crate::bases::Bases;
use crate::cache_exchange::UsedCache;
use crate::error::BuildError;
use crate::executor::{Cancelled, Executor};
use crate::layer::LayerTimes;
use crate::lower::{GlobalScope, Lowering, StageState, lower};
use crate::names::{Base, Names};
use crate::place::Source;
use crate::progress::Progress;
use crate::provenance::Material;
use crate::remote::Remotes;
use crate::request::Request;
use crate::solve::{Asked, SolvedStage, Solver, StageInput, StepCache, StepReport};
use crate::stages::{Stages, select};
use crate::trees::Trees;

/// Builds images into a store.
pub struct Builder<'a> {
    /// Where base images are found and the image goes.
    pub store: &'a Store,
    /// The folder of the cache; made when absent. Losing it costs time only.
    pub cache: &'a Path,
    /// Runs RUN steps.
    pub executor: &'a dyn Executor,
    /// Brings base images that the store lacks.
    pub bases: &'a dyn Bases,
    /// Hears what happens.
    pub progress: &'a dyn Progress,
    /// Ends builds early when set from another thread.
    pub cancelled: Cancelled,
}

/// What a build made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image; not tagged yet.
    pub image: Image,
    /// Every step of every stage that was needed, in order of the file.
    pub steps: Vec<StepReport>,
    /// What it asked of the cache, for an export of it.
    pub used_cache: UsedCache,
    /// The images that it started from and copied from.
    pub materials: Vec<Material>,
}

impl Built {
    /// An image that another engine made: nothing is known of its steps.
    pub fn elsewhere(image: Image) -> Self {
        Self { image, steps: Vec::new(), used_cache: UsedCache::default(), materials: Vec::new() }
    }
}

impl Builder<'_> {
    /// Builds the image for each of `platforms`, one after the other: what does not depend on the platform, such as a
    /// stage `FROM --platform=$BUILDPLATFORM`, is done by the first and found in the cache by the others.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn build_all(&self, request: &Request, platforms: &[Platform]) -> Result<Vec<Built>, BuildError> {
        let one =
            |platform: &Platform| self.build(&Request { platform: platform.clone(), ..request.clone() });
        platforms.iter().map(one).collect()
    }

    /// Builds the image that the request asks for.
    ///
    /// # Errors
    /// Mistakes in the Dockerfile, a base image that can't be had, a step that fails: see [`BuildError`]. Whatever
    /// was finished before stays in the cache.
    pub fn build(&self, request: &Request) -> Result<Built, BuildError> {
        // From the first look into the store to the image's config nothing may be collected.
        let _lease = self.store.lease()?;
        let dockerfile = self.parse(request)?;
        let source = Source { file: &request.dockerfile };
        let global = GlobalScope::new(
            &dockerfile,
            &source,
            &request.arguments,
            &request.platform,
            request.target.as_deref(),
        )?;
        let names = Names { dockerfile: &dockerfile, contexts: &request.contexts };
        let stages = select(&names, &source, &global, request.target.as_deref(), &request.platform)?;
        self.warn_of_unused_arguments(&dockerfile, request);
        let trees = Trees::open(self, request, &names, &source, &stages)?;
        let found = self.find_bases(request, &names, &source, &stages)?;
        let created = created(request)?;
        let lowering = Lowering {
            names,
            source: &source,
            global: &global,
            created: &created,
            network: request.network,
            allow_insecure: request.allow_insecure,
        };
        let inputs = lower_all(&lowering, &stages, &found)?;
        let (solved, used_cache) = self.solve(request, &source, &trees, &global, &found, &inputs)?;
        let steps = solved.values().flat_map(|stage| stage.reports.clone()).collect();
        let target = inputs.get(&stages.target).map(|input| input.lowered.config.clone()).unwrap_or_default();
        let layers = solved.get(&stages.target).map(|stage| stage.layers.clone()).unwrap_or_default();
        let config = finish_config(target, &layers, request, &created);
        let image = self.store.save_image(&config)?;
        let materials = self.materials(&found)?;
        Ok(Built { image, steps, used_cache, materials })
    }

    fn solve(
        &self,
        request: &Request,
        source: &Source<'_>,
        trees: &Trees,
        global: &GlobalScope,
        found: &BaseImages,
        inputs: &BTreeMap<usize, StageInput<'_>>,
    ) -> Result<(BTreeMap<usize, Arc<SolvedStage>>, UsedCache), BuildError> {
        let cancelled = self.cancelled.inner();
        let solver = Solver {
            store: self.store,
            steps: &StepCache::new(self.cache),
            trees,
            executor: self.executor,
            progress: self.progress,
            cancelled: &cancelled,
            cache: self.cache,
            asked: Asked::default(),
            of_context: Mutex::default(),
            request,
            remotes: Remotes::new(self.cache, &request.remotes, &cancelled),
            source,
            times: LayerTimes { source_date_epoch: epoch(request)? },
            proxies: global.proxies(),
            images: found.images.iter().map(|(image, found)| (image.clone(), found.layers.clone())).collect(),
            layouts: found.layouts.iter().map(|(name, found)| (name.clone(), found.layers.clone())).collect(),
        };
        let solved = solver.solve(inputs);
        // What was hashed is worth keeping even when a later step failed; failing to keep it only costs time.
        if let Err(error) = trees.save() {
            self.progress.warning(&format!("build cache: {error}"));
        }
        let solved = solved?;
        Ok((solved, solver.asked.into_used()))
    }

    fn parse(&self, request: &Request) -> Result<Dockerfile, BuildError> {
        let (dockerfile, diagnostics) = minato_dockerfile::parse(&request.dockerfile);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(BuildError::Syntax(diagnostics));
        }
        diagnostics.iter().for_each(|warning| self.progress.warning(&warning.to_string()));
        Ok(dockerfile)
    }

    fn warn_of_unused_arguments(&self, dockerfile: &Dockerfile, request: &Request) {
        let in_stages = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
        let in_stages = in_stages.filter_map(|statement| match &statement.value {
            Instruction::Arg(arg) => Some(arg),
            _ => None,
        });
        let declared: BTreeSet<&str> = dockerfile
            .global_args
            .iter()
            .map(|statement| &statement.value)
            .chain(in_stages)
            .flat_map(|arg| &arg.definitions)
            .map(|definition| definition.name.raw.as_str())
            .collect();
        for name in request.arguments.keys() {
            if !declared.contains(name.as_str()) && !GlobalScope::is_predefined(name) {
                self.progress.warning(&format!("build argument {name} is used nowhere: no ARG declares it"));
            }
        }
    }
}

/// Lowers the stages in order of the file, so that every stage finds the state of the one it starts from.
fn lower_all<'a>(
    lowering: &Lowering<'_>,
    stages: &'a Stages<'_>,
    found: &BaseImages,
) -> Result<BTreeMap<usize, StageInput<'a>>, BuildError> {
    let mut states: BTreeMap<usize, StageState> = BTreeMap::new();
    let mut inputs = BTreeMap::new();
    for (index, stage) in &stages.needed {
        let start = match &stage.base {
            Base::Stage(earlier) => states.get(earlier).map(StageState::on_stage),
            Base::Image(reference) => {
                let image = found.images.get(&(reference.clone(), stage.platform.clone()));
                image.map(|it| StageState::on_image(it.config.clone()))
            }
            Base::Layout(layout) => {
                let image = found.layouts.get(&(layout.clone(), stage.platform.clone()));
                image.map(|it| StageState::on_image(it.config.clone()))
            }
            Base::Tree(name) => {
                Some(StageState::on_tree(empty_config(&stage.platform), name, lowering.created))
            }
            Base::Scratch => None,
        };
        let start = start.unwrap_or_else(|| StageState::on_image(empty_config(&stage.platform)));
        let (lowered, state) = lower(lowering, stage, start)?;
        states.insert(*index, state);
        let from = stage.stage.from.span;
        let (name, base, platform) = (&*stage.name, &stage.base, &stage.platform);
        inputs.insert(*index, StageInput { name, base, platform, from, lowered });
    }
    Ok(inputs)
}

/// What `FROM scratch` starts from.
fn empty_config(platform: &Platform) -> ImageConfig {
    let mut config = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        ..ImageConfig::default()
    };
    config.config.working_dir = "/".to_owned();
    config
}

fn finish_config(mut config: ImageConfig, layers: &[Layer], request: &Request, created: &str) -> ImageConfig {
    config.created = Some(created.to_owned());
    config.config.labels.extend(request.labels.clone());
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    config
}

/// `SOURCE_DATE_EPOCH`, as the request or a build argument says it.
fn epoch(request: &Request) -> Result<Option<i64>, BuildError> {
    if request.source_date_epoch.is_some() {
        return Ok(request.source_date_epoch);
    }
    let Some(text) = request.arguments.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let wrong =
        || BuildError::Request(format!("SOURCE_DATE_EPOCH={text} is not a number of seconds since 1970"));
    text.parse().map(Some).map_err(|_| wrong())
}

/// The time that the image and its history bear, in RFC 3339.
fn created(request: &Request) -> Result<String, BuildError> {
    let seconds = match epoch(request)? {
        Some(epoch) => epoch,
        None => request.created.unwrap_or_else(|| LayerTimes::default().of_layer(0)),
    };
    let time = jiff::Timestamp::from_second(seconds);
    time.map(|time| time.to_string())
        .map_err(|_| BuildError::Request(format!("{seconds} is no time of a calendar")))
}
