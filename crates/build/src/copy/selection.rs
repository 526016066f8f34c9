//! Which entries of a copied folder come along: `--parents` takes what a pattern matches, `--exclude` leaves out.
//!
//! Patterns are those of `.dockerignore` and match paths from the copied folder (with `--parents`: from the pivot): what
//! matches a folder matches everything in it, and `!` takes back. A folder that does not come for its own sake is made
//! when something in it does.

use std::path::{Path, PathBuf};

use minato_dockerfile::ignore::{Ignore, Matched};

use super::CopyError;
use super::pattern::is_pattern;
use crate::tree::{Kind, Node, Tree, TreeError, normalise};

/// What comes along of a folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Only what this matches; without it, everything.
    include: Option<Ignore>,
    exclude: Ignore,
}

/// An entry that comes along.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selected {
    /// From the copied folder.
    pub(super) path: PathBuf,
    pub(super) node: Node,
    /// A folder that comes only for what is in it.
    pub(super) on_the_way: bool,
}

/// Splits a source of `--parents` at its pivot `/./`: the folder from which paths are kept, and the pattern below it.
pub(crate) fn split_at_pivot(source: &str) -> (&str, String) {
    let (folder, pattern) = source.split_once("/./").unwrap_or(("/", source));
    (folder, normalise(Path::new(pattern)).to_string_lossy().into_owned())
}

/// Whether any component of a path has a wildcard.
pub(crate) fn has_wildcard(path: &str) -> bool {
    path.split('/').any(is_pattern)
}

impl Selection {
    /// Everything but what the patterns of `--exclude` match.
    pub(crate) fn all_but(exclude: &[String]) -> Result<Self, CopyError> {
        let exclude = Ignore::of_patterns(exclude).map_err(CopyError::Selection)?;
        Ok(Self { include: None, exclude })
    }

    /// Of that, only what matches `pattern`; the empty one is the folder itself.
    pub(crate) fn only(&self, pattern: &str) -> Result<Self, CopyError> {
        if pattern.is_empty() {
            return Ok(self.clone());
        }
        let include = Ignore::of_patterns(&[pattern.to_owned()]).map_err(CopyError::Selection)?;
        Ok(Self { include: Some(include), exclude: self.exclude.clone() })
    }

    /// Whether an entry right in the copied folder comes along.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_excluded(name))
            && !self.exclude.is_excluded(name)
    }

    /// What comes along of `entries`, which are in order: parents before children.
    pub(super) fn of(&self, entries: Vec<(PathBuf, Node)>) -> Vec<Selected> {
        let everything = self.include.is_none() && self.exclude.is_empty();
        let mut selected: Vec<Selected> = Vec::with_capacity(entries.len());
        let mut folders = vec![self.root()];
        for (path, node) in entries {
            folders.truncate(path.components().count());
            let Some(parent) = folders.last() else { continue };
            let state = if everything { self.root() } else { self.enter(parent, &path) };
            let on_the_way = !everything && !state.is_taken();
            if node.kind == Kind::Directory {
                folders.push(state);
            } else if on_the_way {
                continue;
            }
            selected.push(Selected { path, node, on_the_way });
        }
        drop_untaken(&mut selected);
        selected
    }

    fn root(&self) -> State {
        let include = self.include.as_ref().map(|_| Matched::root());
        State { include, exclude: Matched::root() }
    }

    fn enter(&self, parent: &State, path: &Path) -> State {
        let path = path.to_string_lossy();
        let include = self.include.as_ref().zip(parent.include.as_ref());
        State {
            include: include.map(|(patterns, parent)| patterns.enter(parent, &path)),
            exclude: self.exclude.enter(&parent.exclude, &path),
        }
    }
}

/// What the patterns say of a folder on the way down.
struct State {
    include: Option<Matched>,
    exclude: Matched,
}

impl State {
    fn is_taken(&self) -> bool {
        self.include.as_ref().is_none_or(Matched::is_excluded) && !self.exclude.is_excluded()
    }
}

/// Folders on the way to nothing go.
fn drop_untaken(selected: &mut Vec<Selected>) {
    if !selected.iter().any(|entry| entry.on_the_way) {
        return;
    }
    // From the back, children are decided before their parents.
    let mut kept: Vec<Selected> = Vec::with_capacity(selected.len());
    while let Some(entry) = selected.pop() {
        if !entry.on_the_way || kept.last().is_some_and(|below| below.path.starts_with(&entry.path)) {
            kept.push(entry);
        }
    }
    kept.reverse();
    *selected = kept;
}

