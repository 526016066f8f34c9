//! `RUN --mount`: what a step has beside its root file system while it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minato_oci::{Layer, StagedLayer};
use rustix::fs::{Gid, Mode, Uid};

use super::cache_mounts::{CacheMount, CacheMounts};
use super::copy::{CopySource, snapshot_of};
use super::stage::Solver;
use super::times::renew_times;
use crate::copy::{Copier, CopyError, Selection};
use crate::error::StepError;
use crate::executor::StepMount;
use crate::layer::{Target, write};
use crate::lower::{Copy, CopyFrom, Permissions, Run, RunMount, RunMountKind};
use crate::tree::{Kind, Snapshot, StatCache, Tree, normalise, resolve};
use crate::trees::OpenTree;

/// Where the context's files stand in the layer that is made of them.
const GIVEN: &str = "/given";
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// The files that a mount shows or begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    layers: Vec<Layer>,
    /// Absolute.
    path: PathBuf,
}

/// What a step has, and what must be kept for as long.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<StepMount>,
    /// Variables that only the step sees.
    pub(super) environment: Vec<(String, String)>,
    scratch: Vec<StagedLayer>,
    caches: BTreeMap<String, CacheMount>,
}

impl Solver<'_> {
    /// The origins of a step's mounts, in order. `from` has the layers of each. Of the context a layer is made: the
    /// step can't change the user's files, and sees none that `.dockerignore` excludes.
    pub(super) fn origins(
        &self,
        run: &Run,
        from: &[Vec<Layer>],
        modified: i64,
    ) -> Result<Vec<Origin>, StepError> {
        let mounts = run.mounts.iter().filter(|mount| mount.from().is_some());
        let origin = |(mount, layers): (&RunMount, &Vec<Layer>)| {
            let (RunMountKind::Bind { source, .. } | RunMountKind::Cache { source, .. }) = &mount.kind else {
                return Ok(Origin { layers: Vec::new(), path: PathBuf::from("/") });
            };
            let from = mount.from();
            match from.and_then(|from| Some((from, self.trees.of(from)?))) {
                Some((from, tree)) => self.of_tree(from, tree, source, modified),
                None => Ok(Origin {
                    layers: layers.clone(),
                    path: Path::new("/").join(normalise(source.as_ref())),
                }),
            }
        };
        mounts.zip(from).map(origin).collect()
    }

    fn of_tree(
        &self,
        from: &CopyFrom,
        tree: &OpenTree,
        source: &str,
        modified: i64,
    ) -> Result<Origin, StepError> {
        let path = normalise(source.as_ref());
        let node = tree.context.node(&resolve(&tree.context, &path)?)?;
        let Some(node) = node else {
            return Err(StepError::Copy(CopyError::NotFound {
                path: source.to_owned(),
                from: "the build context".to_owned(),
                hint: "; check its name, and that .dockerignore does not exclude it",
            }));
        };
        let copy = Copy::plain(from.clone(), without_wildcards(&path), format!("{GIVEN}/"));
        let made = self.copy(&copy, &CopySource::Tree(tree), &[], modified, &|_| {})?;
        self.note_context(&made.layer);
        let inside = match (node.kind, path.file_name()) {
            (Kind::Directory, _) | (_, None) => PathBuf::from(GIVEN),
            (_, Some(name)) => Path::new(GIVEN).join(name),
        };
        Ok(Origin { layers: vec![made.layer], path: inside })
    }

    /// Makes what the mounts need.
    pub(super) fn mounted(&self, run: &Run, origins: &[Origin]) -> Result<Mounted, StepError> {
        let mut mounted = Mounted::default();
        self.open_caches(run, origins, &mut mounted)?;
        let mut origins = origins.iter();
        for mount in &run.mounts {
            let origin = mount.from().and_then(|_| origins.next());
            self.mount(mount, origin, &mut mounted)?;
        }
        Ok(mounted)
    }

    /// In the order of their ids, so that two steps never wait for each other.
    fn open_caches(&self, run: &Run, origins: &[Origin], mounted: &mut Mounted) -> Result<(), StepError> {
        let mut origins = origins.iter();
        let mut wanted = BTreeMap::new();
        for mount in &run.mounts {
            let origin = mount.from().and_then(|_| origins.next());
            if let RunMountKind::Cache { id, sharing, permissions, .. } = &mount.kind {
                wanted.entry(identity(id, *permissions, origin)).or_insert((*sharing, *permissions, origin));
            }
        }
        let caches = CacheMounts::new(self.cache, self.cancelled);
        for (identity, (sharing, permissions, origin)) in wanted {
            let name = CacheMounts::name(&identity);
            let given = |new: &Path| self.begin_with_imported(&name, new);
            let fill = |new: &Path| begin_cache(new, permissions, origin, &given);
            let cache = caches.open(&identity, sharing, fill)?;
            self.asked.mount(name.clone(), &cache.path);
            mounted.caches.insert(identity, cache);
        }
        Ok(())
    }

    /// Copies what another machine's cache has for the mount `name`; tells whether it has anything.
    fn begin_with_imported(&self, name: &str, new: &Path) -> Result<bool, StepError> {
        let Some(layer) = self.mount_elsewhere(name)? else { return Ok(false) };
        copy_tree(&snapshot_of(&[layer]), Path::new(""), new)?;
        Ok(true)
    }

    fn mount(
        &self,
        mount: &RunMount,
        origin: Option<&Origin>,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        let target = mount.target.as_ref().map(PathBuf::from);
        match (&mount.kind, target) {
            (RunMountKind::Bind { writable, .. }, Some(target)) => {
                let scratch = writable.then(|| self.store.stage_layer()).transpose()?;
                let writable = scratch.as_ref().map(|scratch| (scratch.path(), scratch.work()));
                mounted.scratch.extend(scratch);
                let (layers, path) = origin.map(|it| (it.places(), it.path.clone())).unwrap_or_default();
                mounted.mounts.push(StepMount::Layers { layers, path, target, writable });
            }
            (RunMountKind::Cache { id, permissions, read_only, .. }, Some(target)) => {
                let cache = mounted.caches.get(&identity(id, *permissions, origin));
                let source = cache.map(|cache| cache.path.clone()).unwrap_or_default();
                mounted.mounts.push(StepMount::Folder { source, target, read_only: *read_only });
            }
            (RunMountKind::Memory { size }, Some(target)) => {
                mounted.mounts.push(StepMount::Memory { target, size: *size });
            }
            (RunMountKind::Secret { id, variable, permissions, required }, target) => {
                self.mount_secret(id, variable.as_deref(), *permissions, *required, target, mounted)?;
            }
            (RunMountKind::Agent { id, permissions, required }, Some(target)) => {
                self.mount_agent(id, *permissions, *required, target, mounted)?;
            }
            (_, None) => {}
        }
        Ok(())
    }

    fn mount_secret(
        &self,
        id: &str,
        variable: Option<&str>,
        permissions: Permissions,
        required: bool,
        target: Option<PathBuf>,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        let Some(secret) = self.request.secrets.get(id) else {
            let hint = format!("the step needs the secret {id:?}: give --secret id={id},src=FILE");
            return if required { Err(StepError::Invalid(hint)) } else { Ok(()) };
        };
        if let Some(name) = variable {
            let value = std::str::from_utf8(secret.value());
            let value = value.map_err(|_| StepError::Invalid(format!("secret {id:?} is no text")))?;
            mounted.environment.push((name.to_owned(), value.to_owned()));
        }
        mounted.mounts.extend(target.map(|target| StepMount::Secret {
            content: secret.clone(),
            target,
            owner: (permissions.uid, permissions.gid),
            mode: permissions.mode,
        }));
        Ok(())
    }

    fn mount_agent(
        &self,
        id: &str,
        permissions: Permissions,
        required: bool,
        target: PathBuf,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        // The variable is there without an agent, too, as with `BuildKit`.
        if !mounted.environment.iter().any(|(name, _)| name == AGENT_VARIABLE) {
            mounted.environment.push((AGENT_VARIABLE.to_owned(), target.display().to_string()));
        }
        let Some(socket) = self.request.agents.get(id) else {
            let hint = format!("the step needs the SSH agent {id:?}: give --ssh {id}");
            return if required { Err(StepError::Invalid(hint)) } else { Ok(()) };
        };
        let owner = (permissions.uid, permissions.gid);
        let socket = socket.clone();
        mounted.mounts.push(StepMount::Agent { socket, target, owner, mode: permissions.mode });
        Ok(())
    }

    /// The places of layers as a step with a cache mount sees them: files that came from the context are as new as
    /// after a checkout. In a layer they have one old time for ever, and `make` or `cargo` would take what an earlier
    /// build left in the cache for newer than a source that has changed since.
    pub(super) fn dated(&self, below: &[Layer], mounted: &mut Mounted) -> Result<Vec<PathBuf>, StepError> {
        let places = below.iter().map(|layer| layer.path.clone());
        if mounted.caches.is_empty() {
            return Ok(places.collect());
        }
        let mut fresh = BTreeMap::new();
        let bound = mounted.mounts.iter().flat_map(|mount| match mount {
            StepMount::Layers { layers, .. } => layers.clone(),
            _ => Vec::new(),
        });
        for place in places.clone().chain(bound) {
            if self.is_of_context(&place) && !fresh.contains_key(&place) {
                let staged = self.store.stage_layer()?;
                copy_tree(&Snapshot::new(vec![place.clone()]), Path::new(""), &staged.path())?;
                fresh.insert(place, staged.path());
                mounted.scratch.push(staged);
            }
        }
        let renewed = |place: &PathBuf| fresh.get(place).unwrap_or(place).clone();
        for mount in &mut mounted.mounts {
            if let StepMount::Layers { layers, .. } = mount {
                *layers = layers.iter().map(renewed).collect();
            }
        }
        Ok(places.map(|place| renewed(&place)).collect())
    }
}

