//! A repository as `up`, `check` and `diff` see it: what it deploys, which images it builds, what its files say wrong.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use minato_resource::{Diagnostic, Object, SourceFile};
use minato_source::{
    CONFIGURATION_FILE, Configuration, Deployment, ImageBuild, OurImage, RelativePath, Revision, Tree,
    WorkTree,
};
use minato_sync::{Application, Destination};
use serde_json::{Value, json};

use crate::application::{APP_ANNOTATION, FOLDER_ANNOTATION};
use crate::exit::Failure;

/// Everything read from the files, before anything is built.
pub struct Repository {
    pub tree: WorkTree,
    pub configuration: Configuration,
    /// What is deployed, always on this machine.
    pub application: Application,
    /// Its document, to be remembered.
    pub document: Value,
    /// Desired Objects as the files say them; empty for a Dockerfile alone.
    pub objects: Vec<Object>,
    /// The image of a Dockerfile that is all there is.
    pub alone: Option<ImageBuild>,
    /// Images that this repository builds.
    pub images: Vec<OurImage>,
    /// The commit that the files stand on.
    pub revision: Option<Revision>,
    /// Findings of reading; none is an error.
    pub warnings: Vec<Diagnostic>,
}

impl Repository {
    /// Reads a folder. Files that can't be understood are a [`Failure::Files`] with every finding.
    pub fn read(folder: &Path, app: Option<&Path>) -> Result<Repository, Failure> {
        let tree = WorkTree::open(folder)?;
        let (configuration, mut findings) = configuration(&tree)?;
        refuse_errors(&findings)?;
        let app = app.map(|path| tree.relative(path)).transpose()?;
        let deployment = minato_source::discover(&tree, &configuration, app.as_ref())?;
        let revision = minato_source::revision(tree.root())?;
        let around = around(&tree, revision.as_ref())?;
        let loaded = minato_source::load(&tree, around.as_ref().map(|tree| tree as &dyn Tree), &deployment)?;
        findings.extend(loaded.diagnostics);
        refuse_errors(&findings)?;
        let application = application(&tree, loaded.application.as_ref());
        let mut application = application.ok_or_else(|| anyhow!("the Application can't be read"))?;
        application.destination = Destination::Local;
        let alone = match deployment {
            Deployment::Dockerfile(path) => Some(alone(&configuration, &path)),
            _ => None,
        };
        let (images, found) =
            minato_source::our_images(&configuration, &loaded.objects, own_dockerfile(&tree)?.as_ref())?;
        findings.extend(found);
        let document = document(&tree, app.as_ref(), loaded.application.as_ref(), &application);
        let objects = loaded.objects;
        Ok(Repository {
            tree,
            configuration,
            application,
            document,
            objects,
            alone,
            images,
            revision,
            warnings: findings,
        })
    }

    /// How each of its images is built; the Dockerfile alone is one of them.
    pub fn builds(&self) -> impl Iterator<Item = &ImageBuild> {
        self.images.iter().map(|image| &image.build).chain(&self.alone)
    }

    /// The Dockerfile of one of its images.
    pub fn dockerfile(&self, build: &ImageBuild) -> anyhow::Result<Arc<SourceFile>> {
        let context = RelativePath::parse(&build.context).context("context of an image in minato.yaml")?;
        Ok(self.tree.read(&context.join(&build.dockerfile)?)?)
    }
}

fn configuration(tree: &WorkTree) -> Result<(Configuration, Vec<Diagnostic>), Failure> {
    let path = RelativePath::parse(CONFIGURATION_FILE)?;
    if tree.kind(&path)?.is_none() {
        return Ok((Configuration::default(), Vec::new()));
    }
    Ok(Configuration::parse(&tree.read(&path)?))
}

fn refuse_errors(findings: &[Diagnostic]) -> Result<(), Failure> {
    if findings.iter().any(Diagnostic::is_error) { Err(Failure::Files(findings.to_vec())) } else { Ok(()) }
}

/// The Git repository around the folder, when the folder is not its root.
fn around(tree: &WorkTree, revision: Option<&Revision>) -> anyhow::Result<Option<WorkTree>> {
    let root = revision.map(|revision| &revision.root).filter(|root| *root != tree.root());
    root.map(|root| Ok(WorkTree::open(root)?)).transpose()
}

/// What is wrong with its document was told when it was loaded.
fn application(tree: &WorkTree, object: Option<&Object>) -> Option<Application> {
    match object {
        Some(object) => Application::parse(object).0,
        None => Some(Application::local(minato_source::application_name(tree.root()))),
    }
}

/// The Dockerfile of the root, which builds our image when `minato.yaml` says nothing.
fn own_dockerfile(tree: &WorkTree) -> anyhow::Result<Option<ImageBuild>> {
    let build = ImageBuild::in_folder("");
    Ok(tree.kind(&RelativePath::parse(&build.dockerfile)?)?.map(|_| build))
}

fn alone(configuration: &Configuration, path: &RelativePath) -> ImageBuild {
    let configured = configuration.images.first().cloned();
    configured.unwrap_or_else(|| ImageBuild {
        dockerfile: path.name().to_owned(),
        ..ImageBuild::in_folder(path.folder().as_str())
    })
}

/// The Application as it is remembered: with the folder it came from, and on this machine.
fn document(
    tree: &WorkTree,
    app: Option<&RelativePath>,
    object: Option<&Object>,
    application: &Application,
) -> Value {
    let mut document = match object {
        Some(object) => object.value().clone(),
        None => json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": application.name.as_str()},
            "spec": {"source": {"repoURL": format!("file://{}", tree.root().display())}},
        }),
    };
    document["spec"]["destination"] = json!({"server": "local://"});
    if let Some(namespace) = &application.namespace {
        document["spec"]["destination"]["namespace"] = json!(namespace);
    }
    let annotations = &mut document["metadata"]["annotations"];
    annotations[FOLDER_ANNOTATION] = json!(tree.root());
    if let Some(app) = app {
        annotations[APP_ANNOTATION] = json!(app.as_str());
    }
    document
}
