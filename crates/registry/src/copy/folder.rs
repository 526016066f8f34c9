//! A folder with an OCI layout (the image specification's "Image Layout"), as an origin and as a target.
//!
//! A blob is there when its file is: it is written beside its place and renamed. `index.json` is written last, by a
//! rename too. Two who write to one folder at once may lose one of two names.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use minato_oci::{Descriptor, Digest, Digester, Index, ManifestError, Reference, media_type};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::CopyError;
use crate::document::{DOCUMENT_LIMIT, Document};
use crate::download::{Download, Received, channel};
use crate::relay::Checked;

const NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
/// Where containerd and Docker put the whole reference.
const CONTAINERD_ANNOTATION: &str = "io.containerd.image.name";
const HEADER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// How files are called that are not whole yet.
const UNFINISHED: &str = ".ingest-";
/// Nobody writes to a file for so long.
const ABANDONED: Duration = Duration::from_secs(86_400);

/// Why a folder can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No image, or several, fit.
    #[error("{}: {reason}; it has {}", path.display(), list(names))]
    Choice {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
        /// The images in it.
        names: Vec<String>,
    },
    /// A manifest is malformed.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
}

/// The folder.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder that has a layout.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned() };
        let bytes = folder.read("oci-layout")?;
        let version = serde_json::from_slice::<Value>(&bytes).ok();
        let version = version.as_ref().and_then(|header| header.get("imageLayoutVersion")?.as_str());
        match version.is_some_and(|version| version.split('.').next() == Some("1")) {
            true => Ok(folder),
            false => Err(folder.malformed("oci-layout", "layout is not of version 1")),
        }
    }

    /// A folder that has a layout, or gets one.
    pub(super) fn create(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned() };
        if !path.join("oci-layout").exists() {
            if has_other_files(path) {
                let reason = "folder is neither empty nor an OCI layout".to_owned();
                return Err(FolderError::Malformed { path: path.to_owned(), reason });
            }
            fs::create_dir_all(path).map_err(|source| failed(path, source))?;
            folder.write("oci-layout", HEADER.as_bytes())?;
        }
        let blobs = path.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|source| failed(&blobs, source))?;
        clear_leftovers(path);
        Self::open(path)
    }

    /// The entry called `name`, or the only one.
    pub(super) fn find(&self, name: Option<&str>) -> Result<Descriptor, FolderError> {
        let entries = self.index()?.manifests;
        let choice = |reason: String| {
            let names = entries.iter().map(shown_name).collect();
            FolderError::Choice { path: self.path.clone(), reason, names }
        };
        let fits = |entry: &&Descriptor| name.is_none_or(|name| is_called(entry, name));
        let mut fitting: Vec<&Descriptor> = entries.iter().filter(fits).collect();
        // One image under several names is one image.
        fitting.dedup_by_key(|entry| entry.digest);
        match (fitting.as_slice(), name) {
            ([only], _) => Ok((*only).clone()),
            ([], Some(name)) => Err(choice(format!("no image is called {name}"))),
            ([], None) => Err(choice("it has no image".to_owned())),
            _ => Err(choice("several images fit, name one (oci-layout://DIR:TAG)".to_owned())),
        }
    }

    /// A manifest or index, verified.
    pub(super) fn document(&self, entry: &Descriptor) -> Result<Document, FolderError> {
        let bytes = self.read(&blob_name(&entry.digest))?;
        let found = Digest::sha256(&bytes);
        if found != entry.digest {
            return Err(self.malformed(&blob_name(&entry.digest), &format!("content has digest {found}")));
        }
        let declared = (!entry.media_type.is_empty()).then_some(entry.media_type.as_str());
        let path = self.blob_file(&entry.digest);
        Document::read(bytes, declared).map_err(|source| FolderError::Manifest { path, source })
    }

    /// The documents that the index names and that are about `subject`.
    pub(super) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, FolderError> {
        let mut found = Vec::new();
        for entry in self.index()?.manifests {
            if entry.digest != *subject && self.document(&entry)?.subject() == Some(*subject) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.blob_file(digest).is_file()
    }

    pub(super) fn blob_file(&self, digest: &Digest) -> PathBuf {
        self.path.join(blob_name(digest))
    }

    /// Writes a document. One about another is entered into the index: nothing else leads to it.
    pub(super) fn put(&self, document: &Document) -> Result<(), FolderError> {
        self.write(&blob_name(&document.descriptor.digest), &document.bytes)?;
        match document.subject() {
            Some(_) => self.change_index(|entries| enter(entries, document.as_referrer())),
            None => Ok(()),
        }
    }

    /// Lets each of `names` mean `root`; without one, the root is entered without a name.
    pub(super) fn name(&self, root: &Document, names: &[String]) -> Result<(), FolderError> {
        self.change_index(|entries| {
            if names.is_empty() {
                enter(entries, root.descriptor.clone());
            }
            for name in names {
                entries.retain(|entry| entry.annotations.get(NAME_ANNOTATION) != Some(name));
                let mut entry = root.descriptor.clone();
                entry.annotations.insert(NAME_ANNOTATION.to_owned(), name.clone());
                entries.push(entry);
            }
        })
    }

    /// A blob from a registry, verified before it has its name.
    pub(super) async fn receive(&self, download: &Download<'_>) -> Result<(), CopyError> {
        let path = self.blob_file(&download.blob.digest);
        let file = self.new_file().map_err(|source| failed(&path, source))?;
        let copy = file.reopen().map_err(|source| failed(&path, source))?;
        let (sender, received) = channel();
        let mut checked = Checked::new(download.blob);
        let downloading = download.run(0, sender, Some(&mut checked));
        let (downloaded, written) = tokio::join!(downloading, write_all(copy.into(), received));
        // A broken download is the cause of the other error.
        downloaded?;
        written.map_err(|source| failed(&path, source))?;
        fail::fail_point!("copy.blob.before-rename");
        file.persist(&path).map_err(|error| failed(&path, error.error))?;
        Ok(())
    }

    /// A blob from another folder, verified before it has its name.
    pub(super) async fn copy_blob(&self, from: &Folder, blob: &Descriptor) -> Result<(), CopyError> {
        let (from, to) = (from.blob_file(&blob.digest), self.blob_file(&blob.digest));
        let (file, expected) = (self.new_file().map_err(|source| failed(&to, source))?, blob.digest);
        let copying = move || copy_file(&from, file, &to, &expected);
        let copied = tokio::task::spawn_blocking(copying).await;
        Ok(copied.map_err(|error| failed(&self.path, io::Error::other(error)))??)
    }

    fn index(&self) -> Result<Index, FolderError> {
        let bytes = self.read("index.json")?;
        serde_json::from_slice(&bytes).map_err(|error| self.malformed("index.json", &error.to_string()))
    }

    fn change_index(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), FolderError> {
        let mut index = match self.path.join("index.json").exists() {
            true => self.index()?,
            false => Index {
                media_type: media_type::INDEX.to_owned(),
                manifests: Vec::new(),
                annotations: Default::default(),
                other: serde_json::Map::new(),
            },
        };
        change(&mut index.manifests);
        let bytes = serde_json::to_vec(&index).expect("an index has only string keys");
        self.write("index.json", &bytes)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, FolderError> {
        let path = self.path.join(name);
        let length = path.metadata().map_err(|source| failed(&path, source))?.len();
        if length > DOCUMENT_LIMIT {
            return Err(self.malformed(name, &format!("is longer than {DOCUMENT_LIMIT} bytes")));
        }
        fs::read(&path).map_err(|source| failed(&path, source))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.path.join(name);
        let written = self.new_file().and_then(|mut file| {
            file.write_all(bytes)?;
            fail::fail_point!("copy.layout.before-rename");
            file.persist(&path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|source| failed(&path, source))
    }

    /// A file beside its place; gone when dropped.
    fn new_file(&self) -> io::Result<NamedTempFile> {
        use std::os::unix::fs::PermissionsExt;
        let readable = fs::Permissions::from_mode(0o644);
        tempfile::Builder::new().prefix(UNFINISHED).permissions(readable).tempfile_in(&self.path)
    }

    fn malformed(&self, name: &str, reason: &str) -> FolderError {
        FolderError::Malformed { path: self.path.join(name), reason: reason.to_owned() }
    }
}

/// Whether something is in the folder that a killed copy did not leave.
fn has_other_files(path: &Path) -> bool {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| !is_unfinished(&entry))
}

/// Removes what killed copies left. Whoever copies at this moment keeps his files.
fn clear_leftovers(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten().filter(is_unfinished) {
        let age =
            entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED) {
            // What can't be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_unfinished(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED))
}

async fn write_all(mut file: tokio::fs::File, mut received: Received) -> io::Result<()> {
    while let Some(chunk) = received.next().await? {
        file.write_all(&chunk).await?;
    }
    file.flush().await
}

fn copy_file(from: &Path, mut to: NamedTempFile, place: &Path, expected: &Digest) -> Result<(), FolderError> {
    let mut digester = Digester::default();
    let mut source = fs::File::open(from).map_err(|source| failed(from, source))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = io::Read::read(&mut source, &mut buffer).map_err(|source| failed(from, source))?;
        if count == 0 {
            break;
        }
        digester.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(|source| failed(place, source))?;
    }
    match digester.finish().0 {
        found if found == *expected => {
            to.persist(place).map(drop).map_err(|error| failed(place, error.error))
        }
        found => {
            let reason = format!("content has digest {found}");
            Err(FolderError::Malformed { path: from.to_owned(), reason })
        }
    }
}

fn enter(entries: &mut Vec<Descriptor>, entry: Descriptor) {
    if entries.iter().all(|known| known.digest != entry.digest) {
        entries.push(entry);
    }
}

fn is_called(entry: &Descriptor, name: &str) -> bool {
    let annotated = |key: &str| entry.annotations.get(key).map(String::as_str);
    let full = |text: &str| text.parse::<Reference>().ok().map(|reference| reference.with_default_tag());
    let whole = annotated(CONTAINERD_ANNOTATION).and_then(full);
    annotated(NAME_ANNOTATION) == Some(name)
        || entry.digest.to_string() == name
        || (whole.is_some() && whole == full(name))
}

fn shown_name(entry: &Descriptor) -> String {
    entry.annotations.get(NAME_ANNOTATION).cloned().unwrap_or_else(|| entry.digest.to_string())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn failed(path: &Path, source: io::Error) -> FolderError {
    FolderError::Io { path: path.to_owned(), source }
}