impl Origin {
    fn describe(&self) -> String {
        let layers: Vec<String> = self.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        format!("{} {}", self.path.display(), layers.join(" "))
    }

    fn places(&self) -> Vec<PathBuf> {
        self.layers.iter().map(|layer| layer.path.clone()).collect()
    }
}

/// Everything about the mounts that decides what the step does. What a cache holds, and the value of a secret, do not.
pub(super) fn describe(run: &Run, origins: &[Origin]) -> Vec<String> {
    let origins = origins.iter().map(Origin::describe);
    let kind = |mount: &RunMount| match &mount.kind {
        // The origin says it better: a context by its content.
        RunMountKind::Bind { writable, .. } => format!("bind {:?} {writable}", mount.target),
        RunMountKind::Cache { id, sharing, source, permissions, read_only, .. } => {
            format!("cache {:?} {id} {sharing:?} {source} {permissions:?} {read_only}", mount.target)
        }
        other => format!("{:?} {other:?}", mount.target),
    };
    run.mounts.iter().map(kind).chain(origins).collect()
}

/// Caches of one id that began differently are different ones, as in `BuildKit`.
fn identity(id: &str, permissions: Permissions, origin: Option<&Origin>) -> String {
    let Permissions { uid, gid, mode } = permissions;
    let origin = origin.map(Origin::describe).unwrap_or_default();
    format!("{id}\n{uid}:{gid} {mode:o}\n{origin}")
}

