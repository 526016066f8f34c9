//! Images of the store into a layout.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{
    CONTAINERD_ANNOTATION, DOCKER_FILE, DockerEntry, INDEX_FILE, LAYOUT_FILE, LayoutError, LayoutHeader,
    NAME_ANNOTATION, blob_name,
};
use crate::export::{Attached, Blob, Packed};
use crate::layer::{Entry, Kind, TarWriter, TreePath, WriteError};
use crate::{Descriptor, Digest, Index, Reference, Store, media_type};

/// One image, or one index of images, of a layout.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The image or the index.
    pub packed: &'a Packed,
    /// What the layout calls it.
    pub names: &'a [Reference],
    /// What is said about it.
    pub attached: &'a [Attached],
}

/// Who is to read an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveForm {
    /// Tools that know the OCI layout.
    Oci,
    /// `docker load`, too: of each item one platform.
    Docker,
}

/// The files of a layout: each one's name and where its content comes from, sorted by name.
struct Files<'a>(BTreeMap<String, Content<'a>>);

enum Content<'a> {
    Bytes(Vec<u8>),
    Blob(&'a Blob),
}

impl<'a> Item<'a> {
    /// An item with nothing attached.
    pub fn new(packed: &'a Packed, names: &'a [Reference]) -> Self {
        Self { packed, names, attached: &[] }
    }
}

/// Writes an OCI layout into the folder `path`, which must be empty or not be there.
///
/// # Errors
/// When the folder is not empty or can't be written, or a blob is missing.
pub fn write_folder(store: &Store, items: &[Item<'_>], path: &Path) -> Result<(), LayoutError> {
    let io = |source| LayoutError::Io { path: path.to_owned(), source };
    let _lease = store.lease()?;
    let files = Files::of(items);
    fs::create_dir_all(path).map_err(io)?;
    if fs::read_dir(path).map_err(io)?.next().is_some() {
        return Err(io(io::Error::new(io::ErrorKind::AlreadyExists, "folder is not empty")));
    }
    fs::create_dir_all(path.join("blobs/sha256")).map_err(io)?;
    for (name, content) in &files.0 {
        let place = path.join(name);
        let written =
            File::create_new(&place).and_then(|mut file| content.write(store, &mut file).map(|()| file));
        written.map_err(|source| LayoutError::Io { path: place, source })?;
    }
    Ok(())
}

/// Writes an archive that is an OCI layout and, if `form` says so, what `docker load` takes at once: the same bytes for
/// the same items. Nothing is held in memory but documents.
///
/// # Errors
/// When an item has several platforms and the form has none, a blob is missing, or `out` can't be written.
pub fn write_archive<W: Write>(
    store: &Store,
    items: &[Item<'_>],
    form: ArchiveForm,
    out: W,
) -> Result<W, LayoutError> {
    let _lease = store.lease()?;
    let mut files = Files::of(items);
    if form == ArchiveForm::Docker {
        let entries = items.iter().map(docker_entry).collect::<Result<Vec<_>, _>>()?;
        files.0.insert(DOCKER_FILE.to_owned(), Content::Bytes(json(&entries)));
    }
    let mut tar = TarWriter::new(out);
    for folder in ["blobs", "blobs/sha256"] {
        tar.append(&Entry::new(tree_path(folder), Kind::Directory, 0o755), &mut io::empty())?;
    }
    for (name, content) in &files.0 {
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

impl<'a> Files<'a> {
    fn of(items: &[Item<'a>]) -> Self {
        let mut files = Self(BTreeMap::new());
        let mut entries = Vec::new();
        for item in items {
            entries.extend(named(&item.packed.root().descriptor, item.names));
            for blob in item.packed.blobs() {
                files.add(&blob.descriptor.digest, Content::Blob(blob));
            }
            for document in item.packed.documents.in_order() {
                files.add(&document.descriptor.digest, Content::Bytes(document.bytes.clone()));
            }
            for attached in item.attached {
                let document = &attached.document;
                entries.push(document.descriptor.clone());
                files.add(&document.descriptor.digest, Content::Bytes(document.bytes.clone()));
                for (descriptor, bytes) in &attached.blobs {
                    files.add(&descriptor.digest, Content::Bytes(bytes.clone()));
                }
            }
        }
        let index = Index {
            media_type: media_type::INDEX.to_owned(),
            manifests: entries,
            annotations: BTreeMap::new(),
            other: serde_json::Map::new(),
        };
        files.0.insert(INDEX_FILE.to_owned(), Content::Bytes(json(&index)));
        let header = LayoutHeader { version: "1.0.0".to_owned() };
        files.0.insert(LAYOUT_FILE.to_owned(), Content::Bytes(json(&header)));
        files
    }

    fn add(&mut self, digest: &Digest, content: Content<'a>) {
        self.0.insert(blob_name(digest), content);
    }
}

impl Content<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(blob) => blob.descriptor.size,
        }
    }

    fn write(&self, store: &Store, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Blob(blob) => blob.write(store, out),
        }
    }
}

fn docker_entry(item: &Item<'_>) -> Result<DockerEntry, LayoutError> {
    let [image] = item.packed.images.as_slice() else { return Err(LayoutError::DockerPlatforms) };
    let tags: BTreeSet<String> = item.names.iter().map(|name| name.with_default_tag().familiar()).collect();
    let layer = |diff_id: &Digest| blob_name(&item.packed.layers[diff_id].digest);
    Ok(DockerEntry {
        config: blob_name(&image.id),
        tags: Some(tags.into_iter().collect()),
        layers: Some(image.config.rootfs.diff_ids.iter().map(layer).collect()),
    })
}

/// The entries in the layout's index: one for each name, or one without.
fn named(descriptor: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![descriptor.clone()];
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
