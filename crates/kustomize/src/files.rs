//! The files that a kustomization is made of, wherever they are: this crate opens no path itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A path from the root of a tree of files: `apps/web/kustomization.yaml`; empty for the root itself. It never has
/// `.`, `..` or doubled slashes in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FilePath(String);

impl FilePath {
    /// The root of the tree.
    pub fn root() -> FilePath {
        FilePath::default()
    }

    /// A path from the root; `None` when it leads out of the tree.
    pub fn parse(text: &str) -> Option<FilePath> {
        FilePath::root().join(text)
    }

    /// The path that `text` names when it is written in this folder. A leading `/` means the root of the tree.
    /// `None` when it leads out of the tree or no file system would take it.
    pub fn join(&self, text: &str) -> Option<FilePath> {
        if text.contains('\0') {
            return None;
        }
        let from = if text.starts_with('/') { "" } else { self.0.as_str() };
        let mut parts: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(FilePath(parts.join("/")))
    }

    /// The path as text, without a leading slash; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that it lies in; the root for the root.
    pub fn folder(&self) -> FilePath {
        FilePath(self.0.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned())
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// True when this is `folder` or lies below it.
    pub fn is_in(&self, folder: &FilePath) -> bool {
        folder.0.is_empty()
            || self.0.strip_prefix(&folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file, by its path without links.
    File(FilePath),
    /// A folder, by its path without links.
    Folder(FilePath),
}

/// Why a file cannot be had: lowercase, without the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub String);

/// A tree of files: a work tree, a Git tree, or memory.
pub trait Files {
    /// What is at a path, links followed; `None` when nothing is there.
    ///
    /// # Errors
    /// A link leads out of the tree, or the system refuses to look.
    fn find(&self, path: &FilePath) -> Result<Option<Found>, FileError>;

    /// The bytes of a file that [`Files::find`] named. At most `limit` bytes are read.
    ///
    /// # Errors
    /// It is larger than `limit`, is no file, or cannot be read.
    fn read(&self, path: &FilePath, limit: u64) -> Result<Vec<u8>, FileError>;

    /// Names in a folder, for "did you mean"; may be empty.
    fn names(&self, folder: &FilePath) -> Vec<String>;

    /// A path as the user would write it, for messages.
    fn show(&self, path: &FilePath) -> PathBuf;
}

/// Files in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

impl MemoryFiles {
    /// A tree of paths and contents. Paths that lead out are left out.
    pub fn new<'text>(files: impl IntoIterator<Item = (&'text str, impl Into<Vec<u8>>)>) -> MemoryFiles {
        let files =
            files.into_iter().filter_map(|(path, bytes)| Some((FilePath::parse(path)?.0, bytes.into())));
        MemoryFiles { files: files.collect(), links: BTreeMap::new() }
    }

    /// The same tree with a link in it; `target` is relative to the root.
    #[must_use]
    pub fn with_link(mut self, path: &str, target: &str) -> MemoryFiles {
        self.links.insert(path.to_owned(), target.to_owned());
        self
    }

    fn resolved(&self, path: &FilePath) -> Result<FilePath, FileError> {
        for (link, target) in &self.links {
            let link = FilePath(link.clone());
            if path.is_in(&link) {
                let outside = || FileError("this is a link that leads out of the tree".to_owned());
                let target = FilePath::parse(target).ok_or_else(outside)?;
                let rest = path.0[link.0.len()..].trim_start_matches('/').to_owned();
                return target.join(&rest).ok_or_else(outside);
            }
        }
        Ok(path.clone())
    }
}

impl Files for MemoryFiles {
    fn find(&self, path: &FilePath) -> Result<Option<Found>, FileError> {
        let path = self.resolved(path)?;
        if self.files.contains_key(&path.0) {
            return Ok(Some(Found::File(path)));
        }
        let below = if path.0.is_empty() { String::new() } else { format!("{}/", path.0) };
        let is_folder =
            self.files.range(below.clone()..).next().is_some_and(|(file, _)| file.starts_with(&below));
        Ok(is_folder.then_some(Found::Folder(path)))
    }

    fn read(&self, path: &FilePath, limit: u64) -> Result<Vec<u8>, FileError> {
        let bytes = self.files.get(&path.0).ok_or_else(|| FileError("there is no such file".to_owned()))?;
        if bytes.len() as u64 > limit {
            return Err(FileError(format!(
                "the file is {} bytes, more than the limit of {limit} bytes",
                bytes.len()
            )));
        }
        Ok(bytes.clone())
    }

    fn names(&self, folder: &FilePath) -> Vec<String> {
        let below = if folder.0.is_empty() { String::new() } else { format!("{}/", folder.0) };
        let files = self.files.keys().filter_map(|file| file.strip_prefix(&below));
        files.filter_map(|file| file.split('/').next()).map(str::to_owned).collect()
    }

    fn show(&self, path: &FilePath) -> PathBuf {
        PathBuf::from(path.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_lexically_and_never_lead_out() {
        let check = |folder: &str, text: &str, expected: Option<&str>| {
            let found = FilePath::parse(folder).unwrap_or_default().join(text);
            assert_eq!(found.as_ref().map(FilePath::as_str), expected, "{folder} + {text}");
        };
        check("a/b", "../c", Some("a/c"));
        check("a/b", "./x//y/", Some("a/b/x/y"));
        check("a", "../..", None);
        check("a", "/x", Some("x"));
        check("a", "x\0", None);
        check("", "", Some(""));
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below() {
        let path = |text: &str| FilePath::parse(text).unwrap_or_default();
        assert!(path("a/b").is_in(&path("a")) && path("a").is_in(&path("a")) && path("a").is_in(&path("")));
        assert!(!path("ab").is_in(&path("a")));
    }
}
