//! The folders that a build reads: its context, and the named contexts that are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_dockerfile::ignore::Ignore;
use minato_oci::Digest;
use minato_resource::{Diagnostic, SourceFile};

use crate::builder::Builder;
use crate::contexts::{ContextFolder, NamedContext};
use crate::error::{BuildError, StepError};
use crate::lower::CopyFrom;
use crate::names::{Base, Names};
use crate::place::Source;
use crate::remote::Remotes;
use crate::request::Request;
use crate::stages::Stages;
use crate::tree::{Context, StatCache};

/// A folder to read, and what is known of its files.
pub(crate) struct OpenTree {
    pub(crate) context: Context,
    pub(crate) stat_cache: StatCache,
    /// Where it was brought to, if it was.
    _brought: Option<ContextFolder>,
}

/// All of them.
pub(crate) struct Trees {
    main: OpenTree,
    named: BTreeMap<String, OpenTree>,
}

impl Trees {
    /// The context, and those named contexts that the stages need; what lies elsewhere is brought here.
    pub(crate) fn open(
        builder: &Builder<'_>,
        request: &Request,
        names: &Names<'_>,
        source: &Source<'_>,
        stages: &Stages<'_>,
    ) -> Result<Self, BuildError> {
        let main = open_folder(builder.cache, &request.context, request.ignore.as_ref(), None)?;
        let cancelled = builder.cancelled.inner();
        let remotes = Remotes::new(builder.cache, &request.remotes, &cancelled);
        let mut named = BTreeMap::new();
        for name in needed(names, source, stages)? {
            let fail = |error: StepError| BuildError::Request(format!("build context {name}: {error}"));
            let Some((_, context)) = names.contexts.get(&name) else { continue };
            let tree = match context {
                NamedContext::Folder(folder) => open_named(builder.cache, folder, None)?,
                NamedContext::Remote(remote) => {
                    let brought = ContextFolder::of_remote(builder.store, &remotes, remote).map_err(fail)?;
                    let folder = brought.path().to_owned();
                    open_named(builder.cache, &folder, Some(brought))?
                }
                _ => continue,
            };
            named.insert(name, tree);
        }
        Ok(Self { main, named })
    }

    /// The folder that an instruction reads, where it reads one.
    pub(crate) fn of(&self, from: &CopyFrom) -> Option<&OpenTree> {
        match from {
            CopyFrom::Context => Some(&self.main),
            CopyFrom::Tree(name) => self.named.get(name),
            _ => None,
        }
    }

    /// Keeps what was learnt of files, for the next build.
    pub(crate) fn save(&self) -> std::io::Result<()> {
        let kept = self.named.values().filter(|tree| tree._brought.is_none());
        std::iter::once(&self.main).chain(kept).try_for_each(|tree| tree.stat_cache.save())
    }
}

/// The named contexts that stages start from or copy from.
fn needed(
    names: &Names<'_>,
    source: &Source<'_>,
    stages: &Stages<'_>,
) -> Result<BTreeSet<String>, BuildError> {
    let mut needed = BTreeSet::new();
    for stage in stages.needed.values() {
        if let Base::Tree(name) = &stage.base {
            needed.insert(name.clone());
        }
        for statement in stage.instructions {
            needed.extend(names.sources_of(stage.index, statement, source)?.into_iter().filter_map(|from| {
                match from {
                    CopyFrom::Tree(name) => Some(name),
                    _ => None,
                }
            }));
        }
    }
    Ok(needed)
}

/// A named context has its own `.dockerignore`.
fn open_named(cache: &Path, folder: &Path, brought: Option<ContextFolder>) -> Result<OpenTree, BuildError> {
    let place = folder.join(".dockerignore");
    let ignore = match std::fs::read(&place) {
        Ok(bytes) => {
            let file = SourceFile::from_bytes(&place, bytes);
            Some(Arc::new(file.map_err(|error| BuildError::Request(error.to_string()))?))
        }
        Err(_) => None,
    };
    open_folder(cache, folder, ignore.as_ref(), brought)
}

fn open_folder(
    cache: &Path,
    folder: &Path,
    ignore: Option<&Arc<SourceFile>>,
    brought: Option<ContextFolder>,
) -> Result<OpenTree, BuildError> {
    if !folder.is_dir() {
        return Err(BuildError::Request(format!("build context {} is not a folder", folder.display())));
    }
    let ignore = match ignore {
        None => Ignore::default(),
        Some(file) => {
            let (ignore, diagnostics) = Ignore::parse(file);
            if diagnostics.iter().any(Diagnostic::is_error) {
                return Err(BuildError::Syntax(diagnostics));
            }
            ignore
        }
    };
    let stat_cache = match brought {
        None => StatCache::open(stat_cache_place(cache, folder)),
        Some(_) => StatCache::empty(),
    };
    Ok(OpenTree { context: Context::new(folder.to_owned(), ignore), stat_cache, _brought: brought })
}

/// One file for each context, so that builds of different folders do not meet.
fn stat_cache_place(cache: &Path, folder: &Path) -> PathBuf {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let name = Digest::sha256(folder.as_os_str().as_encoded_bytes()).short();
    cache.join("contexts").join(name)
}
