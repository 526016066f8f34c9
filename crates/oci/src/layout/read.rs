//! An image of a layout into the store.

use std::io::Read;
use std::path::Path;

use super::source::Source;
use super::{
    CONTAINERD_ANNOTATION, DOCKER_FILE, DockerEntry, INDEX_FILE, LAYOUT_FILE, LayoutError, LayoutHeader,
    NAME_ANNOTATION, blob_name,
};
use crate::layer::{Compression, Limits};
use crate::{
    Descriptor, Digest, Digester, Image, ImageConfig, Index, Manifest, ManifestDocument, Platform, Reference,
    Store, StoreError, media_type,
};

const DOCUMENT_LIMIT: u64 = 4 << 20;
const CONFIG_LIMIT: u64 = 8 << 20;
const DEPTH_LIMIT: usize = 3;

/// Which image of a layout to take.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Its name in the layout (a tag or a whole reference) or its manifest's digest; not needed where there is one.
    pub name: Option<String>,
    /// The platform that it must run on.
    pub platform: Platform,
    /// What its layers may hold.
    pub limits: Limits,
}

/// An image that is in the store now.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// What the layout calls it. The image is not tagged: the caller decides.
    pub names: Vec<Reference>,
}

impl Selection {
    /// The only image of a layout, for this machine.
    pub fn only() -> Self {
        Self { name: None, platform: Platform::host(), limits: Limits::default() }
    }

    /// The image called `name`, for this machine.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::only() }
    }
}

/// Reads an image from the OCI layout or `docker save` archive at `path`, a folder or a tar. Nothing in it is
/// believed: digests and sizes are checked, archives are unpacked within limits.
///
/// # Errors
/// When there is no such image, or something about it is refused.
pub fn read(store: &Store, path: &Path, selection: &Selection) -> Result<Loaded, LayoutError> {
    let _lease = store.lease()?;
    let source = Source::open(path)?;
    if source.find(LAYOUT_FILE)?.is_some() {
        return read_oci(store, &source, selection);
    }
    if source.find(DOCKER_FILE)?.is_some() {
        return read_docker(store, &source, selection);
    }
    Err(LayoutError::Unknown { path: path.to_owned() })
}

fn read_oci(store: &Store, source: &Source, selection: &Selection) -> Result<Loaded, LayoutError> {
    let header: LayoutHeader = json(source, LAYOUT_FILE)?;
    if header.version.split('.').next() != Some("1") {
        return Err(source.malformed(LAYOUT_FILE, format!("layout version {:?} is not 1", header.version)));
    }
    let index: Index = json(source, INDEX_FILE)?;
    let chosen = choose(source, &index, selection)?;
    let names = reference_of(chosen).into_iter().collect();
    let (descriptor, bytes, manifest, from) = follow(source, chosen, selection)?;
    let json = source.read_blob(&manifest.config, CONFIG_LIMIT)?;
    let config = parse_config(source, &blob_name(&manifest.config.digest), &json, manifest.layers.len())?;
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let (content, _) = source.open_content(&blob_name(&layer.digest))?;
        take_layer(store, content, layer, diff_id, selection.limits)?;
    }
    let image = store.save_image_json(&json)?;
    store.put_blob(&bytes)?;
    store.record_manifest(&image.id, &descriptor.digest, from.as_ref())?;
    Ok(Loaded { image, names })
}

/// The entry of the index that is meant.
fn choose<'a>(
    source: &Source,
    index: &'a Index,
    selection: &Selection,
) -> Result<&'a Descriptor, LayoutError> {
    let named: Vec<&Descriptor> = index
        .manifests
        .iter()
        // What is attached to an image is no image.
        .filter(|entry| !entry.other.contains_key("artifactType"))
        .filter(|entry| selection.name.as_ref().is_none_or(|name| is_called(entry, name)))
        .collect();
    let fits = |entry: &&&Descriptor| {
        entry.platform.as_ref().is_none_or(|platform| selection.platform.rank(platform).is_some())
    };
    let fitting: Vec<&Descriptor> = named.iter().filter(fits).copied().collect();
    match (fitting.as_slice(), named.is_empty()) {
        ([only], _) => Ok(only),
        ([], false) => Err(choice(source, index, format!("no image for {}", selection.platform))),
        ([], true) => Err(choice(source, index, missing(selection))),
        _ => Err(choice(source, index, "several images fit, name one".to_owned())),
    }
}

fn missing(selection: &Selection) -> String {
    selection
        .name
        .as_ref()
        .map_or_else(|| "it has no image".to_owned(), |name| format!("no image is called {name}"))
}

fn choice(source: &Source, index: &Index, reason: String) -> LayoutError {
    let name = |entry: &Descriptor| {
        let name =
            entry.annotations.get(CONTAINERD_ANNOTATION).or_else(|| entry.annotations.get(NAME_ANNOTATION));
        name.cloned().unwrap_or_else(|| entry.digest.to_string())
    };
    LayoutError::Choice {
        path: source.path().to_owned(),
        reason,
        names: index.manifests.iter().map(name).collect(),
    }
}

pub(super) fn is_called(entry: &Descriptor, name: &str) -> bool {
    let annotated = |key: &str| entry.annotations.get(key).map(String::as_str);
    let reference = name.parse::<Reference>().ok().map(|reference| reference.with_default_tag());
    let same_reference = reference.is_some() && reference == reference_of(entry);
    annotated(NAME_ANNOTATION) == Some(name) || entry.digest.to_string() == name || same_reference
}

