//! Loading what kustomizations name, within Kustomize's rules: files lie in or below the folder of the kustomization
//! that names them, links followed; folders may lie anywhere in the tree but not above a kustomization that leads to
//! them; and everything together stays within limits.

use std::sync::Arc;

use minato_resource::SourceFile;

use crate::files::{FilePath, Files, Found};
use crate::refusal::Refusal;

/// How deep kustomizations may lead to kustomizations.
const MAX_DEPTH: usize = 64;

/// How many files one render reads. A base that two overlays use is read twice.
const MAX_FILES: usize = 50_000;

/// How many bytes one render reads.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Reads files for one render.
pub(crate) struct Loader<'files> {
    files: &'files dyn Files,
    read: usize,
    bytes: u64,
}

/// The folder of a kustomization, and those of the kustomizations that lead to it.
#[derive(Debug, Clone)]
pub(crate) struct Root<'parent> {
    pub(crate) folder: FilePath,
    parent: Option<&'parent Root<'parent>>,
    depth: usize,
}

/// What a path in `resources` is.
pub(crate) enum Operand {
    File(Arc<SourceFile>),
    Folder(FilePath),
}

impl Root<'_> {
    pub(crate) fn top(folder: FilePath) -> Root<'static> {
        Root { folder, parent: None, depth: 0 }
    }

    /// The root of a kustomization that this one leads to.
    ///
    /// # Errors
    /// It is this one, or above this one or above one that leads here; or there are too many.
    pub(crate) fn child(&self, folder: FilePath) -> Result<Root<'_>, Refusal> {
        let mut ancestor = Some(self);
        while let Some(root) = ancestor {
            if root.folder.is_in(&folder) {
                let message = format!(
                    "`{folder}` holds the kustomization in `{}`, which leads here: a cycle",
                    root.folder
                );
                return Err(Refusal::new("cycle", message)
                    .with_hint("move what both need into a folder of its own, and use that"));
            }
            ancestor = root.parent;
        }
        if self.depth >= MAX_DEPTH {
            return Err(Refusal::new(
                "too-deep",
                format!("kustomizations lead to kustomizations more than {MAX_DEPTH} deep"),
            ));
        }
        Ok(Root { folder, parent: Some(self), depth: self.depth + 1 })
    }
}

impl<'files> Loader<'files> {
    pub(crate) fn new(files: &'files dyn Files) -> Loader<'files> {
        Loader { files, read: 0, bytes: 0 }
    }

    /// What a path in `resources` leads to; a file is read.
    pub(crate) fn operand(&mut self, root: &Root<'_>, text: &str) -> Result<Operand, Refusal> {
        match self.find(root, text)? {
            Found::Folder(folder) => Ok(Operand::Folder(folder)),
            Found::File(path) => self.read_text(root, text, &path).map(Operand::File),
        }
    }

    /// A folder by its path without links.
    pub(crate) fn folder(&self, root: &Root<'_>, text: &str) -> Result<FilePath, Refusal> {
        match self.find(root, text)? {
            Found::Folder(folder) => Ok(folder),
            Found::File(_) => Err(Refusal::new(
                "not-a-folder",
                format!("`{text}` is a file, where the folder of a component is needed"),
            )),
        }
    }

    /// A file's text.
    pub(crate) fn text(&mut self, root: &Root<'_>, text: &str) -> Result<Arc<SourceFile>, Refusal> {
        let path = self.file(root, text)?;
        self.read_text(root, text, &path)
    }

    /// A file's bytes.
    pub(crate) fn bytes(&mut self, root: &Root<'_>, text: &str) -> Result<Vec<u8>, Refusal> {
        let path = self.file(root, text)?;
        self.read(root, text, &path)
    }

    /// The kustomization file of a folder: its name and text.
    pub(crate) fn kustomization(&mut self, root: &Root<'_>) -> Result<(String, Arc<SourceFile>), Refusal> {
        let mut found = Vec::new();
        for name in crate::kustomization::FILE_NAMES {
            let path = root.folder.join(name).unwrap_or_default();
            if let Ok(Some(Found::File(path))) = self.files.find(&path) {
                found.push((name, path));
            }
        }
        let shown = self.files.show(&root.folder);
        match found.as_slice() {
            [(name, path)] => Ok(((*name).to_owned(), self.read_text(root, name, path)?)),
            [] => {
                let message = format!("there is no kustomization file in {}", shown.display());
                Err(Refusal::new("no-kustomization", message)
                    .with_hint(format!("it is named {}", crate::kustomization::FILE_NAMES.join(", "))))
            }
            _ => {
                let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
                let message =
                    format!("{} has more than one kustomization file: {}", shown.display(), names.join(", "));
                Err(Refusal::new("ambiguous-kustomization", message).with_hint("keep one of them"))
            }
        }
    }

    fn file(&self, root: &Root<'_>, text: &str) -> Result<FilePath, Refusal> {
        match self.find(root, text)? {
            Found::File(path) => Ok(path),
            Found::Folder(_) => {
                Err(Refusal::new("not-a-file", format!("`{text}` is a folder, where a file is needed")))
            }
        }
    }

    fn find(&self, root: &Root<'_>, text: &str) -> Result<Found, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new("empty-path", "the path is empty"));
        }
        let outside = || {
            Refusal::new("outside-tree", format!("`{text}` leads out of the repository, and is not followed"))
        };
        let path = root.folder.join(text);
        let found = match &path {
            Some(path) => self
                .files
                .find(path)
                .map_err(|error| Refusal::new("unreadable", format!("`{text}`: {error}")))?,
            None => None,
        };
        match (found, path) {
            (Some(found), _) => Ok(found),
            _ if is_remote(text) => Err(remote(text)),
            (None, Some(path)) => Err(self.missing(text, &path)),
            (None, None) => Err(outside()),
        }
    }

