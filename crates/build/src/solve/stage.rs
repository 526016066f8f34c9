//! Stages in parallel, each waiting for those it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use minato_oci::{Layer, Platform, Reference, Store};
use minato_resource::Span;

use super::StepCache;
use super::copy::CopySource;
use super::known::Asked;
use crate::error::{BuildError, StepError};
use crate::executor::{Cancelled, Executor};
use crate::layer::LayerTimes;
use crate::lower::{Copy, CopyFrom, LoweredStage, LoweredStep, Operation};
use crate::names::{Base, LayoutName};
use crate::place::Source;
use crate::progress::{Progress, StepName, StepOutcome};
use crate::remote::Remotes;
use crate::request::Request;
use crate::trees::Trees;

/// What solving needs from around it.
pub(crate) struct Solver<'a> {
    pub(crate) store: &'a Store,
    pub(crate) steps: &'a StepCache,
    pub(crate) trees: &'a Trees,
    pub(crate) executor: &'a dyn Executor,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancelled: &'a Cancelled,
    /// The builder's folder.
    pub(crate) cache: &'a Path,
    pub(crate) asked: Asked,
    /// The places of layers that were made of the context.
    pub(crate) of_context: Mutex<BTreeSet<PathBuf>>,
    pub(crate) request: &'a Request,
    pub(crate) remotes: Remotes<'a>,
    pub(crate) source: &'a Source<'a>,
    pub(crate) times: LayerTimes,
    /// Variables that RUN sees and keys don't.
    pub(crate) proxies: Vec<(String, String)>,
    /// The layers of images that stages start from or copy from.
    pub(crate) images: BTreeMap<(Reference, Platform), Vec<Layer>>,
    pub(crate) layouts: BTreeMap<(LayoutName, Platform), Vec<Layer>>,
}

/// One stage to solve.
pub(crate) struct StageInput<'a> {
    pub(crate) name: &'a str,
    pub(crate) base: &'a Base,
    /// What its programs run on.
    pub(crate) platform: &'a Platform,
    /// The FROM line.
    pub(crate) from: Span,
    pub(crate) lowered: LoweredStage,
}

/// A stage's root file system and how it came to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct SolvedStage {
    pub(crate) layers: Vec<Layer>,
    pub(crate) reports: Vec<StepReport>,
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// The step.
    pub name: StepName,
    /// Whether its layer was there already.
    pub cached: bool,
    /// How long it took.
    pub took: Duration,
}

/// A layer, and whether anything had to be done for it.
pub(super) struct Made {
    pub(super) layer: Layer,
    pub(super) cached: bool,
}

/// Results of stages, for those that wait for them. `None` inside: the stage failed.
#[derive(Default)]
struct Results {
    done: Mutex<BTreeMap<usize, Option<Arc<SolvedStage>>>>,
    changed: Condvar,
}