fn reference_of(entry: &Descriptor) -> Option<Reference> {
    let full = entry.annotations.get(CONTAINERD_ANNOTATION);
    // A bare tag is no reference, though it would read as one.
    let name =
        full.or_else(|| entry.annotations.get(NAME_ANNOTATION).filter(|name| name.contains(['/', ':'])))?;
    Some(name.parse::<Reference>().ok()?.with_default_tag())
}

/// A manifest as it was found: its descriptor, bytes and content, and the index that led to it.
type Found = (Descriptor, Vec<u8>, Manifest, Option<Digest>);

/// From an entry through nested indexes to a manifest.
fn follow(source: &Source, entry: &Descriptor, selection: &Selection) -> Result<Found, LayoutError> {
    let mut entry = entry.clone();
    let mut from = None;
    for _ in 0..DEPTH_LIMIT {
        let bytes = source.read_blob(&entry, DOCUMENT_LIMIT)?;
        let declared = (!entry.media_type.is_empty()).then_some(entry.media_type.as_str());
        let document = ManifestDocument::parse(&bytes, declared).map_err(|error| LayoutError::Manifest {
            path: source.path().to_owned(),
            digest: entry.digest,
            source: error,
        })?;
        match document {
            ManifestDocument::Manifest(manifest) => return Ok((entry, bytes, *manifest, from)),
            ManifestDocument::Index(index) => {
                from.get_or_insert(entry.digest);
                let none = || choice(source, &index, format!("no image for {}", selection.platform));
                entry = index.select(&selection.platform).cloned().ok_or_else(none)?;
            }
        }
    }
    Err(source.malformed(INDEX_FILE, "leads to too many other indexes"))
}

fn read_docker(store: &Store, source: &Source, selection: &Selection) -> Result<Loaded, LayoutError> {
    let entries: Vec<DockerEntry> = json(source, DOCKER_FILE)?;
    let names = |entry: &DockerEntry| -> Vec<Reference> {
        entry.tags.iter().flatten().filter_map(|tag| tag.parse().ok()).collect()
    };
    let wanted = selection.name.as_ref().and_then(|name| name.parse::<Reference>().ok());
    let wanted = wanted.map(|reference| reference.with_default_tag());
    let fits = |entry: &&DockerEntry| {
        selection.name.is_none() || names(entry).iter().any(|n| Some(n) == wanted.as_ref())
    };
    let fitting: Vec<&DockerEntry> = entries.iter().filter(fits).collect();
    let [entry] = fitting.as_slice() else {
        let reason =
            if fitting.is_empty() { missing(selection) } else { "several images fit, name one".to_owned() };
        let names = entries.iter().flat_map(|entry| entry.tags.clone().unwrap_or_default()).collect();
        return Err(LayoutError::Choice { path: source.path().to_owned(), reason, names });
    };
    let json = source.read(&entry.config, CONFIG_LIMIT)?;
    let layers = entry.layers.as_deref().unwrap_or_default();
    let config = parse_config(source, &entry.config, &json, layers.len())?;
    for (name, diff_id) in layers.iter().zip(&config.rootfs.diff_ids) {
        let descriptor = describe(source, name)?;
        take_layer(store, source.open_content(name)?.0, &descriptor, diff_id, selection.limits)?;
    }
    Ok(Loaded { image: store.save_image_json(&json)?, names: names(entry) })
}

/// `manifest.json` has no digests: the file is read once for its own.
fn describe(source: &Source, name: &str) -> Result<Descriptor, LayoutError> {
    let (mut content, _) = source.open_content(name)?;
    let mut digester = Digester::default();
    let hashed = std::io::copy(&mut content, &mut digester);
    hashed.map_err(|error| LayoutError::Io { path: source.path().to_owned(), source: error })?;
    let (digest, size) = digester.finish();
    Ok(Descriptor::new(media_type::LAYER, digest, size))
}

pub(super) fn take_layer(
    store: &Store,
    content: Box<dyn Read>,
    layer: &Descriptor,
    diff_id: &Digest,
    limits: Limits,
) -> Result<(), LayoutError> {
    if store.layer(diff_id)?.is_some() {
        return Ok(());
    }
    let known = layer.media_type.is_empty() || Compression::from_media_type(&layer.media_type).is_some();
    let taken = match known {
        true => store.ingest_layer(content, layer, diff_id, limits),
        false => Err(StoreError::NoLayer(*diff_id).into()),
    };
    taken.map(drop).map_err(|error| LayoutError::Layer { layer: layer.digest, source: Box::new(error) })
}

fn parse_config(source: &Source, name: &str, json: &[u8], layers: usize) -> Result<ImageConfig, LayoutError> {
    let config: ImageConfig =
        serde_json::from_slice(json).map_err(|error| source.malformed(name, error.to_string()))?;
    match config.rootfs.diff_ids.len() {
        diff_ids if diff_ids == layers => Ok(config),
        diff_ids => Err(source.malformed(name, format!("has {diff_ids} diff_ids for {layers} layers"))),
    }
}

fn json<T: serde::de::DeserializeOwned>(source: &Source, name: &str) -> Result<T, LayoutError> {
    let bytes = source.read(name, DOCUMENT_LIMIT)?;
    serde_json::from_slice(&bytes).map_err(|error| source.malformed(name, error.to_string()))
}
