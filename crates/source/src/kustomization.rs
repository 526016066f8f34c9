//! The Objects of a kustomization, from any tree.

use std::cell::RefCell;
use std::path::PathBuf;

use minato_kustomize::{FILE_NAMES, FileError, FilePath, Files, Found, build};
use minato_resource::{Diagnostic, Object};

use crate::path::RelativePath;
use crate::tree::{EntryKind, Tree, TreeError};

/// What a kustomization stands for.
pub(crate) struct Rendered {
    pub(crate) objects: Vec<Object>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The files that were read, as the user would write their paths.
    pub(crate) files: Vec<PathBuf>,
}

/// Renders the kustomization of a folder. It may use what is anywhere in the tree, as far as Kustomize lets it.
pub(crate) fn render(tree: &dyn Tree, folder: &RelativePath) -> Rendered {
    let files = TreeFiles { tree, read: RefCell::default() };
    let start = FilePath::parse(folder.as_str()).unwrap_or_default();
    let (objects, diagnostics) = build(&files, &start);
    Rendered { objects, diagnostics, files: files.read.into_inner() }
}

/// The file that makes a folder a kustomization.
pub(crate) fn kustomization_in(
    tree: &dyn Tree,
    folder: &RelativePath,
) -> Result<Option<RelativePath>, TreeError> {
    for name in FILE_NAMES {
        let path = folder.child(name);
        if tree.kind(&path)? == Some(EntryKind::File) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether a file makes its folder a kustomization.
pub(crate) fn is_kustomization(path: &RelativePath) -> bool {
    FILE_NAMES.contains(&path.name())
}

struct TreeFiles<'tree> {
    tree: &'tree dyn Tree,
    read: RefCell<Vec<PathBuf>>,
}

impl Files for TreeFiles<'_> {
    fn find(&self, path: &FilePath) -> Result<Option<Found>, FileError> {
        let found = self.tree.find(&relative(path)?).map_err(|error| FileError(error.to_string()))?;
        let Some((kind, real)) = found else { return Ok(None) };
        let real = FilePath::parse(real.as_str()).ok_or_else(|| FileError("its path is none".to_owned()))?;
        Ok(Some(match kind {
            EntryKind::File => Found::File(real),
            EntryKind::Folder => Found::Folder(real),
        }))
    }

    fn read(&self, path: &FilePath, limit: u64) -> Result<Vec<u8>, FileError> {
        let path = relative(path)?;
        let file = self.tree.read(&path).map_err(|error| FileError(error.to_string()))?;
        if file.text().len() as u64 > limit {
            return Err(FileError(format!("the file is larger than the limit of {limit} bytes")));
        }
        let shown = self.tree.show(&path);
        let mut read = self.read.borrow_mut();
        if !read.contains(&shown) {
            read.push(shown);
        }
        Ok(file.text().as_bytes().to_vec())
    }

    fn names(&self, folder: &FilePath) -> Vec<String> {
        let Ok(folder) = relative(folder) else { return Vec::new() };
        let listing = self.tree.list(&folder).unwrap_or_default();
        let below = listing.files.iter().filter_map(|file| file.below(&folder));
        let mut names: Vec<String> =
            below.filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        names
    }

    fn show(&self, path: &FilePath) -> PathBuf {
        relative(path).map_or_else(|_| PathBuf::from(path.as_str()), |path| self.tree.show(&path))
    }
}

fn relative(path: &FilePath) -> Result<RelativePath, FileError> {
    RelativePath::parse(path.as_str()).map_err(|error| FileError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    const WEB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n";

    #[test]
    fn an_overlay_is_rendered_and_says_what_it_read() {
        let tree = MemoryTree::new([
            ("base/kustomization.yaml", "resources: [web.yaml]\n"),
            ("base/web.yaml", WEB),
            ("prod/kustomization.yaml", "namePrefix: prod-\nresources: [../base]\n"),
            ("other.yaml", WEB),
        ]);
        let rendered = render(&tree, &RelativePath::parse("prod").unwrap());
        let names: Vec<&str> = rendered.objects.iter().map(Object::name).collect();
        assert_eq!((names.as_slice(), rendered.diagnostics.len()), (["prod-web"].as_slice(), 0));
        let mut read: Vec<String> = rendered.files.iter().map(|file| file.display().to_string()).collect();
        read.sort();
        assert_eq!(read, ["base/kustomization.yaml", "base/web.yaml", "prod/kustomization.yaml"]);
    }

    #[test]
    fn a_mistake_has_its_place_and_the_nearest_name() {
        let tree = MemoryTree::new([("kustomization.yaml", "resources: [wev.yaml]\n"), ("web.yaml", WEB)]);
        let rendered = render(&tree, &RelativePath::root());
        let told: Vec<String> = rendered.diagnostics.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with("kustomization.yaml:1:"), "{told:?}");
        assert!(
            rendered.diagnostics[0].hint.as_ref().is_some_and(|hint| hint.contains("web.yaml")),
            "{told:?}"
        );
    }
}
