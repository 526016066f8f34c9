//! [`Source`] over Git repositories and plain folders.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use minato_resource::{Diagnostic, Severity};
use minato_sync::{ApplicationSource, Loaded, Source, SourceError};
use sha2::{Digest, Sha256};

use crate::discover::DiscoverError;
use crate::git::{
    CommitId, CommitTree, GitFailure, Limits, Meaning, Mirror, MirrorError, Wanted, may_be_short_commit,
    revision,
};
use crate::load::{self, load_path};
use crate::location::Location;
use crate::tree::{Tree, WorkTree};

/// How many hex digits of its content's hash name a plain folder's revision.
const FOLDER_DIGITS: usize = 12;

/// How many digits of a commit people read.
const SHORT_COMMIT: usize = 12;

/// Git repositories, each copied once into a folder of this machine, and folders that are no repositories.
///
/// A repository's revision is a commit, and its Objects come from Git's own objects; what is not committed does not count.
/// A plain folder's revision is a hash of its files. Safe for several processes at once, and for their death at any
/// point.
#[derive(Debug, Clone)]
pub struct GitSources {
    /// `DATA/sources`: the copies.
    sources: PathBuf,
    /// What a relative `repoURL` is relative to: the folder of the Application's file.
    base: PathBuf,
    limits: Limits,
}

impl GitSources {
    /// Sources that are copied into the folder `sources`. A relative `repoURL` is relative to `base`.
    pub fn new(sources: &Path, base: &Path) -> GitSources {
        GitSources { sources: sources.to_owned(), base: base.to_owned(), limits: Limits::default() }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> GitSources {
        GitSources { limits, ..self }
    }

    fn place(&self, source: &ApplicationSource) -> Result<Place, SourceError> {
        let refused = |message: String| SourceError::Refused { location: "spec.source".to_owned(), message };
        if source.chart.is_some() {
            let message = "Helm charts are not rendered yet; name a folder of plain manifests with `path`";
            return Err(refused(message.to_owned()));
        }
        let location = Location::parse(&source.repository, &self.base);
        let location = location.map_err(|error| refused(error.to_string()))?;
        Ok(match location {
            Location::Folder(folder) => self.folder(folder)?,
            remote @ Location::Remote(_) => self.repository(remote),
        })
    }

    fn folder(&self, folder: PathBuf) -> Result<Place, SourceError> {
        let location = folder.display().to_string();
        let folder = folder.canonicalize().map_err(|error| SourceError::NotFound {
            location,
            message: format!("{error}; `repoURL` names a folder relative to the Application's file"),
        })?;
        let is_repository = folder.join(".git").exists()
            || ["HEAD", "objects", "refs"].iter().all(|name| folder.join(name).exists());
        Ok(if is_repository { self.repository(Location::Folder(folder)) } else { Place::Plain(folder) })
    }

    fn repository(&self, location: Location) -> Place {
        let mirror = Mirror::of(&location, &self.sources, self.limits);
        Place::Repository(Box::new(Repository { mirror, location }))
    }
}

/// What a `repoURL` names.
enum Place {
    /// A folder without Git.
    Plain(PathBuf),
    Repository(Box<Repository>),
}

#[async_trait]
impl Source for GitSources {
    async fn resolve(&self, source: &ApplicationSource) -> Result<String, SourceError> {
        let wanted = source.target_revision.as_deref().unwrap_or_default();
        match self.place(source)? {
            Place::Plain(folder) => {
                only_todays_files(&folder, wanted)?;
                let source = source.clone();
                in_background(move || Ok(load_plain(&folder, &source)?.1)).await
            }
            Place::Repository(repository) => Ok(repository.resolve(wanted).await?.as_str().to_owned()),
        }
    }

