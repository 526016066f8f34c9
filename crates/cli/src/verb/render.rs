//! `minato render`: the Objects that a folder stands for.

use std::path::Path;

use anyhow::{Context, anyhow};
use minato_kustomize::{FILE_NAMES, build};
use minato_oci::Reference;
use minato_resource::{Diagnostic, Object, emit};
use minato_source::{
    Deployment, ImageUse, RelativePath, Replacement, Tree, WorkTree, image_uses, load, substitute,
};

use crate::adapter::Disk;
use crate::arguments::{RenderArguments, RenderOutput};
use crate::exit::Failure;
use crate::findings;
use crate::print::{self, Printer};

/// Prints them; nothing is printed when anything is wrong.
pub fn run(printer: &Printer, arguments: &RenderArguments) -> Result<(), Failure> {
    let (objects, diagnostics) = objects(&arguments.directory)?;
    findings::refuse(printer, &diagnostics)?;
    let replacements = replacements(&arguments.set_image)?;
    let objects = with_images(objects, &replacements)?;
    let text = match arguments.output {
        RenderOutput::Yaml => emit::to_yaml_documents(objects.iter().map(Object::value)),
        RenderOutput::Json => serde_json::to_string_pretty(&objects)? + "\n",
    };
    // The program ends with this: to take thousands of Objects apart first would be lost time.
    std::mem::forget(objects);
    print::to_stdout(&text)
}

/// A kustomization is rendered; a plain folder stands for the manifests in it, and a file for its own.
fn objects(path: &Path) -> Result<(Vec<Object>, Vec<Diagnostic>), Failure> {
    let is_kustomization = FILE_NAMES.iter().any(|name| path.join(name).is_file());
    if is_kustomization { kustomization(path) } else { manifests(path) }
}

fn kustomization(folder: &Path) -> Result<(Vec<Object>, Vec<Diagnostic>), Failure> {
    let disk = Disk::open(folder).with_context(|| folder.display().to_string())?;
    let start = disk.folder().ok_or_else(|| anyhow!("{}: the path is not UTF-8", folder.display()))?;
    Ok(build(&disk, &start))
}

fn manifests(path: &Path) -> Result<(Vec<Object>, Vec<Diagnostic>), Failure> {
    let (folder, file) = match path.is_file() {
        true => (
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            Some(path),
        ),
        false => (path, None),
    };
    let tree = WorkTree::open(folder)?;
    let path = file.map_or_else(|| Ok(RelativePath::root()), |file| tree.relative(file))?;
    let loaded = load(&tree, None, &Deployment::Manifests { path, recurse: true })?;
    if loaded.objects.is_empty() && loaded.diagnostics.is_empty() {
        let shown = tree.show(&RelativePath::root());
        return Err(anyhow!(
            "{}: there is no kustomization and no manifest; give a folder that has one",
            shown.display()
        )
        .into());
    }
    Ok((loaded.objects, loaded.diagnostics))
}

/// `--set-image REFERENCE`, or `--set-image REPOSITORY=REFERENCE`.
fn replacements(texts: &[String]) -> Result<Vec<Replacement>, Failure> {
    let parse = |text: &String| {
        let (repository, image) = text.split_once('=').unwrap_or((text, text));
        let wrong = |text: &str| format!("--set-image {text}: this is no image reference");
        image.parse::<Reference>().with_context(|| wrong(image))?;
        let repository: Reference = repository.parse().with_context(|| wrong(repository))?;
        Ok(Replacement { repository, image: image.to_owned() })
    };
    texts.iter().map(parse).collect::<Result<_, anyhow::Error>>().map_err(Failure::from)
}

/// Every image that is asked for must be in use: a name that is not would change nothing, silently.
fn with_images(objects: Vec<Object>, replacements: &[Replacement]) -> Result<Vec<Object>, Failure> {
    if replacements.is_empty() {
        return Ok(objects);
    }
    let changed = objects.iter().map(|object| substitute(object, replacements));
    let changed = changed.collect::<Result<Vec<_>, _>>()?;
    for replacement in replacements {
        if !objects.iter().any(|object| uses(object, replacement)) {
            return Err(
                anyhow!("--set-image {}: no container uses this image", replacement.repository).into()
            );
        }
    }
    Ok(changed)
}

fn uses(object: &Object, replacement: &Replacement) -> bool {
    let images = image_uses(object);
    images.iter().filter_map(ImageUse::reference).any(|used| used.name() == replacement.repository.name())
}
