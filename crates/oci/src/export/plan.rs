//! From images and options to the documents of an export.

use std::collections::{BTreeMap, HashSet};

use super::annotation::chosen;
use super::{Annotation, Document, Documents, Level};
use crate::layer::{Compression, Encoding};
use crate::{
    Descriptor, Digest, Image, Index, Layer, Manifest, ManifestDocument, Platform, Store, StoreError,
    media_type,
};

const MANIFEST_LIMIT: u64 = 4 << 20;

/// How images are exported.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// How layers that were made here are compressed.
    pub encoding: Encoding,
    /// Layers that came compressed in another way are compressed again. Without it they keep their bytes.
    pub force: bool,
    /// Whose media types the documents have.
    pub media_types: MediaTypes,
    /// Remarks on manifests and the index.
    pub annotations: Vec<Annotation>,
}

/// Whose media types documents have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MediaTypes {
    /// OCI's.
    #[default]
    Oci,
    /// Docker's (schema 2).
    Docker,
}

/// What an export is made of: images, each for another platform, all of one name.
#[derive(Clone, Debug)]
pub struct Export {
    options: ExportOptions,
    images: Vec<Planned>,
}

#[derive(Clone, Debug)]
struct Planned {
    image: Image,
    platform: Platform,
    config: Descriptor,
    layers: Vec<Layer>,
    /// The manifest that the image came with, when it stays true.
    kept: Option<Document>,
}