    async fn load(&self, source: &ApplicationSource, revision: &str) -> Result<Loaded, SourceError> {
        let (source, revision) = (source.clone(), revision.to_owned());
        match self.place(&source)? {
            Place::Plain(folder) => in_background(move || load_exactly(&folder, &source, &revision)).await,
            Place::Repository(repository) => repository.load(source, &revision).await,
        }
    }
}

/// A repository and its copy.
struct Repository {
    mirror: Mirror,
    location: Location,
}

impl Repository {
    async fn resolve(&self, wanted: &str) -> Result<CommitId, SourceError> {
        let parsed = Wanted::parse(wanted);
        let commit = match parsed.map_err(|error| self.refused(error.to_string()))? {
            Wanted::Commit(commit) => commit,
            Wanted::Head => {
                let references = self.mirror.references().await.map_err(|error| self.failed(error))?;
                let none = || self.not_found("the repository has no commit yet; commit something".to_owned());
                references.head().cloned().ok_or_else(none)?
            }
            Wanted::Name(name) => self.named(&name).await?,
        };
        self.fetch(&commit).await?;
        Ok(commit)
    }

    /// The commit of a branch or tag, else the only one whose name starts so.
    async fn named(&self, name: &str) -> Result<CommitId, SourceError> {
        let references = self.mirror.references().await.map_err(|error| self.failed(error))?;
        match references.find(name) {
            Meaning::Commit(commit) => Ok(commit),
            Meaning::Ambiguous(names) => Err(self.not_found(format!(
                "`targetRevision: {name}` is {}; write the one that is meant in full",
                names.join(" and ")
            ))),
            Meaning::Unknown { .. } if may_be_short_commit(name) => {
                self.short(&name.to_ascii_lowercase()).await
            }
            Meaning::Unknown { nearest } => Err(self.no_such(name, nearest.as_deref())),
        }
    }

    async fn short(&self, digits: &str) -> Result<CommitId, SourceError> {
        let known = |found: Result<Vec<CommitId>, MirrorError>| found.map_err(|error| self.failed(error));
        let mut commits = known(self.mirror.commits_that_start(digits).await)?;
        if commits.is_empty() {
            self.mirror.fetch(None).await.map_err(|error| self.failed(error))?;
            commits = known(self.mirror.commits_that_start(digits).await)?;
        }
        match commits.as_slice() {
            [] => Err(self.no_such(digits, None)),
            [one] => Ok(one.clone()),
            several => {
                let names: Vec<&str> = several.iter().map(CommitId::as_str).collect();
                let names = names.join(", ");
                Err(self.not_found(format!(
                    "`{digits}` is the start of several commits: {names}; write more digits"
                )))
            }
        }
    }

    async fn fetch(&self, commit: &CommitId) -> Result<(), SourceError> {
        if self.mirror.has(commit).await.map_err(|error| self.failed(error))? {
            return Ok(());
        }
        self.mirror.fetch(Some(commit)).await.map_err(|error| match error {
            MirrorError::Git(GitFailure::Refused { ref message, .. }) if message.contains("not our ref") => {
                self.no_such(commit.as_str(), None)
            }
            error => self.failed(error),
        })
    }

    async fn load(&self, source: ApplicationSource, revision: &str) -> Result<Loaded, SourceError> {
        let Some(commit) = CommitId::parse(revision) else {
            return Err(self.refused(format!("{revision:?} is no commit in full")));
        };
        self.fetch(&commit).await?;
        let shown = format!("{}@{}", self.location, &commit.as_str()[..SHORT_COMMIT]);
        let tree = CommitTree::of(self.mirror.path(), &commit, &shown);
        let work_tree = match &self.location {
            Location::Folder(folder) => Some(folder.clone()),
            Location::Remote(_) => None,
        };
        in_background(move || {
            let (path, recurse) = (source.path.as_deref().unwrap_or("."), source.recurse);
            let loaded = load_path(&tree, path, recurse).map_err(|error| not_loaded(&shown, &error))?;
            let mut loaded = as_loaded(loaded);
            loaded.diagnostics.extend(work_tree.and_then(|folder| uncommitted(&folder, path, &commit)));
            Ok(loaded)
        })
        .await
    }