/// What a cache mount holds the first time: what `given` copies, else what its `from=` says, else nothing.
fn begin_cache(
    new: &Path,
    permissions: Permissions,
    origin: Option<&Origin>,
    given: &dyn Fn(&Path) -> Result<bool, StepError>,
) -> Result<(), StepError> {
    let io = |error: rustix::io::Errno| StepError::Cache(error.into());
    let is_given = given(new)?;
    match origin.filter(|_| !is_given) {
        Some(origin) => {
            let path = normalise(&origin.path);
            copy_tree(&snapshot_of(&origin.layers), &path, new)?;
        }
        None => {
            let (uid, gid) = (Uid::from_raw(permissions.uid), Gid::from_raw(permissions.gid));
            rustix::fs::chown(new, Some(uid), Some(gid)).map_err(io)?;
        }
    }
    rustix::fs::chmod(new, Mode::from_raw_mode(permissions.mode & 0o7777)).map_err(io)
}

/// Copies a folder of a tree into an empty one, with everything but its times: all is new.
fn copy_tree(tree: &Snapshot, path: &Path, to: &Path) -> Result<(), StepError> {
    let nothing = Snapshot::new(Vec::new());
    let mut copier = Copier::new(Target::new(&nothing), None, None);
    copier.capable = true;
    copier.copy(tree, path, &Selection::default(), "/")?;
    write(&copier.target.into_plan(), 0, to, &StatCache::empty())?;
    renew_times(to)
}

/// A path as a pattern that matches it alone.
fn without_wildcards(path: &Path) -> String {
    let escaped = path
        .to_string_lossy()
        .replace('\\', r"\\")
        .replace('*', r"\*")
        .replace('?', r"\?")
        .replace('[', r"\[");
    format!("/{escaped}")
}
