//! COPY: which files of a source tree come to stand where in the target, with which owner and mode.
//!
//! Everything here is planning; [`crate::layer`] then writes the plan. The rules are `BuildKit`'s (its `fsutil`
//! package), checked against it in `tests/reference.rs`:
//!
//! - links in the destination are followed inside the root file system, to what does not exist yet as well;
//! - missing folders are made `0755` or as an octal `--chmod` says, owned by root or by `--chown`;
//! - a source that is a link is followed, links inside a folder are copied as links;
//! - of a folder the contents are copied; the folder itself only names what is made when it is missing;
//! - a file never replaces a folder, a folder never replaces a file or a link.

pub(crate) mod archive;
mod mode;
mod owner;
mod pattern;
#[cfg(test)]
mod properties;
mod selection;
mod uncompress;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use archive::ArchiveError;
pub(crate) use mode::ModeChange;
pub use mode::ModeError;
pub use owner::OwnerError;
pub(crate) use owner::{Owner, owner_in};
use selection::{Selected, candidates};
pub(crate) use selection::{Selection, has_wildcard, split_at_pivot};

use crate::layer::{Content, Entry, Target};
use crate::tree::{Kind, Node, Tree, TreeError, normalise, resolve};

/// Why files can't be copied as asked.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source is not there.
    #[error("{path:?} is not in {from}{hint}")]
    NotFound {
        /// The source as it was written.
        path: String,
        /// Where it was looked for.
        from: String,
        /// What the reason may be.
        hint: &'static str,
    },
    /// A pattern of Go's `filepath.Match` that is none.
    #[error("pattern {pattern:?} has an unfinished character class or escape")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// A pattern of `--exclude` or `--parents` that is none.
    #[error("{0}")]
    Selection(String),
    /// A file was to replace a folder.
    #[error("/{} is a folder; a file can't be copied over it", path.display())]
    FileOverFolder {
        /// The path in the image.
        path: PathBuf,
    },
    /// A folder was to replace something else.
    #[error("/{} is a {}; a folder can't be copied over it", path.display(), if *link { "symbolic link" } else { "file" })]
    FolderOverFile {
        /// The path in the image.
        path: PathBuf,
        /// Whether it is a link.
        link: bool,
    },
    /// A folder on the way to the destination is none.
    #[error("/{} is not a folder", path.display())]
    NotAFolder {
        /// The path in the image.
        path: PathBuf,
    },
    /// The owner is not known.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The mode is not one.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// An archive can't or must not be unpacked.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// A tree can't be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Puts files into a target, all with the same flags.
pub(crate) struct Copier<'a> {
    pub(crate) target: Target<'a>,
    /// `--chown`; otherwise each file keeps its source's owner.
    pub(crate) owner: Option<Owner>,
    /// `--chown`; otherwise what comes out of an archive keeps the owner that it has there.
    pub(crate) owner_of_unpacked: Option<Owner>,
    /// `--chmod`; otherwise each file keeps its source's mode.
    pub(crate) mode: Option<ModeChange>,
    /// Whether files keep their security capability. Those of a context don't: who builds decides about it.
    pub(crate) capable: bool,
    copies: u32,
}

/// Finds what a source means: the paths that its pattern matches, or the path itself where it is none.
///
/// Paths come back with their links unresolved in the last component, since that names the copy.
pub(crate) fn matches(tree: &dyn Tree, source: &str) -> Result<Vec<PathBuf>, CopyError> {
    let clean = normalise(Path::new(source));
    let components: Vec<&str> = clean.iter().filter_map(|name| name.to_str()).collect();
    let Some(first) = components.iter().position(|name| pattern::is_pattern(name)) else {
        return Ok(vec![clean]);
    };
    let folder: PathBuf = components[..first].iter().collect();
    let mut found = vec![resolve(tree, &folder)?];
    for (index, name) in components[first..].iter().enumerate() {
        let last = first + index + 1 == components.len();
        found = step(tree, &found, name, last)?;
    }
    Ok(found)
}