    fn no_such(&self, name: &str, nearest: Option<&str>) -> SourceError {
        let hint = match nearest {
            Some(nearest) => format!("is `{nearest}` meant?"),
            None => "write a branch, a tag, a commit, or HEAD".to_owned(),
        };
        self.not_found(format!("it has no revision `{name}`; {hint}"))
    }

    fn not_found(&self, message: String) -> SourceError {
        SourceError::NotFound { location: self.location.to_string(), message }
    }

    fn refused(&self, message: String) -> SourceError {
        SourceError::Refused { location: self.location.to_string(), message }
    }

    fn failed(&self, error: MirrorError) -> SourceError {
        SourceError::Unavailable { location: self.location.to_string(), message: error.to_string() }
    }
}

/// A warning when files under `path` differ from the commit that is deployed, and it is the one that they stand on.
fn uncommitted(folder: &Path, path: &str, commit: &CommitId) -> Option<Diagnostic> {
    let revision = revision(&folder.join(path)).ok().flatten()?;
    let differs = revision.dirty && revision.commit == commit.as_str();
    let message = format!(
        "{} has changes that are not committed; what is deployed is commit {}",
        folder.join(path).display(),
        &commit.as_str()[..SHORT_COMMIT]
    );
    differs.then(|| Diagnostic::without_location(Severity::Warning, "uncommitted", message))
}

fn only_todays_files(folder: &Path, wanted: &str) -> Result<(), SourceError> {
    if matches!(wanted, "" | "HEAD") {
        return Ok(());
    }
    Err(SourceError::NotFound {
        location: folder.display().to_string(),
        message: format!(
            "this folder is no Git repository and has no revision `{wanted}`; name the repository's root, or leave `targetRevision` out"
        ),
    })
}

/// The Objects of a plain folder and the hash of the files they were read from.
fn load_plain(folder: &Path, source: &ApplicationSource) -> Result<(load::Loaded, String), SourceError> {
    let shown = folder.display().to_string();
    let failed = |error: &DiscoverError| not_loaded(&shown, error);
    let tree = WorkTree::open(folder).map_err(|error| failed(&error.into()))?;
    let loaded = load_path(&tree, source.path.as_deref().unwrap_or("."), source.recurse);
    let loaded = loaded.map_err(|error| failed(&error))?;
    let mut hasher = Sha256::new();
    for file in &loaded.files {
        let path = tree.relative(file).map_err(|error| failed(&error.into()))?;
        let file = tree.read(&path).map_err(|error| failed(&error.into()))?;
        for part in [path.as_str(), file.text()] {
            // Length first, so that no two lists of files run together to the same bytes.
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let hash = hex::encode(hasher.finalize());
    Ok((loaded, format!("files-{}", &hash[..FOLDER_DIGITS])))
}

/// The Objects of a plain folder, if its files still are those of the revision.
fn load_exactly(folder: &Path, source: &ApplicationSource, revision: &str) -> Result<Loaded, SourceError> {
    let (loaded, now) = load_plain(folder, source)?;
    if now != revision {
        return Err(SourceError::Unavailable {
            location: folder.display().to_string(),
            message: format!("its files have changed since they were {revision}; ask again"),
        });
    }
    Ok(as_loaded(loaded))
}

fn as_loaded(loaded: load::Loaded) -> Loaded {
    Loaded { objects: loaded.objects, diagnostics: loaded.diagnostics }
}

fn not_loaded(location: &str, error: &DiscoverError) -> SourceError {
    let (location, message) = (location.to_owned(), error.to_string());
    match error {
        DiscoverError::Missing { .. } => SourceError::NotFound { location, message },
        _ => SourceError::Refused { location, message },
    }
}

/// Reading waits for the disk and for `git`.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(SourceError::Unavailable {
            location: "reading the files".to_owned(),
            message: error.to_string(),
        }),
    }
}
