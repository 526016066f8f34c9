//! Changes of a folder's files, for `--watch`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Quiet time after which a change counts as whole: editors and `git checkout` write many files at once.
const QUIET: Duration = Duration::from_millis(150);

/// Tells when something below a folder changed.
pub struct Changes {
    events: UnboundedReceiver<PathBuf>,
    /// A change that was seen and not given yet.
    seen: Option<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    pub fn of(folder: &Path) -> anyhow::Result<Changes> {
        let (sender, events) = unbounded_channel();
        let root = folder.to_owned();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let changed = event.ok().filter(writes).and_then(|event| {
                event.paths.into_iter().find(|path| matters(path.strip_prefix(&root).unwrap_or(path)))
            });
            // The receiver ends with the program only.
            changed.map(|path| sender.send(path));
        })?;
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .with_context(|| format!("{} can't be watched", folder.display()))?;
        Ok(Changes { events, seen: None, _watcher: watcher })
    }

    /// Waits for a change, and then until no further one comes. Gives a file that changed. Nothing is lost when the
    /// waiting is given up.
    pub async fn next(&mut self) -> Option<PathBuf> {
        if self.seen.is_none() {
            self.seen = Some(self.events.recv().await?);
        }
        while let Ok(Some(next)) = tokio::time::timeout(QUIET, self.events.recv()).await {
            self.seen = Some(next);
        }
        self.seen.take()
    }
}

fn writes(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Git's own files change with every `git status`; a commit changes `HEAD`'s log, and so the revision's name.
fn matters(below: &Path) -> bool {
    !below.starts_with(".git") || below == Path::new(".git/logs/HEAD")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_written_file_is_a_change_and_gits_index_is_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        let mut changes = Changes::of(folder.path()).unwrap();
        std::fs::write(folder.path().join(".git/index"), "x").unwrap();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        assert_eq!(changes.next().await.unwrap(), folder.path().join("a"));
    }

    #[tokio::test]
    async fn a_change_outlives_the_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut changes = Changes::of(folder.path()).unwrap();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        while changes.seen.is_none() {
            let _given_up = tokio::time::timeout(Duration::from_millis(1), changes.next()).await;
        }
        assert_eq!(changes.next().await.unwrap(), folder.path().join("a"));
    }
}
