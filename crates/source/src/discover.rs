//! Which files `up DIR` takes.

use minato_resource::{SourceFile, parse_json, parse_yaml};
use minato_task_definition::DocumentKind;

use crate::configuration::Configuration;
use crate::kustomization::{is_kustomization, kustomization_in};
use crate::path::{PathError, RelativePath};
use crate::tree::{EntryKind, Listing, Tree, TreeError};

/// The folder that is taken when nothing else says what to deploy.
const MANIFESTS_FOLDER: &str = "k8s";

/// The largest file that is looked into for an Application or an ECS document, in bytes. ECS takes 64 KiB.
const MAX_LOOK: usize = 1024 * 1024;

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployment {
    /// The file of an Argo CD Application.
    Application(RelativePath),
    /// Every manifest in a folder, or one file of manifests.
    Manifests {
        /// Folder or file.
        path: RelativePath,
        /// Whether folders in it count.
        recurse: bool,
    },
    /// A folder with a kustomization.
    Kustomization(RelativePath),
    /// ECS documents: a task definition, and the service that runs it if there is one.
    Ecs(Vec<RelativePath>),
    /// Only a Dockerfile.
    Dockerfile(RelativePath),
}

/// Why it is not clear what to deploy.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// Several files could be meant.
    #[error(
        "{} {what} could be meant: {}; choose one with `deploy: PATH` in minato.yaml{also}",
        candidates.len(), listed(candidates)
    )]
    Ambiguous {
        /// What was found more than once: `Applications`.
        what: &'static str,
        /// Where.
        candidates: Vec<RelativePath>,
        /// Another way to choose.
        also: &'static str,
    },
    /// What is named does not exist.
    #[error("{what} names `{path}`, which does not exist in {}", root.display())]
    Missing {
        /// Who names it: `deploy in minato.yaml`.
        what: &'static str,
        /// The path.
        path: RelativePath,
        /// The tree.
        root: std::path::PathBuf,
    },
    /// It needs a renderer that is not there yet.
    #[error(
        "{path}: Helm charts are not rendered yet; name plain manifests or a kustomization with `path` in the Application, or with `deploy: PATH` in minato.yaml"
    )]
    Chart {
        /// The file.
        path: RelativePath,
    },
    /// A kustomization among manifests: its resources would be taken for manifests of their own.
    #[error(
        "{path}: this is a kustomization among plain manifests; name its folder with `path` in the Application, or with `deploy: PATH` in minato.yaml"
    )]
    KustomizationInside {
        /// The file.
        path: RelativePath,
    },
    /// There is nothing.
    #[error(
        "{}: nothing to deploy: there is no Argo CD Application, no {MANIFESTS_FOLDER}/ folder, no ECS task definition and no Dockerfile; \
         name it with `deploy: PATH` in minato.yaml, or with --app",
        root.display()
    )]
    Nothing {
        /// The tree.
        root: std::path::PathBuf,
    },
    /// A path that leaves the tree.
    #[error("{what}: {source}")]
    Path {
        /// Who names it.
        what: &'static str,
        /// What is wrong with it.
        source: PathError,
    },
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Finds what is deployed, the first of: `app`, a file named on the command line; `deploy` in `minato.yaml`; an
/// Application in the tree; a kustomization; `k8s/`; ECS documents; a Dockerfile alone.
///
/// # Errors
/// Two candidates of one rank, nothing at all, or what is named is not there.
pub fn discover(
    tree: &dyn Tree,
    configuration: &Configuration,
    app: Option<&RelativePath>,
) -> Result<Deployment, DiscoverError> {
    if let Some(path) = app {
        return named(tree, path.clone(), "--app");
    }
    if let Some(deploy) = &configuration.deploy {
        const WHAT: &str = "`deploy` in minato.yaml";
        let path = RelativePath::parse(&deploy.value);
        return named(tree, path.map_err(|source| DiscoverError::Path { what: WHAT, source })?, WHAT);
    }
    let look = Look { tree, configuration, listing: tree.list(&RelativePath::root())? };
    for rank in RANKS {
        if let Some(deployment) = rank(&look)? {
            return Ok(deployment);
        }
    }
    Err(DiscoverError::Nothing { root: tree.show(&RelativePath::root()) })
}

/// What can be seen of a tree.
struct Look<'tree> {
    tree: &'tree dyn Tree,
    configuration: &'tree Configuration,
    listing: Listing,
}

