//! The whole of a render: the layers, then what is done once, to everything.

use minato_resource::{Diagnostic, Object, Severity};

use crate::files::{FilePath, Files, Found};
use crate::hash;
use crate::kustomization::{Kustomization, SortOptions};
use crate::layer::{Build, Layer, Located, Stopped};
use crate::loader::{Loader, Root};
use crate::order::KindOrder;
use crate::provenance;
use crate::references;
use crate::refusal::Refusal;
use crate::resource::Resource;

/// What `managedByLabel` writes; `kubectl` does not know the version of the Kustomize within it.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kustomize-(devel)");

/// An object with this annotation is for tools, and is not rendered.
const LOCAL: &str = "config.kubernetes.io/local-config";

/// Renders the kustomization of a folder.
///
/// With an error among the diagnostics there are no Objects; without one, they are in the order in which
/// `kubectl kustomize` prints them.
pub fn build(files: &dyn Files, folder: &FilePath) -> (Vec<Object>, Vec<Diagnostic>) {
    let mut build = Build::new(Loader::new(files));
    let rendered = render(&mut build, files, folder);
    let mut diagnostics = build.diagnostics;
    match rendered {
        Ok(objects) => (objects, diagnostics),
        Err(Stopped) => {
            diagnostics.retain(Diagnostic::is_error);
            (Vec::new(), diagnostics)
        }
    }
}

fn render(build: &mut Build<'_>, files: &dyn Files, folder: &FilePath) -> Result<Vec<Object>, Stopped> {
    let root = match files.find(folder) {
        Ok(Some(Found::Folder(folder))) => Root::top(folder),
        _ => {
            let message = format!("{} is no folder", files.show(folder).display());
            return Err(nowhere(build, Refusal::new("missing-file", message)));
        }
    };
    let whole = match build.read(&root) {
        Ok(whole) => whole,
        Err(Located::Told) => return Err(Stopped),
        Err(Located::Nowhere(refusal)) => return Err(nowhere(build, refusal)),
    };
    build.metadata = whole.build_metadata;
    build.open_api(&root, &whole)?;
    let layer = build.layer(&root, &whole, "")?;
    let resources = finish(build, &whole, layer)?;
    objects(build, &whole, resources)
}

/// A refusal that no file's text is to blame for.
fn nowhere(build: &mut Build<'_>, refusal: Refusal) -> Stopped {
    let diagnostic = Diagnostic::without_location(Severity::Error, refusal.code, refusal.message);
    build.diagnostics.push(match refusal.hint {
        Some(hint) => diagnostic.with_hint(hint),
        None => diagnostic,
    });
    Stopped
}

/// What is done once, when all layers are there.
fn finish(build: &mut Build<'_>, whole: &Kustomization, layer: Layer) -> Result<Vec<Resource>, Stopped> {
    let Layer { resources, configuration, vars } = layer;
    let mut resources = resources.into_list();
    let place = minato_resource::Span::at(0);
    hash::add_suffixes(&mut resources);
    build.told(whole, place, references::update(&mut resources, &configuration))?;
    build.told(whole, place, vars.resolve(&mut resources, &configuration.var_reference))?;
    resources.retain(|resource| !is_local(resource));
    match whole.sort_options.as_ref().map(|options| &options.value) {
        Some(SortOptions::Fifo) => {}
        Some(SortOptions::Legacy(order)) => order.sort(&mut resources),
        None => KindOrder::default().sort(&mut resources),
    }
    build.told(whole, place, unique(&resources))?;
    resources.iter_mut().for_each(|resource| annotate(resource, whole));
    Ok(resources)
}

fn is_local(resource: &Resource) -> bool {
    resource.annotation(LOCAL).is_some_and(|text| text != "false")
}

/// Renaming may have made two resources the same.
fn unique(resources: &[Resource]) -> Result<(), Refusal> {
    let mut seen = std::collections::HashSet::with_capacity(resources.len());
    let key = |resource: &Resource| {
        let id = resource.id();
        (id.gvk.clone(), id.name.clone(), id.effective_namespace().to_owned())
    };
    match resources.iter().find(|resource| !seen.insert(key(resource))) {
        Some(twice) => Err(Refusal::new("duplicate-resource", format!("`{}` is there twice", twice.id()))),
        None => Ok(()),
    }
}

fn annotate(resource: &mut Resource, whole: &Kustomization) {
    if whole.build_metadata.managed_by {
        let mut labels = resource.texts("labels");
        labels.retain(|(key, _)| key != MANAGED_BY.0);
        labels.push((MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()));
        resource.set_texts("labels", labels);
    }
    provenance::clean_annotations(resource);
    if whole.build_metadata.origins {
        provenance::annotate_origin(resource);
    }
    if whole.build_metadata.transformations {
        provenance::annotate_transformations(resource);
    }
}

fn objects(
    build: &mut Build<'_>,
    whole: &Kustomization,
    resources: Vec<Resource>,
) -> Result<Vec<Object>, Stopped> {
    let mut objects = Vec::with_capacity(resources.len());
    for resource in resources {
        let (id, place) = (resource.id().clone(), resource.place);
        match Object::from_value(resource.value) {
            Ok(object) => objects.push(object),
            Err(error) => {
                let refusal = Refusal::new("not-an-object", format!("`{id}`: {error}"));
                let (file, span) = match place {
                    Some(place) => (place.file, place.span),
                    None => (std::sync::Arc::clone(&whole.file), minato_resource::Span::at(0)),
                };
                build.diagnostics.push(refusal.at(&file, span));
                return Err(Stopped);
            }
        }
    }
    Ok(objects)
}