/// Everything below `folder` that `pattern` could match, by its path from there: where the pattern begins with names
/// without wildcards, nothing beside them is looked at. Links on the way are not followed.
pub(super) fn candidates(
    tree: &dyn Tree,
    folder: &Path,
    pattern: &str,
) -> Result<Vec<(PathBuf, Node)>, TreeError> {
    let mut found = Vec::new();
    let mut path = PathBuf::new();
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        if is_pattern(name) || name.contains('\\') {
            break;
        }
        path.push(name);
        let Some(node) = tree.node(&folder.join(&path))? else { return Ok(Vec::new()) };
        let is_folder = node.kind == Kind::Directory;
        found.push((path.clone(), node));
        if !is_folder {
            return Ok(found);
        }
    }
    let below = tree.below(&folder.join(&path))?;
    found.extend(below.into_iter().map(|(relative, node)| (path.join(relative), node)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Snapshot;

    /// The paths below `folder` that are selected; those only on the way in parentheses.
    fn select(files: &[&str], selection: &Selection, pattern: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let place = folder.path().join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, "").unwrap();
        }
        let tree = Snapshot::of_folder(folder.path());
        let entries = candidates(&tree, Path::new(""), pattern).unwrap();
        let shown = |entry: Selected| match entry.on_the_way {
            true => format!("({})", entry.path.display()),
            false => entry.path.display().to_string(),
        };
        selection.of(entries).into_iter().map(shown).collect()
    }

    fn excluding(patterns: &[&str]) -> Selection {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Selection::all_but(&patterns).unwrap()
    }

    #[test]
    fn excluded_files_stay_and_exceptions_come_back() {
        let files = ["a.txt", "d/b.txt", "d/c", "e/f.txt"];
        let check = |patterns: &[&str], expected: &[&str]| {
            assert_eq!(select(&files, &excluding(patterns), ""), expected, "{patterns:?}");
        };
        check(&[], &["a.txt", "d", "d/b.txt", "d/c", "e", "e/f.txt"]);
        check(&["*.txt"], &["d", "d/b.txt", "d/c", "e", "e/f.txt"]);
        check(&["**/*.txt"], &["d", "d/c", "e"]);
        check(&["d"], &["a.txt", "e", "e/f.txt"]);
        check(&["d", "!d/c"], &["a.txt", "(d)", "d/c", "e", "e/f.txt"]);
        check(&["*"], &[]);
    }

    #[test]
    fn only_what_a_pattern_matches_comes_with_its_folders() {
        let files = ["packages/a/package.json", "packages/a/src/x", "packages/b/package.json", "other"];
        let check = |pattern: &str, excluded: &[&str], expected: &[&str]| {
            let selection = excluding(excluded).only(pattern).unwrap();
            assert_eq!(select(&files, &selection, pattern), expected, "{pattern}");
        };
        check(
            "packages/*/package.json",
            &[],
            &[
                "(packages)",
                "(packages/a)",
                "packages/a/package.json",
                "(packages/b)",
                "packages/b/package.json",
            ],
        );
        check("packages/a/src", &[], &["(packages)", "(packages/a)", "packages/a/src", "packages/a/src/x"]);
        check(
            "**/x",
            &["packages/b"],
            &["(packages)", "(packages/a)", "(packages/a/src)", "packages/a/src/x"],
        );
        check(
            "packages/a",
            &["**/x"],
            &["(packages)", "packages/a", "packages/a/package.json", "packages/a/src"],
        );
        check("nothing", &[], &[]);
        check("other/more", &[], &[]);
    }

    #[test]
    fn a_pivot_separates_what_is_kept() {
        for (source, folder, pattern) in [
            ("a/b", "/", "a/b"),
            ("./a/b/.", "/", "a/b"),
            ("/a/./b/./c", "/a", "b/c"),
            ("a*/./**/c", "a*", "**/c"),
            ("/./a", "", "a"),
        ] {
            assert_eq!(split_at_pivot(source), (folder, pattern.to_owned()), "{source}");
        }
    }
}