/// A way to find a deployment; `None` when there is none of its sort.
type Rank = fn(&Look<'_>) -> Result<Option<Deployment>, DiscoverError>;

const RANKS: [Rank; 5] = [application, kustomization, manifests_folder, ecs, dockerfile];

/// What the user names is taken for what it is.
fn named(tree: &dyn Tree, path: RelativePath, what: &'static str) -> Result<Deployment, DiscoverError> {
    match tree.kind(&path)? {
        None => Err(DiscoverError::Missing { what, path, root: tree.show(&RelativePath::root()) }),
        Some(EntryKind::Folder) => {
            refuse_chart(tree, &path)?;
            Ok(match kustomization_in(tree, &path)? {
                Some(_) => Deployment::Kustomization(path),
                None => Deployment::Manifests { path, recurse: true },
            })
        }
        Some(EntryKind::File) if is_kustomization(&path) => Ok(Deployment::Kustomization(path.folder())),
        Some(EntryKind::File) => {
            let file = tree.read(&path)?;
            Ok(if holds_application(&file) {
                Deployment::Application(path)
            } else if minato_task_definition::kind_of(&file).is_some() {
                Deployment::Ecs(vec![path])
            } else if path.name().contains("Dockerfile") {
                Deployment::Dockerfile(path)
            } else {
                Deployment::Manifests { path, recurse: false }
            })
        }
    }
}

/// A Helm chart's files are no manifests by themselves.
pub(crate) fn refuse_chart(tree: &dyn Tree, folder: &RelativePath) -> Result<(), DiscoverError> {
    let path = folder.child("Chart.yaml");
    if tree.kind(&path)?.is_some() { Err(DiscoverError::Chart { path }) } else { Ok(()) }
}

fn application(look: &Look<'_>) -> Result<Option<Deployment>, DiscoverError> {
    let candidates = look.listing.files.iter().filter(|path| is_manifest(path));
    let candidates =
        candidates.filter(|path| looked_into(look.tree, path).is_some_and(|file| holds_application(&file)));
    let path = one("Applications", candidates.cloned().collect(), ", or with --app FILE")?;
    Ok(path.map(Deployment::Application))
}

/// The one at the root, else the only one.
fn kustomization(look: &Look<'_>) -> Result<Option<Deployment>, DiscoverError> {
    let files = look.listing.files.iter().filter(|path| is_kustomization(path));
    let at_root: Vec<RelativePath> = files.clone().filter(|path| path.folder().is_root()).cloned().collect();
    let candidates = if at_root.is_empty() { files.cloned().collect() } else { at_root };
    let one = one("kustomizations", candidates, ", or with --app DIR")?;
    Ok(one.map(|path| Deployment::Kustomization(path.folder())))
}

fn manifests_folder(look: &Look<'_>) -> Result<Option<Deployment>, DiscoverError> {
    let path = RelativePath::root().child(MANIFESTS_FOLDER);
    let is_folder = look.tree.kind(&path)? == Some(EntryKind::Folder);
    Ok(is_folder.then_some(Deployment::Manifests { path, recurse: true }))
}

/// One task definition and the service that runs it, each in a file.
fn ecs(look: &Look<'_>) -> Result<Option<Deployment>, DiscoverError> {
    let (mut tasks, mut services) = (Vec::new(), Vec::new());
    for path in look.listing.files.iter().filter(|path| path.extension() == "json") {
        let Some(file) = looked_into(look.tree, path) else { continue };
        let may_be = ["containerDefinitions", "serviceName", "taskDefinition"];
        let named = path.name().contains("task-definition");
        if !named && !may_be.iter().any(|word| file.text().contains(word)) {
            continue;
        }
        match minato_task_definition::kind_of(&file) {
            Some(DocumentKind::TaskDefinition) => tasks.push(path.clone()),
            Some(DocumentKind::Service) => services.push(path.clone()),
            // By its name it is meant to be one: what is wrong with it is told when it is loaded.
            None if named => tasks.push(path.clone()),
            None => {}
        }
    }
    let Some(task) = one("ECS task definitions", tasks, "")? else { return Ok(None) };
    let service = one("ECS service definitions", services, "")?;
    Ok(Some(Deployment::Ecs([task].into_iter().chain(service).collect())))
}

fn dockerfile(look: &Look<'_>) -> Result<Option<Deployment>, DiscoverError> {
    if let [image] = look.configuration.images.as_slice() {
        let path = RelativePath::parse(&image.context).and_then(|context| context.join(&image.dockerfile));
        let path = path.map_err(|source| DiscoverError::Path { what: "`images` in minato.yaml", source })?;
        return Ok(Some(Deployment::Dockerfile(path)));
    }
    let found = look.listing.files.iter().filter(|path| path.name() == "Dockerfile");
    let at_root: Vec<RelativePath> = found.clone().filter(|path| path.folder().is_root()).cloned().collect();
    let candidates = if at_root.is_empty() { found.cloned().collect() } else { at_root };
    Ok(one("Dockerfiles", candidates, ", or with `images`")?.map(Deployment::Dockerfile))
}

fn one(
    what: &'static str,
    candidates: Vec<RelativePath>,
    also: &'static str,
) -> Result<Option<RelativePath>, DiscoverError> {
    if candidates.len() > 1 {
        return Err(DiscoverError::Ambiguous { what, candidates, also });
    }
    Ok(candidates.into_iter().next())
}

pub(crate) fn is_manifest(path: &RelativePath) -> bool {
    matches!(path.extension(), "yaml" | "yml" | "json")
}

/// A file of the tree, when it can be read and is small enough; a tree holds many files that are none of ours.
fn looked_into(tree: &dyn Tree, path: &RelativePath) -> Option<std::sync::Arc<SourceFile>> {
    tree.read(path).ok().filter(|file| file.text().len() <= MAX_LOOK)
}

fn holds_application(file: &std::sync::Arc<SourceFile>) -> bool {
    // Most files are told apart by their text alone.
    if !file.text().contains("argoproj.io/") {
        return false;
    }
    let is_json = file.path().extension().is_some_and(|extension| extension == "json");
    let (objects, _) = if is_json { parse_json(file) } else { parse_yaml(file) };
    objects.iter().any(|object| object.key().is("argoproj.io", "Application"))
}

fn listed(paths: &[RelativePath]) -> String {
    const SHOWN: usize = 10;
    let mut shown: Vec<String> = paths.iter().take(SHOWN).map(ToString::to_string).collect();
    if paths.len() > SHOWN {
        shown.push(format!("and {} more", paths.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests;