/// Goes one component of a pattern further.
fn step(tree: &dyn Tree, folders: &[PathBuf], name: &str, last: bool) -> Result<Vec<PathBuf>, CopyError> {
    let mut found = Vec::new();
    for folder in folders {
        let is_folder = |node: Node| node.kind == Kind::Directory;
        if !folder.as_os_str().is_empty() && !tree.node(folder)?.is_some_and(is_folder) {
            continue;
        }
        for entry in tree.names(folder)? {
            let Some(text) = entry.to_str() else { continue };
            let path = folder.join(&entry);
            if pattern::matches(name, text)? && (last || tree.node(&path)?.is_some_and(is_folder)) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

impl<'a> Copier<'a> {
    pub(crate) fn new(target: Target<'a>, owner: Option<Owner>, mode: Option<ModeChange>) -> Self {
        Self { target, owner, owner_of_unpacked: None, mode, capable: false, copies: 0 }
    }

    /// Copies one source, a path of `tree` that [`matches`] gave, to `destination`; of a folder what `selection` says.
    ///
    /// `destination` is absolute; a slash or `/.` at its end says that it is a folder.
    pub(crate) fn copy(
        &mut self,
        tree: &dyn Tree,
        source: &Path,
        selection: &Selection,
        destination: &str,
    ) -> Result<(), CopyError> {
        let followed = resolve(tree, source)?;
        let node = match tree.node(&followed)? {
            Some(node) => node,
            // The root of no layers at all.
            None if followed.as_os_str().is_empty() => {
                return self.make_folders(&normalise(Path::new(destination))).map(drop);
            }
            None => return Err(not_found(source)),
        };
        if node.kind != Kind::Directory && !selection.takes(&file_name(source)) {
            return Ok(());
        }
        let destination = self.prepare(destination, &node, source)?;
        self.copies += 1;
        if node.kind != Kind::Directory {
            return self.put(destination, node);
        }
        self.put_selected(&destination, selection.of(tree.below(&followed)?))
    }

    /// Copies what `pattern` matches below `folder`, with the folders between them: `--parents`.
    pub(crate) fn copy_with_parents(
        &mut self,
        tree: &dyn Tree,
        folder: &Path,
        pattern: &str,
        selection: &Selection,
        destination: &str,
    ) -> Result<(), CopyError> {
        let followed = resolve(tree, folder)?;
        let node = match tree.node(&followed)? {
            Some(node) if node.kind == Kind::Directory => node,
            Some(_) => return Err(CopyError::NotAFolder { path: followed }),
            None => return Err(not_found(folder)),
        };
        let entries = candidates(tree, &followed, pattern)?;
        if entries.is_empty() && !has_wildcard(pattern) {
            return Err(not_found(&folder.join(pattern)));
        }
        let destination = self.prepare(destination, &node, folder)?;
        self.copies += 1;
        self.put_selected(&destination, selection.only(pattern)?.of(entries))
    }

    /// Copies a file of this machine under the name `name` to `destination`, which is as in [`Copier::copy`].
    pub(crate) fn copy_file(&mut self, node: Node, name: &str, destination: &str) -> Result<(), CopyError> {
        let path = self.prepare_file(destination, Path::new(name))?;
        self.copies += 1;
        self.put(path, node)
    }

    /// Writes a heredoc as the file `name` in the folder `destination`, or as `destination` itself.
    pub(crate) fn copy_text(&mut self, name: &str, text: &str, destination: &str) -> Result<(), CopyError> {
        let path = self.prepare_file(destination, Path::new(name))?;
        self.ensure_no_folder(&path)?;
        let owner = self.owner.unwrap_or(Owner::ROOT);
        let mode = self.mode.as_ref().map_or(0o644, |change| change.apply(0o644, false));
        let entry = Entry { content: Content::Text(text.into()), mode, uid: owner.uid, gid: owner.gid };
        Ok(self.target.put(path, entry)?)
    }

    /// Makes the folder `path` and those above it. Links on the way are followed; what is there stays.
    pub(crate) fn make_folders(&mut self, path: &Path) -> Result<PathBuf, CopyError> {
        let mode = self.mode.as_ref().map_or(0o755, ModeChange::of_made_folder);
        self.make_folders_as(path, mode)
    }

    fn make_folders_as(&mut self, path: &Path, mode: u32) -> Result<PathBuf, CopyError> {
        let real = resolve(&self.target, path)?;
        let mut missing = Vec::new();
        for folder in real.ancestors() {
            if folder.as_os_str().is_empty() {
                break;
            }
            match self.target.node(folder)?.map(|node| node.kind) {
                Some(Kind::Directory) => break,
                Some(_) => return Err(CopyError::NotAFolder { path: folder.to_owned() }),
                None => missing.push(folder.to_owned()),
            }
        }
        let owner = self.owner.unwrap_or(Owner::ROOT);
        for folder in missing.into_iter().rev() {
            self.target.put(folder, Entry::folder(mode, owner.uid, owner.gid))?;
        }
        Ok(real)
    }

    /// Finds the path that the source itself gets, and makes the folders above it.
    fn prepare(&mut self, destination: &str, node: &Node, source: &Path) -> Result<PathBuf, CopyError> {
        if node.kind == Kind::Directory {
            if !is_folder_name(destination) {
                self.make_parent(destination)?;
            }
            return self.make_folders(&normalise(Path::new(destination)));
        }
        self.prepare_file(destination, source)
    }

    fn prepare_file(&mut self, destination: &str, source: &Path) -> Result<PathBuf, CopyError> {
        let clean = normalise(Path::new(destination));
        if is_folder_name(destination) {
            self.make_folders(&clean)?;
        } else {
            self.make_parent(destination)?;
        }
        let mut path = resolve(&self.target, &clean)?;
        let is_folder = path.as_os_str().is_empty()
            || self.target.node(&path)?.is_some_and(|node| node.kind == Kind::Directory);
        if is_folder {
            path.push(source.file_name().unwrap_or_default());
        }
        if let Some(parent) = path.parent() {
            self.make_folders(parent)?;
        }
        Ok(path)
    }

    fn make_parent(&mut self, destination: &str) -> Result<(), CopyError> {
        let clean = normalise(Path::new(destination));
        clean.parent().map_or(Ok(()), |parent| self.make_folders(parent).map(drop))
    }

    fn put_selected(&mut self, destination: &Path, entries: Vec<Selected>) -> Result<(), CopyError> {
        for Selected { path, node, on_the_way } in entries {
            let path = destination.join(path);
            match self.target.node(&path)? {
                // What is there stays, but for its mode.
                Some(there) if on_the_way && there.kind == Kind::Directory => {
                    self.target.put(path, Entry::folder(node.mode, there.uid, there.gid))?;
                }
                _ => self.put(path, node)?,
            }
        }
        Ok(())
    }

    /// Puts one file, link or folder with its metadata to `path`, whose parent is there.
    fn put(&mut self, path: PathBuf, node: Node) -> Result<(), CopyError> {
        let is_folder = node.kind == Kind::Directory;
        if is_folder {
            self.ensure_folder_or_nothing(&path)?;
        } else {
            self.ensure_no_folder(&path)?;
        }
        let owner = self.owner.unwrap_or(Owner { uid: node.uid, gid: node.gid });
        let mode = match &self.mode {
            Some(change) if !matches!(node.kind, Kind::Symlink(_)) => change.apply(node.mode, is_folder),
            _ => node.mode,
        };
        let Some(content) = self.content_of(node) else { return Ok(()) };
        Ok(self.target.put(path, Entry { content, mode, uid: owner.uid, gid: owner.gid })?)
    }

    /// What stands at the copy's path; `None` for a socket, which no image can hold.
    fn content_of(&self, node: Node) -> Option<Content> {
        Some(match node.kind {
            Kind::Directory => Content::Directory,
            Kind::File => Content::File { source: Arc::new(node), copy: self.copies, capable: self.capable },
            Kind::Symlink(target) => Content::Symlink(target),
            Kind::Device { block, number } => Content::Device { block, number },
            Kind::Fifo => Content::Fifo,
            Kind::Socket => return None,
        })
    }

    fn ensure_no_folder(&self, path: &Path) -> Result<(), CopyError> {
        match self.target.node(path)?.map(|node| node.kind) {
            Some(Kind::Directory) => Err(CopyError::FileOverFolder { path: path.to_owned() }),
            _ => Ok(()),
        }
    }

    fn ensure_folder_or_nothing(&self, path: &Path) -> Result<(), CopyError> {
        match self.target.node(path)?.map(|node| node.kind) {
            None | Some(Kind::Directory) => Ok(()),
            Some(kind) => {
                let link = matches!(kind, Kind::Symlink(_));
                Err(CopyError::FolderOverFile { path: path.to_owned(), link })
            }
        }
    }
}

/// Whether a destination says by its text alone that it is a folder.
fn is_folder_name(destination: &str) -> bool {
    destination.ends_with('/') || destination.ends_with("/.") || destination == "."
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn not_found(path: &Path) -> CopyError {
    CopyError::NotFound { path: format!("/{}", path.display()), from: "the source".to_owned(), hint: "" }
}
