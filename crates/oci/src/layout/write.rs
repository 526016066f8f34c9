//! Images of the store into a layout.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{
    CONTAINERD_ANNOTATION, DOCKER_FILE, DockerEntry, INDEX_FILE, LAYOUT_FILE, LayoutError, LayoutHeader,
    NAME_ANNOTATION, blob_name,
};
use crate::layer::{Entry, Kind, TarWriter, TreePath, WriteError};
use crate::{
    Descriptor, Digest, Image, Index, Layer, Manifest, ManifestDocument, Reference, Store, media_type,
};

const DOCUMENT_LIMIT: u64 = 4 << 20;

/// What a layout is made of.
struct Plan {
    /// Each file's name and where its content comes from, sorted by name.
    files: BTreeMap<String, Content>,
}

enum Content {
    Bytes(Vec<u8>),
    Blob(Digest, u64),
    Layer(Layer),
}

/// Writes an OCI layout with these images into the folder `path`, which must be empty or not be there.
///
/// A pulled image keeps the manifest and the compressed layers that it came with; another one gets uncompressed
/// layers, whose digests are the diff_ids.
///
/// # Errors
/// When the folder is not empty or can't be written, or a layer is missing.
pub fn write_folder(
    store: &Store,
    images: &[(Image, Vec<Reference>)],
    path: &Path,
) -> Result<(), LayoutError> {
    let io = |source| LayoutError::Io { path: path.to_owned(), source };
    let _lease = store.lease()?;
    let plan = Plan::new(store, images, true)?;
    fs::create_dir_all(path).map_err(io)?;
    if fs::read_dir(path).map_err(io)?.next().is_some() {
        return Err(io(io::Error::new(io::ErrorKind::AlreadyExists, "folder is not empty")));
    }
    fs::create_dir_all(path.join("blobs/sha256")).map_err(io)?;
    for (name, content) in &plan.files {
        let place = path.join(name);
        let written =
            File::create_new(&place).and_then(|mut file| content.write(store, &mut file).map(|()| file));
        written.map_err(|source| LayoutError::Io { path: place, source })?;
    }
    Ok(())
}

/// Writes an archive with these images that is an OCI layout and what `docker load` takes at once, the same bytes for
/// the same images.
///
/// Layers are uncompressed, as `docker save` has them: every version of Docker reads them.
///
/// # Errors
/// When a layer is missing or `out` can't be written.
pub fn write_archive<W: Write>(
    store: &Store,
    images: &[(Image, Vec<Reference>)],
    out: W,
) -> Result<W, LayoutError> {
    let _lease = store.lease()?;
    let plan = Plan::new(store, images, false)?;
    let mut tar = TarWriter::new(out);
    for folder in ["blobs", "blobs/sha256"] {
        tar.append(&Entry::new(tree_path(folder), Kind::Directory, 0o755), &mut io::empty())?;
    }
    for (name, content) in &plan.files {
        let entry = Entry::new(tree_path(name), Kind::File { size: content.size() }, 0o644);
        tar.append_written(&entry, |out| {
            let written = content.write(store, out);
            written.map_err(|source| WriteError::Io { path: entry.path.clone(), source })
        })?;
    }
    tar.finish().map_err(|source| WriteError::Io { path: TreePath::root(), source }.into())
}

fn tree_path(name: &str) -> TreePath {
    TreePath::new(name).expect("names of a layout's files are relative")
}

impl Plan {
    fn new(
        store: &Store,
        images: &[(Image, Vec<Reference>)],
        keep_manifests: bool,
    ) -> Result<Self, LayoutError> {
        let mut plan = Self { files: BTreeMap::new() };
        let (mut entries, mut docker) = (Vec::new(), Vec::new());
        for (image, names) in images {
            let config = image_config(store, image)?;
            let kept = if keep_manifests { plan.kept_manifest(store, image)? } else { None };
            let layers = store.image_layers(image)?;
            let descriptor = match kept {
                Some(descriptor) => descriptor,
                None => plan.new_manifest(&config, &layers),
            };
            docker.push(docker_entry(image, names));
            entries.extend(named(&descriptor, image, names));
            plan.add(Content::Blob(image.id, config.size), &image.id);
        }
        if !keep_manifests {
            plan.files.insert(DOCKER_FILE.to_owned(), Content::Bytes(json(&docker)));
        }
        let index = Index {
            media_type: media_type::INDEX.to_owned(),
            manifests: entries,
            annotations: BTreeMap::new(),
            other: serde_json::Map::new(),
        };
        plan.files.insert(INDEX_FILE.to_owned(), Content::Bytes(json(&index)));
        let header = LayoutHeader { version: "1.0.0".to_owned() };
        plan.files.insert(LAYOUT_FILE.to_owned(), Content::Bytes(json(&header)));
        Ok(plan)
    }

