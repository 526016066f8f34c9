//! What is deployed, as Objects.

use std::path::PathBuf;
use std::sync::Arc;

use minato_resource::{Diagnostic, Object, Severity, SourceFile, Span, parse_json, parse_yaml};
use minato_sync::Application;

use crate::configuration::CONFIGURATION_FILE;
use crate::discover::{Deployment, DiscoverError, is_manifest, refuse_chart};
use crate::kustomization::{is_kustomization, kustomization_in, render};
use crate::path::RelativePath;
use crate::tree::{EntryKind, Tree, TreeError};

/// How many files one deployment may have.
const MAX_FILES: usize = 10_000;

/// How many bytes of text one deployment may have.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Desired Objects as the files say them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The Application's own object, when there is one.
    pub application: Option<Object>,
    /// The desired Objects, in the order of files and documents.
    pub objects: Vec<Object>,
    /// What is wrong in the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, as the user would write their paths; for watching them.
    pub files: Vec<PathBuf>,
}

/// Reads the Objects of a deployment. `fallback` is the repository around the tree, against which an Application's
/// path is resolved when the tree itself does not have it. A Dockerfile alone gives no Objects: see
/// [`crate::dockerfile_alone`].
///
/// Mistakes in the files are among [`Loaded::diagnostics`].
///
/// # Errors
/// A path that an Application names is not there or leads out of the repository; files that cannot be read.
pub fn load(
    tree: &dyn Tree,
    fallback: Option<&dyn Tree>,
    deployment: &Deployment,
) -> Result<Loaded, DiscoverError> {
    let mut loader = Loader::default();
    match deployment {
        Deployment::Application(path) => loader.application(tree, fallback, path)?,
        Deployment::Manifests { path, recurse } => loader.manifests(tree, path, *recurse)?,
        Deployment::Kustomization(path) => loader.kustomization(tree, path),
        Deployment::Ecs(paths) => {
            for path in paths {
                loader.ecs(tree, path)?;
            }
        }
        Deployment::Dockerfile(_) => {}
    }
    loader.refuse_twins();
    Ok(loader.loaded)
}

/// Reads the Objects that one source of an Application names: a folder of manifests, or one file of them.
pub(crate) fn load_path(tree: &dyn Tree, path: &str, recurse: bool) -> Result<Loaded, DiscoverError> {
    let mut loader = Loader { applications_too: true, ..Loader::default() };
    loader.source(tree, None, path, recurse)?;
    loader.refuse_twins();
    Ok(loader.loaded)
}

#[derive(Default)]
struct Loader {
    loaded: Loaded,
    bytes: usize,
    /// Whether an Application among the manifests is one of the Objects: for the one that deploys others.
    applications_too: bool,
}

impl Loader {
    fn application(
        &mut self,
        tree: &dyn Tree,
        fallback: Option<&dyn Tree>,
        path: &RelativePath,
    ) -> Result<(), DiscoverError> {
        let Some(file) = self.file(tree, path)? else { return Ok(()) };
        let (objects, diagnostics) = parse(&file);
        self.loaded.diagnostics.extend(diagnostics);
        let mut found = objects.into_iter().filter(|object| object.key().is("argoproj.io", "Application"));
        let Some(object) = found.next() else { return Ok(()) };
        if let Some(second) = found.next() {
            let message = format!("the file holds a second Application, `{}`; `up` takes one", second.name());
            let second = second.diagnostic(Severity::Error, "application-count", message, "/metadata/name");
            self.loaded.diagnostics.push(second);
        }
        let (application, diagnostics) = Application::parse(&object);
        self.loaded.diagnostics.extend(diagnostics);
        for source in application.iter().flat_map(|application| &application.sources) {
            self.source(tree, fallback, source.path.as_deref().unwrap_or("."), source.recurse)?;
        }
        self.loaded.application = Some(object);
        Ok(())
    }

    /// The manifests that an Application's source names; its repository is the one at hand.
    fn source(
        &mut self,
        tree: &dyn Tree,
        fallback: Option<&dyn Tree>,
        text: &str,
        recurse: bool,
    ) -> Result<(), DiscoverError> {
        const WHAT: &str = "`spec.source.path` of the Application";
        let path = RelativePath::parse(text).map_err(|source| DiscoverError::Path { what: WHAT, source })?;
        for tree in [Some(tree), fallback].into_iter().flatten() {
            match tree.kind(&path)? {
                Some(EntryKind::Folder) if kustomization_in(tree, &path)?.is_some() => {
                    self.kustomization(tree, &path);
                    return Ok(());
                }
                Some(EntryKind::Folder) => {
                    refuse_chart(tree, &path)?;
                    return self.manifests(tree, &path, recurse);
                }
                Some(EntryKind::File) => return self.manifests(tree, &path, false),
                None => {}
            }
        }
        Err(DiscoverError::Missing { what: WHAT, path, root: tree.show(&RelativePath::root()) })
    }

    fn kustomization(&mut self, tree: &dyn Tree, folder: &RelativePath) {
        let rendered = render(tree, folder);
        self.loaded.objects.extend(rendered.objects);
        self.loaded.diagnostics.extend(rendered.diagnostics);
        self.loaded.files.extend(rendered.files);
    }

