//! Paths inside a tree, with its own root: `..` stops there and an absolute link starts there.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::{Kind, Tree, TreeError};

/// As many links as one path may go through; the kernel takes 40, `BuildKit` 255.
pub(super) const MAX_LINKS: usize = 255;

/// Drops `.`, `..` and slashes by the text alone, never above the root: `/a/./../b//` is `b`.
pub(crate) fn normalise(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Follows the links in `path`, the last one too, inside `tree`.
///
/// The result has no link in it, and may name something that does not exist: a dangling link is followed to where
/// it points, as a program that runs with the tree as its root would when it creates a file there.
pub(crate) fn resolve(tree: &dyn Tree, path: &Path) -> Result<PathBuf, TreeError> {
    let mut done = PathBuf::new();
    let mut ahead: Vec<OsString> = Vec::new();
    push_components(&mut ahead, path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&name);
        match tree.node(&next)?.map(|node| node.kind) {
            Some(Kind::Symlink(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(TreeError::TooManyLinks { path: path.to_owned() });
                }
                if target.is_absolute() {
                    done = PathBuf::new();
                }
                push_components(&mut ahead, &target);
            }
            _ => done = next,
        }
    }
    Ok(done)
}

/// Puts the components of `path` on a stack, the first on top.
fn push_components(stack: &mut Vec<OsString>, path: &Path) {
    stack.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::Snapshot;
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, clean) in [("/", ""), ("", ""), ("/a/./../b//", "b"), ("../../etc", "etc"), ("./a/.", "a")]
        {
            assert_eq!(normalise(Path::new(path)), Path::new(clean), "{path}");
        }
    }

    #[test]
    fn links_stay_inside_the_tree() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path();
        std::fs::create_dir_all(place.join("real/deep")).unwrap();
        symlink("/real", place.join("absolute")).unwrap();
        symlink("../../../../real", place.join("real/up")).unwrap();
        symlink("nowhere/yet", place.join("dangling")).unwrap();
        symlink("loop", place.join("loop")).unwrap();
        let tree = Snapshot::of_folder(place);
        for (path, expected) in [
            ("absolute/deep/x", "real/deep/x"),
            ("real/up/deep", "real/deep"),
            ("dangling", "nowhere/yet"),
            ("real/deep/../../../../absolute", "real"),
        ] {
            assert_eq!(resolve(&tree, Path::new(path)).unwrap(), Path::new(expected), "{path}");
        }
        assert!(matches!(resolve(&tree, Path::new("loop")), Err(TreeError::TooManyLinks { .. })));
    }
}