impl Results {
    fn put(&self, index: usize, result: Option<Arc<SolvedStage>>) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, result);
        self.changed.notify_all();
    }

    fn wait(&self, index: usize) -> Option<Arc<SolvedStage>> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = done.get(&index) {
                return result.clone();
            }
            done = self.changed.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Solver<'_> {
    /// Solves all stages; every stage that another one needs is among them, with a smaller number.
    pub(crate) fn solve(
        &self,
        stages: &BTreeMap<usize, StageInput<'_>>,
    ) -> Result<BTreeMap<usize, Arc<SolvedStage>>, BuildError> {
        let results = Results::default();
        let errors = std::thread::scope(|scope| {
            let results = &results;
            let threads: Vec<_> = stages
                .iter()
                .map(|(index, stage)| scope.spawn(move || self.solve_into(results, *index, stage)))
                .collect();
            let ends = threads.into_iter().map(|thread| match thread.join() {
                Ok(end) => end,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ends.flatten().collect::<Vec<BuildError>>()
        });
        // The others only stopped because of this one.
        let is_cause = |error: &BuildError| !matches!(error, BuildError::Step { cause, .. } if matches!(**cause, StepError::Cancelled));
        let (mut causes, mut others): (Vec<_>, Vec<_>) = errors.into_iter().partition(is_cause);
        if let Some(error) = causes.drain(..).next().or_else(|| others.pop()) {
            return Err(error);
        }
        let done = results.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(done.into_iter().filter_map(|(index, stage)| Some((index, stage?))).collect())
    }

    fn solve_into(&self, results: &Results, index: usize, stage: &StageInput<'_>) -> Option<BuildError> {
        // Even a panic must let the stages go that wait for this one.
        let promise = Promise { results, index };
        match self.solve_stage(results, stage) {
            Ok(solved) => {
                promise.results.put(index, Some(Arc::new(solved)));
                std::mem::forget(promise);
                None
            }
            Err(error) => {
                self.cancelled.cancel();
                Some(error)
            }
        }
    }

    fn solve_stage(&self, results: &Results, stage: &StageInput<'_>) -> Result<SolvedStage, BuildError> {
        let mut solved = SolvedStage::default();
        let total = stage.lowered.steps.len() + 1;
        solved.layers = match stage.base {
            Base::Scratch => Vec::new(),
            Base::Image(reference) => self.image_layers(reference, stage.platform),
            Base::Layout(layout) => self.layout_layers(layout, stage.platform),
            Base::Tree(name) => {
                let made = self.layer_of_tree(name);
                vec![made.map_err(|error| self.source.failed_at(stage.from, "FROM", error))?]
            }
            Base::Stage(earlier) => match results.wait(*earlier) {
                Some(earlier) => earlier.layers.clone(),
                None => return Err(self.source.failed_at(stage.from, "FROM", StepError::Cancelled)),
            },
        };
        for (number, step) in stage.lowered.steps.iter().enumerate() {
            let name = StepName {
                stage: stage.name.to_owned(),
                number: number + 2,
                total,
                instruction: step.text.clone(),
                line: self.source.line(step.span),
            };
            let made = self.take_step(results, step, &solved.layers, &name);
            let (made, took) = made.map_err(|error| self.source.failed_at(step.span, &step.text, error))?;
            solved.layers.push(made.layer);
            solved.reports.push(StepReport { name, cached: made.cached, took });
        }
        Ok(solved)
    }

    fn take_step(
        &self,
        results: &Results,
        step: &LoweredStep,
        below: &[Layer],
        name: &StepName,
    ) -> Result<(Made, Duration), StepError> {
        // Waiting for another stage is not this step's time.
        let sources = step.operation.sources().into_iter();
        let from: Vec<_> = sources.map(|from| self.source_of(results, from)).collect::<Result<_, _>>()?;
        if self.cancelled.is_set() {
            return Err(StepError::Cancelled);
        }
        let started = Instant::now();
        self.progress.started(name);
        let result = self.execute(step, &from, below, name);
        let outcome = match &result {
            Ok(Made { cached: true, .. }) => StepOutcome::Cached,
            Ok(_) => StepOutcome::Done,
            Err(_) => StepOutcome::Failed,
        };
        self.progress.finished(name, outcome, started.elapsed());
        Ok((result?, started.elapsed()))
    }

    fn execute(
        &self,
        step: &LoweredStep,
        from: &[Vec<Layer>],
        below: &[Layer],
        name: &StepName,
    ) -> Result<Made, StepError> {
        let modified = self.times.of_layer(below.len());
        match &step.operation {
            Operation::Run(run) => self.run(run, from, below, modified, name),
            Operation::MakeFolder(folder) => self.make_folder(folder, below, modified),
            Operation::Copy(copy) => {
                let source = match self.trees.of(&copy.from) {
                    Some(tree) => CopySource::Tree(tree),
                    None => CopySource::Layers(from.first().map_or(&[], Vec::as_slice)),
                };
                let warn = |message: String| {
                    let place = format!("{}:{}", self.source.file.path().display(), name.line);
                    self.progress.warning(&format!("{place}: {}: {message}", name.instruction));
                };
                let made = self.copy(copy, &source, below, modified, &warn)?;
                if matches!(source, CopySource::Tree(_)) {
                    self.note_context(&made.layer);
                }
                Ok(made)
            }
        }
    }

    fn source_of(&self, results: &Results, from: &CopyFrom) -> Result<Vec<Layer>, StepError> {
        match from {
            CopyFrom::Context | CopyFrom::Scratch | CopyFrom::Tree(_) => Ok(Vec::new()),
            CopyFrom::Layout(layout) => Ok(self.layout_layers(layout, &self.request.platform)),
            CopyFrom::Image(reference) => Ok(self.image_layers(reference, &self.request.platform)),
            CopyFrom::Stage(earlier) => {
                let solved = results.wait(*earlier).ok_or(StepError::Cancelled)?;
                Ok(solved.layers.clone())
            }
        }
    }

    fn image_layers(&self, reference: &Reference, platform: &Platform) -> Vec<Layer> {
        self.images.get(&(reference.clone(), platform.clone())).cloned().unwrap_or_default()
    }

    fn layout_layers(&self, layout: &LayoutName, platform: &Platform) -> Vec<Layer> {
        self.layouts.get(&(layout.clone(), platform.clone())).cloned().unwrap_or_default()
    }

    /// All files of a named context as a layer.
    fn layer_of_tree(&self, name: &str) -> Result<Layer, StepError> {
        let from = CopyFrom::Tree(name.to_owned());
        let source = self.trees.of(&from).map_or(CopySource::Layers(&[]), CopySource::Tree);
        let copy = Copy::plain(from.clone(), "/".to_owned(), "/".to_owned());
        let made = self.copy(&copy, &source, &[], self.times.of_layer(0), &|_| {})?;
        self.note_context(&made.layer);
        Ok(made.layer)
    }

    pub(super) fn note_context(&self, layer: &Layer) {
        self.of_context.lock().unwrap_or_else(PoisonError::into_inner).insert(layer.path.clone());
    }

    pub(super) fn is_of_context(&self, place: &Path) -> bool {
        self.of_context.lock().unwrap_or_else(PoisonError::into_inner).contains(place)
    }
}

/// Says that a stage failed, unless it is forgotten in time.
struct Promise<'a> {
    results: &'a Results,
    index: usize,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.results.put(self.index, None);
    }
}