    fn add(&mut self, content: Content, digest: &Digest) {
        self.files.insert(blob_name(digest), content);
    }

    /// The manifest that the image came with, when all that it names is here.
    fn kept_manifest(&mut self, store: &Store, image: &Image) -> Result<Option<Descriptor>, LayoutError> {
        let Some(digest) = store.manifest_of(&image.id)?.filter(|digest| store.has_blob(digest)) else {
            return Ok(None);
        };
        let bytes = store.read_blob(&digest, DOCUMENT_LIMIT)?;
        let Ok(ManifestDocument::Manifest(manifest)) = ManifestDocument::parse(&bytes, None) else {
            return Ok(None);
        };
        let sizes: Option<Vec<u64>> =
            manifest.layers.iter().map(|layer| store.blob_size(&layer.digest)).collect();
        let Some(sizes) = sizes else { return Ok(None) };
        for (layer, size) in manifest.layers.iter().zip(sizes) {
            self.add(Content::Blob(layer.digest, size), &layer.digest);
        }
        let descriptor = Descriptor::new(&manifest.media_type, digest, bytes.len() as u64);
        self.add(Content::Bytes(bytes), &digest);
        Ok(Some(descriptor))
    }

    fn new_manifest(&mut self, config: &Descriptor, layers: &[Layer]) -> Descriptor {
        let manifest = Manifest {
            media_type: media_type::MANIFEST.to_owned(),
            config: config.clone(),
            layers: layers
                .iter()
                .map(|layer| Descriptor::new(media_type::LAYER, layer.diff_id, layer.size))
                .collect(),
            annotations: BTreeMap::new(),
            other: serde_json::Map::new(),
        };
        for layer in layers {
            self.add(Content::Layer(layer.clone()), &layer.diff_id);
        }
        let bytes = json(&manifest);
        let descriptor = Descriptor::new(media_type::MANIFEST, Digest::sha256(&bytes), bytes.len() as u64);
        self.add(Content::Bytes(bytes), &descriptor.digest);
        descriptor
    }
}

impl Content {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(_, size) => *size,
            Self::Layer(layer) => layer.size,
        }
    }

    fn write(&self, store: &Store, mut out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Blob(digest, _) => {
                let mut blob = store.open_blob(digest).map_err(io::Error::other)?;
                io::copy(&mut blob, out).map(drop)
            }
            Self::Layer(layer) => store.write_layer(layer, &mut out).map(drop).map_err(io::Error::other),
        }
    }
}

fn image_config(store: &Store, image: &Image) -> Result<Descriptor, LayoutError> {
    let size = store.blob_size(&image.id).ok_or(crate::StoreError::NoImage(image.id))?;
    Ok(Descriptor::new(media_type::CONFIG, image.id, size))
}

fn docker_entry(image: &Image, names: &[Reference]) -> DockerEntry {
    let tags: BTreeSet<String> = names.iter().map(|name| name.with_default_tag().familiar()).collect();
    DockerEntry {
        config: blob_name(&image.id),
        tags: Some(tags.into_iter().collect()),
        layers: Some(image.config.rootfs.diff_ids.iter().map(blob_name).collect()),
    }
}

/// The image's entries in the index: one for each name, or one without.
fn named(descriptor: &Descriptor, image: &Image, names: &[Reference]) -> Vec<Descriptor> {
    let mut descriptor = descriptor.clone();
    descriptor.platform = (!image.config.architecture.is_empty()).then(|| image.config.platform());
    if names.is_empty() {
        return vec![descriptor];
    }
    let entry = |name: &Reference| {
        let name = name.with_default_tag();
        let mut entry = descriptor.clone();
        entry.annotations.insert(CONTAINERD_ANNOTATION.to_owned(), name.to_string());
        entry.annotations.insert(NAME_ANNOTATION.to_owned(), name.tag().unwrap_or("latest").to_owned());
        entry
    };
    names.iter().map(entry).collect()
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("documents have string keys")
}