/// Why images can't be exported together.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No image at all.
    #[error("there is no image to export")]
    Empty,
    /// Two images for one platform: nobody could choose.
    #[error("two images are for {0}; an index has one for each platform")]
    SamePlatform(Platform),
    /// An annotation names what the export does not have.
    #[error("annotation {key}: there is no {what} in this export; {hint}")]
    Annotation {
        /// The annotation's key.
        key: String,
        /// What it should stand on.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// The store has not the whole image.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Export {
    /// Looks up what `images` consist of. Their order does not matter.
    ///
    /// # Errors
    /// When two are for one platform, an annotation has no place, or the store has not all of an image.
    pub fn plan(store: &Store, images: &[Image], options: ExportOptions) -> Result<Self, ExportError> {
        let planned = images.iter().map(|image| Planned::new(store, image, &options));
        let mut planned = planned.collect::<Result<Vec<_>, ExportError>>()?;
        planned.sort_by(|a, b| a.platform.cmp(&b.platform));
        planned.dedup_by(|a, b| a.image.id == b.image.id);
        if planned.is_empty() {
            return Err(ExportError::Empty);
        }
        if let Some(pair) = planned.windows(2).find(|pair| pair[0].platform == pair[1].platform) {
            return Err(ExportError::SamePlatform(pair[0].platform.clone()));
        }
        let export = Self { options, images: planned };
        export.check_annotations()?;
        Ok(export)
    }

    /// The options that it was planned with.
    pub fn options(&self) -> &ExportOptions {
        &self.options
    }

    /// Its images, sorted by platform.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        self.images.iter().map(|planned| &planned.image)
    }

    /// The configs, which are blobs of the store.
    pub fn configs(&self) -> impl Iterator<Item = &Descriptor> {
        self.images.iter().map(|planned| &planned.config)
    }

    /// The layers to make blobs of, each once.
    pub fn layers(&self) -> Vec<&Layer> {
        let mut seen = HashSet::new();
        let all = self.images.iter().flat_map(|planned| &planned.layers);
        all.filter(|layer| seen.insert(layer.diff_id)).collect()
    }

    /// The manifests and the index that name `blobs`, the layers' blobs by uncompressed digest.
    ///
    /// # Panics
    /// When a layer of [`Export::layers`] is missing in `blobs`.
    pub fn documents(&self, blobs: &BTreeMap<Digest, Descriptor>) -> Documents {
        let manifests: Vec<Document> =
            self.images.iter().map(|planned| self.manifest(planned, blobs)).collect();
        let index = (manifests.len() > 1).then(|| self.index(&manifests));
        Documents { manifests, index }
    }

    fn manifest(&self, planned: &Planned, blobs: &BTreeMap<Digest, Descriptor>) -> Document {
        let mut document = match &planned.kept {
            Some(kept) => kept.clone(),
            None => self.new_manifest(planned, blobs),
        };
        // Not all tools know the platform of a config that names none.
        document.descriptor.platform =
            (!planned.image.config.architecture.is_empty()).then(|| planned.platform.clone());
        document.descriptor.annotations = self.chosen(Level::ManifestDescriptor, Some(&planned.platform));
        document
    }

    fn new_manifest(&self, planned: &Planned, blobs: &BTreeMap<Digest, Descriptor>) -> Document {
        let layer = |layer: &Layer| {
            let blob = &blobs[&layer.diff_id];
            Descriptor { media_type: self.layer_type(&blob.media_type), ..blob.clone() }
        };
        let media_type = self.pick(media_type::MANIFEST, media_type::DOCKER_MANIFEST);
        let manifest = Manifest {
            media_type: media_type.to_owned(),
            config: planned.config.clone(),
            layers: planned.layers.iter().map(layer).collect(),
            annotations: self.chosen(Level::Manifest, Some(&planned.platform)),
            other: serde_json::Map::new(),
        };
        Document::of(media_type, &manifest)
    }

    fn index(&self, manifests: &[Document]) -> Document {
        let media_type = self.pick(media_type::INDEX, media_type::DOCKER_INDEX);
        let index = Index {
            media_type: media_type.to_owned(),
            manifests: manifests.iter().map(|document| document.descriptor.clone()).collect(),
            annotations: self.chosen(Level::Index, None),
            other: serde_json::Map::new(),
        };
        let mut document = Document::of(media_type, &index);
        document.descriptor.annotations = self.chosen(Level::IndexDescriptor, None);
        document
    }

    fn pick(&self, oci: &'static str, docker: &'static str) -> &'static str {
        if self.options.media_types == MediaTypes::Docker { docker } else { oci }
    }

    fn layer_type(&self, name: &str) -> String {
        let docker = |compression| match compression {
            Compression::None => "application/vnd.docker.image.rootfs.diff.tar",
            Compression::Gzip => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Compression::Zstd => "application/vnd.docker.image.rootfs.diff.tar.zstd",
        };
        let compression = Compression::from_media_type(name);
        match compression.filter(|_| self.options.media_types == MediaTypes::Docker) {
            Some(compression) => docker(compression).to_owned(),
            None => name.to_owned(),
        }
    }

    fn chosen(&self, level: Level, platform: Option<&Platform>) -> BTreeMap<String, String> {
        chosen(&self.options.annotations, level, platform)
    }

    /// An annotation that would be lost without a word is a mistake.
    fn check_annotations(&self) -> Result<(), ExportError> {
        for annotation in &self.options.annotations {
            for target in &annotation.targets {
                let of_index = matches!(target.level, Level::Index | Level::IndexDescriptor);
                let missing = |what: String, hint| {
                    let key = annotation.key.clone();
                    Err(ExportError::Annotation { key, what, hint })
                };
                match &target.platform {
                    _ if of_index && self.images.len() == 1 => {
                        return missing("index".to_owned(), "only several platforms have one");
                    }
                    Some(platform) if self.images.iter().all(|planned| planned.platform != *platform) => {
                        return missing(format!("image for {platform}"), "name it with --platform, too");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Planned {
    fn new(store: &Store, image: &Image, options: &ExportOptions) -> Result<Self, ExportError> {
        let layers = store.image_layers(image)?;
        let size = store.blob_size(&image.id).ok_or(StoreError::NoImage(image.id))?;
        let config = match options.media_types {
            MediaTypes::Oci => media_type::CONFIG,
            MediaTypes::Docker => media_type::DOCKER_CONFIG,
        };
        let platform = image.config.platform();
        let is_as_it_came = !options.force
            && options.media_types == MediaTypes::Oci
            && chosen(&options.annotations, Level::Manifest, Some(&platform)).is_empty();
        let kept = if is_as_it_came { kept_manifest(store, image, &layers)? } else { None };
        let config = Descriptor::new(config, image.id, size);
        Ok(Self { image: image.clone(), platform, config, layers, kept })
    }
}

/// The manifest that the image came with, when every layer still has the blob that it names.
fn kept_manifest(store: &Store, image: &Image, layers: &[Layer]) -> Result<Option<Document>, StoreError> {
    let Some(digest) = store.manifest_of(&image.id)?.filter(|digest| store.has_blob(digest)) else {
        return Ok(None);
    };
    let bytes = store.read_blob(&digest, MANIFEST_LIMIT)?;
    let Ok(ManifestDocument::Manifest(manifest)) = ManifestDocument::parse(&bytes, None) else {
        return Ok(None);
    };
    let named = manifest.layers.iter().map(|layer| Some(layer.digest));
    let is_whole = manifest.config.digest == image.id
        && layers.iter().map(|layer| layer.blob.filter(|blob| store.has_blob(blob))).eq(named);
    Ok(is_whole.then(|| Document::of_bytes(&manifest.media_type, bytes)))
}