    fn missing(&self, text: &str, path: &FilePath) -> Refusal {
        let shown = self.files.show(path);
        let refusal =
            Refusal::new("missing-file", format!("`{text}` is not there: there is no {}", shown.display()));
        let names = self.files.names(&path.folder());
        refusal.suggesting(path.name(), names.iter().map(String::as_str))
    }

    fn read_text(
        &mut self,
        root: &Root<'_>,
        text: &str,
        path: &FilePath,
    ) -> Result<Arc<SourceFile>, Refusal> {
        let bytes = self.read(root, text, path)?;
        match SourceFile::from_bytes(self.files.show(path), bytes) {
            Ok(file) => Ok(Arc::new(file)),
            Err(error) => Err(Refusal::new("unreadable", error.to_string())),
        }
    }

    fn read(&mut self, root: &Root<'_>, text: &str, path: &FilePath) -> Result<Vec<u8>, Refusal> {
        if !path.is_in(&root.folder) {
            let message = format!("`{text}` leads to `{path}`, which is not in or below `{}`", root.folder);
            return Err(Refusal::new("outside-root", message)
                .with_hint("a kustomization reads files of its own folder; make a kustomization there and list its folder"));
        }
        let unreadable = |error: crate::FileError| Refusal::new("unreadable", format!("`{text}`: {error}"));
        let bytes = self.files.read(path, SourceFile::MAX_BYTES).map_err(unreadable)?;
        self.read += 1;
        self.bytes += bytes.len() as u64;
        if self.read > MAX_FILES || self.bytes > MAX_BYTES {
            let message = format!("more than {MAX_FILES} files or {} MiB are read", MAX_BYTES >> 20);
            return Err(Refusal::new("too-much", message)
                .with_hint("do two overlays use the same bases again and again?"));
        }
        Ok(bytes)
    }
}

/// True for what Kustomize would fetch over the network.
fn is_remote(text: &str) -> bool {
    text.contains("://")
        || text.starts_with("git@")
        || text.starts_with("git::")
        || ["github.com/", "github.com:", "gitlab.com/", "bitbucket.org/"]
            .iter()
            .any(|host| text.starts_with(host))
        || text.contains("?ref=")
        || text.contains(".git/")
        || text.ends_with(".git")
}

fn remote(text: &str) -> Refusal {
    Refusal::new("remote-resource", format!("`{text}` is a remote resource, and those are not fetched yet"))
        .with_hint("copy it into the repository (a vendored base), and list its folder")
}
