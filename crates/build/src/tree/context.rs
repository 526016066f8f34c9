//! The build context: a folder, less what `.dockerignore` excludes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use minato_dockerfile::ignore::{Ignore, Matched};

use super::{Kind, Node, Tree, TreeError, in_order};

/// More files than any context should hold; the walk ends there instead of eating memory.
const MAX_FILES: usize = 2_000_000;

/// A folder seen through `.dockerignore`. Nothing is read before it is asked for.
pub(crate) struct Context {
    root: PathBuf,
    ignore: Ignore,
}

impl Context {
    pub(crate) fn new(root: PathBuf, ignore: Ignore) -> Self {
        Self { root, ignore }
    }

    /// Reads one folder on the way.
    fn read_folder(&self, folder: &Folder, walk: &Walk) -> Result<(), TreeError> {
        let place = self.root.join(&folder.path);
        let (mut found, mut folders) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&place).map_err(TreeError::read(&place))? {
            let entry = entry.map_err(TreeError::read(&place))?;
            let path = folder.path.join(entry.file_name());
            let matched = self.enter(&folder.matched, &path);
            let excluded = matched.is_excluded();
            if excluded && self.ignore.may_skip_folder(&matched, &path.to_string_lossy()) {
                continue;
            }
            // A file that vanished between the listing and the look is as good as never seen.
            let Ok(metadata) = entry.metadata() else { continue };
            let node = Node::new(entry.path(), &metadata)?;
            if node.kind == Kind::Directory {
                folders.push(Folder { path: path.clone(), matched });
            } else if excluded {
                continue;
            }
            found.push(Seen { path, node, excluded });
        }
        walk.report(found, folders, &self.root)
    }

    fn enter(&self, parent: &Matched, path: &Path) -> Matched {
        if self.ignore.is_empty() {
            Matched::root()
        } else {
            self.ignore.enter(parent, &path.to_string_lossy())
        }
    }

    /// What the ignore file says of a path, its parents included.
    fn matched(&self, path: &Path) -> Matched {
        let mut matched = Matched::root();
        for ancestor in path.ancestors().collect::<Vec<_>>().into_iter().rev().skip(1) {
            matched = self.enter(&matched, ancestor);
        }
        matched
    }
}

impl Tree for Context {
    fn node(&self, path: &Path) -> Result<Option<Node>, TreeError> {
        let Some(node) = Node::at(self.root.join(path))? else { return Ok(None) };
        let matched = self.matched(path);
        if !matched.is_excluded() {
            return Ok(Some(node));
        }
        // An excluded folder shows when an exception (`!`) brings back something below it.
        let may_show = node.kind == Kind::Directory
            && !self.ignore.may_skip_folder(&matched, &path.to_string_lossy())
            && !self.below(path)?.is_empty();
        Ok(may_show.then_some(node))
    }

    fn names(&self, path: &Path) -> Result<Vec<OsString>, TreeError> {
        let place = self.root.join(path);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&place).map_err(TreeError::read(&place))? {
            let name = entry.map_err(TreeError::read(&place))?.file_name();
            if self.node(&path.join(&name))?.is_some() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Folders are read on all processors, each by whichever thread is free.
    fn below(&self, path: &Path) -> Result<Vec<(PathBuf, Node)>, TreeError> {
        let walk = Walk::starting_at(Folder { path: path.to_owned(), matched: self.matched(path) });
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| walk.work(|folder| self.read_folder(folder, &walk)));
            }
            walk.work(|folder| self.read_folder(folder, &walk));
        });
        let mut seen = walk.finish()?;
        seen.sort_unstable_by(|a, b| in_order(&a.path, &b.path));
        drop_empty_excluded(&mut seen);
        let strip = |seen: Seen| match seen.path.strip_prefix(path) {
            Ok(relative) => (relative.to_owned(), seen.node),
            Err(_) => (seen.path, seen.node),
        };
        Ok(seen.into_iter().map(strip).collect())
    }
}

/// A folder on the way through the context, with what the ignore file says of it.
struct Folder {
    path: PathBuf,
    matched: Matched,
}

/// One entry on the way through the context.
struct Seen {
    path: PathBuf,
    node: Node,
    /// A folder that shows only if something below it does.
    excluded: bool,
}

/// Excluded folders stay where something below them was brought back, and go otherwise.
fn drop_empty_excluded(seen: &mut Vec<Seen>) {
    if !seen.iter().any(|entry| entry.excluded) {
        return;
    }
    // From the back: children come before their parents, so what follows a kept folder is already decided.
    let mut kept: Vec<Seen> = Vec::with_capacity(seen.len());
    while let Some(entry) = seen.pop() {
        if !entry.excluded || kept.last().is_some_and(|below| below.path.starts_with(&entry.path)) {
            kept.push(entry);
        }
    }
    kept.reverse();
    *seen = kept;
}

/// Folders to read, shared by the threads that read them.
struct Walk {
    state: Mutex<State>,
    changed: Condvar,
    count: AtomicUsize,
}

struct State {
    folders: Vec<Folder>,
    /// Folders that a thread is reading now: more may come of them.
    busy: usize,
    found: Vec<Seen>,
    failed: Option<TreeError>,
}

impl Walk {
    fn starting_at(folder: Folder) -> Self {
        let state = State { folders: vec![folder], busy: 0, found: Vec::new(), failed: None };
        Self { state: Mutex::new(state), changed: Condvar::new(), count: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads folders until none is left and none can come.
    fn work(&self, read: impl Fn(&Folder) -> Result<(), TreeError>) {
        while let Some(folder) = self.next() {
            let result = read(&folder);
            let mut state = self.lock();
            state.busy -= 1;
            if let Err(error) = result {
                state.failed.get_or_insert(error);
                state.folders.clear();
            }
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Folder> {
        let mut state = self.lock();
        loop {
            if let Some(folder) = state.folders.pop() {
                state.busy += 1;
                return Some(folder);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn report(&self, found: Vec<Seen>, folders: Vec<Folder>, root: &Path) -> Result<(), TreeError> {
        let count = self.count.fetch_add(found.len(), Ordering::Relaxed) + found.len();
        if count > MAX_FILES {
            return Err(TreeError::TooManyFiles { place: root.to_owned(), limit: MAX_FILES });
        }
        let mut state = self.lock();
        state.found.extend(found);
        if state.failed.is_none() && !folders.is_empty() {
            state.folders.extend(folders);
            self.changed.notify_all();
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Seen>, TreeError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(state.found), Err)
    }
}