    /// The manifests in a folder, or of one file.
    fn manifests(
        &mut self,
        tree: &dyn Tree,
        path: &RelativePath,
        recurse: bool,
    ) -> Result<(), DiscoverError> {
        if tree.kind(path)? == Some(EntryKind::File) {
            return self.manifest(tree, path);
        }
        let listing = tree.list(path)?;
        let here = |file: &&RelativePath| recurse || file.folder() == *path;
        for folder in listing.linked_folders.iter().filter(here) {
            self.warn(tree, folder, "this link to a folder is not followed; its files are not deployed");
        }
        if let Some(submodule) = listing.submodules.first().filter(|_| recurse) {
            return Err(TreeError::Submodule { path: tree.show(submodule) }.into());
        }
        if let Some(path) = listing.files.iter().filter(here).find(|path| is_kustomization(path)) {
            return Err(DiscoverError::KustomizationInside { path: path.clone() });
        }
        for file in listing.files.iter().filter(here).filter(|file| is_manifest(file)) {
            if file.as_str() != CONFIGURATION_FILE {
                self.manifest(tree, file)?;
            }
        }
        Ok(())
    }

    fn manifest(&mut self, tree: &dyn Tree, path: &RelativePath) -> Result<(), DiscoverError> {
        let Some(file) = self.file(tree, path)? else { return Ok(()) };
        if !file.text().contains("apiVersion") && minato_task_definition::kind_of(&file).is_some() {
            self.ecs_file(&file);
            return Ok(());
        }
        let (objects, diagnostics) = parse(&file);
        // An Application among the manifests of a work tree describes them; it is not itself run here.
        let counts =
            |object: &Object| self.applications_too || !object.key().is("argoproj.io", "Application");
        let objects: Vec<Object> = objects.into_iter().filter(counts).collect();
        self.loaded.objects.extend(objects);
        self.loaded.diagnostics.extend(diagnostics);
        Ok(())
    }

    fn ecs(&mut self, tree: &dyn Tree, path: &RelativePath) -> Result<(), DiscoverError> {
        if let Some(file) = self.file(tree, path)? {
            self.ecs_file(&file);
        }
        Ok(())
    }

    fn ecs_file(&mut self, file: &Arc<SourceFile>) {
        let (objects, diagnostics) = minato_task_definition::parse(file);
        self.loaded.objects.extend(objects);
        self.loaded.diagnostics.extend(diagnostics);
    }

    /// Reads a file; `None`, told, when the deployment would be too large.
    fn file(
        &mut self,
        tree: &dyn Tree,
        path: &RelativePath,
    ) -> Result<Option<Arc<SourceFile>>, DiscoverError> {
        let file = tree.read(path)?;
        self.bytes += file.text().len();
        self.loaded.files.push(tree.show(path));
        if self.loaded.files.len() > MAX_FILES || self.bytes > MAX_BYTES {
            let message = format!("a deployment has at most {MAX_FILES} files and {} MiB", MAX_BYTES >> 20);
            let diagnostic = Diagnostic::error("deployment-size", message, &file, Span::at(0));
            if self.loaded.diagnostics.iter().all(|told| told.code != diagnostic.code) {
                self.loaded.diagnostics.push(diagnostic);
            }
            return Ok(None);
        }
        Ok(Some(file))
    }

    fn warn(&mut self, tree: &dyn Tree, path: &RelativePath, message: &str) {
        let message = format!("{}: {message}", tree.show(path).display());
        let severity = Severity::Warning;
        self.loaded.diagnostics.push(Diagnostic::without_location(severity, "linked-folder", message));
    }

    /// The same object twice means that one of the two would silently win.
    fn refuse_twins(&mut self) {
        let mut seen = std::collections::HashMap::new();
        let mut twins = Vec::new();
        for object in &self.loaded.objects {
            if let Some(first) = seen.insert(object.key().clone(), object) {
                let place = first.origin().map(|origin| {
                    let position = origin.file.position(origin.span("/metadata/name").start);
                    format!(", also at {}:{position}", origin.file.path().display())
                });
                let message = format!("`{}` is there twice{}", object.key(), place.unwrap_or_default());
                let severity = Severity::Error;
                twins.push(object.diagnostic(severity, "duplicate-object", message, "/metadata/name"));
            }
        }
        self.loaded.diagnostics.extend(twins);
    }
}

fn parse(file: &Arc<SourceFile>) -> (Vec<Object>, Vec<Diagnostic>) {
    let is_json = file.path().extension().is_some_and(|extension| extension == "json");
    if is_json { parse_json(file) } else { parse_yaml(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::MemoryTree;

    #[test]
    fn a_deployment_of_too_many_files_is_refused_once() {
        let paths: Vec<String> = (0..=MAX_FILES + 5).map(|index| format!("k8s/{index}.yaml")).collect();
        let tree = MemoryTree::new(paths.iter().map(|path| (path.as_str(), "")));
        let path = RelativePath::parse("k8s").unwrap();
        let loaded = load(&tree, None, &Deployment::Manifests { path, recurse: true }).unwrap();
        let told: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1);
        assert!(
            told[0].ends_with("error[deployment-size]: a deployment has at most 10000 files and 64 MiB"),
            "{told:?}"
        );
    }
}
