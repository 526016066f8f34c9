//! Folders, images and addresses in the place of names (`--build-context`), and contexts that must be brought here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use minato_oci::{Reference, ReferenceError, StagedLayer, Store};

use crate::copy::archive::is_archive;
use crate::copy::{Copier, Owner};
use crate::error::StepError;
use crate::layer::{Target, write};
use crate::remote::{AddressError, GitAddress, Remote, Remotes};
use crate::tree::{Node, Snapshot, StatCache, TreeError};

/// What names in FROM, `COPY --from` and a mount's `from` mean instead of stages and images.
#[derive(Clone, Debug, Default)]
pub struct Contexts(BTreeMap<String, NamedContext>);

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedContext {
    /// `docker-image://scratch`
    Scratch,
    /// `docker-image://REFERENCE`
    Image(Reference),
    /// `oci-layout://FOLDER[:TAG][@DIGEST]`, without the scheme.
    Layout(String),
    /// A folder of this machine, less what its own `.dockerignore` excludes.
    Folder(PathBuf),
    /// A repository, an archive, or any other file, which is then called `context`.
    Remote(Remote),
}

/// A text that is no [`NamedContext`].
#[derive(Debug, thiserror::Error)]
pub enum NamedContextError {
    /// The image's reference is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl Contexts {
    /// Puts `context` in the place of `name`: a stage's, or an image's as a Dockerfile may write it.
    pub fn insert(&mut self, name: &str, context: NamedContext) {
        self.0.insert(key_of(name), context);
    }

    /// Whether no name means anything else.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `name` means, with the name under which it was put.
    pub(crate) fn get(&self, name: &str) -> Option<(&str, &NamedContext)> {
        self.0.get_key_value(&key_of(name)).map(|(name, context)| (name.as_str(), context))
    }
}

impl FromStr for NamedContext {
    type Err = NamedContextError;

    fn from_str(text: &str) -> Result<Self, NamedContextError> {
        if let Some(image) = text.strip_prefix("docker-image://") {
            return if image == "scratch" { Ok(Self::Scratch) } else { Ok(Self::Image(image.parse()?)) };
        }
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            return Ok(Self::Layout(layout.to_owned()));
        }
        match Remote::parse_context(text) {
            Some(remote) => Ok(Self::Remote(remote?)),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

/// `alpine`, `docker.io/library/alpine` and `alpine:latest` are one name.
fn key_of(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) => {
            let name = reference.familiar();
            name.strip_suffix(":latest").map(str::to_owned).unwrap_or(name)
        }
        Err(_) => name.to_lowercase(),
    }
}

/// A context that was brought here; gone when dropped.
pub struct ContextFolder {
    folder: PathBuf,
    _scratch: StagedLayer,
}

impl ContextFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The tree of a repository that `address` means now.
    ///
    /// # Errors
    /// It can't be fetched or written.
    pub fn of_repository(
        store: &Store,
        remotes: &Remotes<'_>,
        address: &GitAddress,
    ) -> Result<Self, StepError> {
        let scratch = store.stage_layer()?;
        let commit = remotes.commit(address)?;
        let tree = remotes.check_out(address, &commit, &scratch.path())?;
        Ok(Self { folder: tree.folder, _scratch: scratch })
    }

    /// What is in an archive, compressed or not; `None` when the file is none.
    ///
    /// # Errors
    /// It is malformed or hostile, or can't be written.
    pub fn of_archive(store: &Store, archive: &Path) -> Result<Option<Self>, StepError> {
        let Some(node) = Node::at(archive.to_owned())? else {
            return Err(TreeError::Changed { place: archive.to_owned() }.into());
        };
        if !is_archive(&node)? {
            return Ok(None);
        }
        let scratch = store.stage_layer()?;
        let nothing = Snapshot::new(Vec::new());
        let mut copier = Copier::new(Target::new(&nothing), Some(Owner::ROOT), None);
        copier.unpack(&node, "/", &scratch.work())?;
        write(&copier.target.into_plan(), 0, &scratch.path(), &StatCache::empty())?;
        Ok(Some(Self { folder: scratch.path(), _scratch: scratch }))
    }

    /// A folder with a copy of one file in it, called `name`, or with nothing.
    ///
    /// # Errors
    /// It can't be written.
    pub fn of_file(store: &Store, file: Option<(&Path, &str)>) -> Result<Self, StepError> {
        let scratch = store.stage_layer()?;
        if let Some((file, name)) = file {
            std::fs::copy(file, scratch.path().join(name)).map_err(StepError::Cache)?;
        }
        Ok(Self { folder: scratch.path(), _scratch: scratch })
    }

    /// Whatever lies at an address.
    pub(crate) fn of_remote(
        store: &Store,
        remotes: &Remotes<'_>,
        remote: &Remote,
    ) -> Result<Self, StepError> {
        let address = match remote {
            Remote::Git(address) => return Self::of_repository(store, remotes, address),
            Remote::Http(address) => address,
        };
        let file = remotes.download(address)?;
        match Self::of_archive(store, &file)? {
            Some(folder) => Ok(folder),
            None => Self::of_file(store, Some((&file, "context"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_one_name_however_it_is_written() {
        let mut contexts = Contexts::default();
        contexts.insert("alpine", NamedContext::Scratch);
        contexts.insert("Build", NamedContext::Layout("x".to_owned()));
        for name in ["alpine", "alpine:latest", "docker.io/library/alpine"] {
            assert_eq!(contexts.get(name).unwrap().1, &NamedContext::Scratch, "{name}");
        }
        assert!(contexts.get("alpine:3").is_none() && contexts.get("build").is_some());
    }

    #[test]
    fn what_a_context_can_be() {
        let parse = |text: &str| text.parse::<NamedContext>().map_err(|error| error.to_string());
        assert_eq!(parse("../x"), Ok(NamedContext::Folder("../x".into())));
        assert_eq!(parse("docker-image://a:1"), Ok(NamedContext::Image("a:1".parse().unwrap())));
        assert_eq!(parse("docker-image://scratch"), Ok(NamedContext::Scratch));
        assert_eq!(parse("oci-layout:///x:1"), Ok(NamedContext::Layout("/x:1".to_owned())));
        assert!(matches!(parse("github.com/a/b"), Ok(NamedContext::Remote(Remote::Git(_)))));
        assert!(matches!(parse("https://h/a.tgz"), Ok(NamedContext::Remote(Remote::Http(_)))));
        assert!(parse("docker-image://A").is_err() && parse("https://h/a.git#-x").is_err());
    }
}
