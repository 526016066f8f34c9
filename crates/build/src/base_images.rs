//! The images that a build starts from and copies from: found in the store, in a layout, or fetched.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::Path;
use std::time::Instant;

use minato_dockerfile::Statement;
use minato_oci::layer::Limits;
use minato_oci::layout::{self, Selection};
use minato_oci::{Digest, Image, ImageConfig, Layer, Platform, Reference, Store};
use minato_resource::Span;

use crate::bases::FetchError;
use crate::builder::Builder;
use crate::error::{BuildError, StepError};
use crate::lower::CopyFrom;
use crate::names::{Base, LayoutName, Names};
use crate::place::{Source, one_line};
use crate::progress::{StepName, StepOutcome};
use crate::provenance::Material;
use crate::request::Request;
use crate::stages::Stages;

/// What was found, by whom it is asked for.
#[derive(Default)]
pub(crate) struct BaseImages {
    pub(crate) images: BTreeMap<(Reference, Platform), BaseImage>,
    pub(crate) layouts: BTreeMap<(LayoutName, Platform), BaseImage>,
}

/// An image whose layers are all here.
pub(crate) struct BaseImage {
    id: Digest,
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Layer>,
}

impl Builder<'_> {
    /// The images that the needed stages start from and copy from.
    pub(crate) fn find_bases(
        &self,
        request: &Request,
        names: &Names<'_>,
        source: &Source<'_>,
        stages: &Stages<'_>,
    ) -> Result<BaseImages, BuildError> {
        let mut found = BaseImages::default();
        let mut wanted: BTreeMap<(Reference, Platform), Wanted> = BTreeMap::new();
        for stage in stages.needed.values() {
            match &stage.base {
                Base::Image(reference) => {
                    wanted
                        .entry((reference.clone(), stage.platform.clone()))
                        .or_insert_with(|| Wanted::new(source, &stage.name, &stage.stage.from));
                }
                Base::Layout(layout) => {
                    self.find_layout(layout, &stage.platform, &mut found)
                        .map_err(|error| source.failed(&stage.stage.from, error))?;
                }
                Base::Scratch | Base::Stage(_) | Base::Tree(_) => {}
            }
            for statement in stage.instructions {
                for from in names.sources_of(stage.index, statement, source)? {
                    // Also in a stage of another platform: what is copied goes into the target's image.
                    let platform = &request.platform;
                    match from {
                        CopyFrom::Image(reference) => {
                            wanted
                                .entry((reference, platform.clone()))
                                .or_insert_with(|| Wanted::new(source, &stage.name, statement));
                        }
                        CopyFrom::Layout(layout) => self
                            .find_layout(&layout, platform, &mut found)
                            .map_err(|error| source.failed(statement, error))?,
                        _ => {}
                    }
                }
            }
        }
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> = wanted
                .iter()
                .map(|(reference, wanted)| {
                    (reference, wanted, scope.spawn(|| self.find_image(reference, wanted, request)))
                })
                .collect();
            threads
                .into_iter()
                .map(|(reference, wanted, thread)| (reference, wanted, thread.join()))
                .collect::<Vec<_>>()
        });
        for (reference, wanted, result) in results {
            let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let image =
                result.map_err(|error| source.failed_at(wanted.span, &wanted.step.instruction, error))?;
            found.images.insert(reference.clone(), image);
        }
        Ok(found)
    }

    /// The images by the digests that registries know them by.
    pub(crate) fn materials(&self, found: &BaseImages) -> Result<Vec<Material>, BuildError> {
        let material = |((reference, platform), image): (&(Reference, Platform), &BaseImage)| {
            let digest = self.store.manifest_of(&image.id)?.unwrap_or(image.id);
            Ok(Material { reference: reference.clone(), platform: platform.clone(), digest })
        };
        found.images.iter().map(material).collect()
    }

    fn find_image(
        &self,
        (reference, platform): &(Reference, Platform),
        wanted: &Wanted,
        request: &Request,
    ) -> Result<BaseImage, StepError> {
        let started = Instant::now();
        self.progress.started(&wanted.step);
        let result = self.find_or_fetch(reference, platform, request);
        let outcome = match &result {
            Ok((_, true)) => StepOutcome::Cached,
            Ok(_) => StepOutcome::Done,
            Err(_) => StepOutcome::Failed,
        };
        self.progress.finished(&wanted.step, outcome, started.elapsed());
        result.map(|(image, _)| image)
    }

    /// The image, and whether the store had it.
    fn find_or_fetch(
        &self,
        reference: &Reference,
        platform: &Platform,
        request: &Request,
    ) -> Result<(BaseImage, bool), StepError> {
        if !request.pull
            && let Some(image) = self.store.resolve_for(reference, platform)?
            // A layer may have been collected: then the registry is asked, as if the image had never been here.
            && let Ok(found) = BaseImage::new(self.store, image)
        {
            return Ok((found, true));
        }
        let image = self.bases.fetch(reference, platform);
        let image = image.map_err(|source| StepError::Base { image: reference.familiar(), source })?;
        Ok((BaseImage::new(self.store, image)?, false))
    }

    fn find_layout(
        &self,
        layout: &LayoutName,
        platform: &Platform,
        found: &mut BaseImages,
    ) -> Result<(), StepError> {
        let key = (layout.clone(), platform.clone());
        if let Slot::Vacant(slot) = found.layouts.entry(key) {
            let image = self.read_layout(&layout.folder, layout.name.as_deref(), platform)?;
            slot.insert(BaseImage::new(self.store, image)?);
        }
        Ok(())
    }

    fn read_layout(
        &self,
        folder: &Path,
        name: Option<&str>,
        platform: &Platform,
    ) -> Result<Image, StepError> {
        let selection = Selection {
            name: name.map(str::to_owned),
            platform: platform.clone(),
            limits: Limits::default(),
        };
        let loaded = layout::read(self.store, folder, &selection);
        loaded.map(|loaded| loaded.image).map_err(|error| StepError::Base {
            image: format!("oci-layout://{}", folder.display()),
            source: FetchError(Box::new(error)),
        })
    }
}

/// An image that is wanted, and by whom.
struct Wanted {
    span: Span,
    step: StepName,
}

impl Wanted {
    fn new<T>(source: &Source<'_>, stage: &str, statement: &Statement<T>) -> Self {
        let line = source.line(statement.span);
        let instruction = one_line(&statement.text);
        let step = StepName { stage: stage.to_owned(), number: 1, total: 1, instruction, line };
        Self { span: statement.span, step }
    }
}

impl BaseImage {
    fn new(store: &Store, image: Image) -> Result<Self, StepError> {
        Ok(Self { id: image.id, layers: store.image_layers(&image)?, config: image.config })
    }
}
