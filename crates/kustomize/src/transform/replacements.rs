//! `replacements`: a value of one resource, copied into fields of others.

use std::sync::Arc;

use minato_resource::document::{Data, Dialect};
use minato_resource::{Diagnostic, SourceFile};
use serde_json::Value;

use super::Operation;
use crate::decode::{Decoder, Spanned};
use crate::identity::IdSelector;
use crate::kustomization::{FieldOptions, Replacement, ReplacementEntry, Source, Target, read_replacements};
use crate::layer::{Build, Stopped};
use crate::loader::Root;
use crate::path;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schema;
use crate::selector::Requirements;
use crate::value;

/// The field that is meant when none is named.
const DEFAULT_FIELD: &str = "metadata.name";

/// Copies values, one replacement after the other.
#[derive(Debug)]
pub(crate) struct Replace(pub(crate) Vec<Replacement>);

/// The replacements of a list; files among them are loaded.
pub(crate) fn read(
    build: &mut Build<'_>,
    root: &Root<'_>,
    file: &Arc<SourceFile>,
    entries: &[Spanned<ReplacementEntry>],
) -> Result<Replace, Stopped> {
    let mut replacements = Vec::new();
    for entry in entries {
        let inline = &entry.value.replacement;
        match &entry.value.path {
            None => replacements.push(inline.clone()),
            Some(path)
                if inline.source.is_some()
                    || inline.targets.as_ref().is_some_and(|targets| !targets.is_empty()) =>
            {
                let refusal = Refusal::new(
                    "replacement",
                    "a replacement has `path`, or `source` and `targets`, not both",
                );
                return build.told_in(file, path.span, Err(refusal));
            }
            Some(path) => {
                let loaded = build.loader.text(root, &path.value);
                let loaded = build.told_in(file, path.span, loaded)?;
                let read = from_file(&loaded);
                replacements.extend(build.all_told(read)?);
            }
        }
    }
    Ok(Replace(replacements))
}

/// A file of one replacement, or of a list of them.
fn from_file(file: &Arc<SourceFile>) -> Result<Vec<Replacement>, Vec<Diagnostic>> {
    let (documents, diagnostics) = crate::manifest::documents(file, Dialect::Kubectl);
    let mut decoder = Decoder { file, diagnostics, lenient: false };
    let mut found = Vec::new();
    if let Some(document) = documents.into_iter().next() {
        let list = match document.data {
            Data::Mapping(_) => {
                minato_resource::document::Node::new(Data::Sequence(vec![document.clone()]), document.span)
            }
            _ => document,
        };
        found =
            read_replacements(&mut decoder, &list).into_iter().map(|entry| entry.value.replacement).collect();
    }
    if decoder.diagnostics.iter().any(Diagnostic::is_error) { Err(decoder.diagnostics) } else { Ok(found) }
}

impl Operation for Replace {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        for replacement in &self.0 {
            let (Some(source), Some(targets)) = (&replacement.source, &replacement.targets) else {
                return Err(Refusal::new("replacement", "a replacement needs a `source` and `targets`"));
            };
            let value = source_value(resources.as_slice(), &source.value)?;
            for target in targets {
                apply(resources, &value, &target.value)?;
            }
        }
        Ok(())
    }
}

/// The value that is copied.
fn source_value(resources: &[Resource], source: &Source) -> Result<Value, Refusal> {
    let mut matches = resources.iter().filter(|resource| is_selected(resource, &source.id));
    let resource = match (matches.next(), matches.next()) {
        (Some(resource), None) => resource,
        (Some(_), Some(_)) => {
            return Err(Refusal::new(
                "ambiguous-source",
                format!("more than one resource is `{}`", source.id),
            ));
        }
        (None, _) => {
            let names = resources.iter().map(|resource| resource.id().name.as_str());
            return Err(Refusal::new("missing-source", format!("there is no `{}` to copy from", source.id))
                .suggesting(&source.id.name, names));
        }
    };
    let path = if source.field_path.is_empty() { DEFAULT_FIELD } else { &source.field_path };
    let found = path::lookup(&resource.value, &path::parse(path))?.filter(|value| !value::is_empty(value));
    let Some(found) = found else {
        return Err(missing_field(resource, path));
    };
    refined(found, &source.options)
}

/// The part of a text that is meant, or the whole value.
fn refined(found: &Value, options: &FieldOptions) -> Result<Value, Refusal> {
    if options.delimiter.is_empty() {
        return Ok(found.clone());
    }
    scalar(found)?;
    let text = value::text(found);
    let part =
        usize::try_from(options.index).ok().and_then(|index| text.split(&options.delimiter).nth(index));
    let part = part.ok_or_else(|| {
        Refusal::new("replacement-index", format!("there is no part {} in the source's value", options.index))
    })?;
    value::retyped(found, part)
        .ok_or_else(|| Refusal::new("wrong-type", format!("`{part}` is not {}", value::kind_name(found))))
}

fn scalar(value: &Value) -> Result<(), Refusal> {
    if value.is_array() || value.is_object() {
        return Err(Refusal::new(
            "wrong-type",
            format!("`delimiter` needs a scalar, found {}", value::kind_name(value)),
        ));
    }
    Ok(())
}

fn missing_field(resource: &Resource, path: &str) -> Refusal {
    let refusal = Refusal::new("missing-field", format!("`{}` has no field `{path}`", resource.id()));
    let parts = path::parse(path);
    // The deepest part that is there tells what its neighbours are called.
    let mut parent = &resource.value;
    for part in &parts {
        match path::lookup(parent, std::slice::from_ref(part)) {
            Ok(Some(value)) => parent = value,
            _ => {
                let names = parent.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
                return refusal.suggesting(part, names);
            }
        }
    }
    refusal
}

fn apply(resources: &mut Resources, value: &Value, target: &Target) -> Result<(), Refusal> {
    let Some(select) = &target.select else {
        return Err(Refusal::new("replacement", "a replacement's target needs `select`"));
    };
    let labels = Requirements::parse(&select.labels)?;
    let annotations = Requirements::parse(&select.annotations)?;
    let mut rejected = Vec::with_capacity(target.reject.len());
    for reject in &target.reject {
        rejected.push((
            reject,
            Requirements::parse(&reject.labels)?,
            Requirements::parse(&reject.annotations)?,
        ));
    }
    let meant = |resource: &Resource| {
        labels.match_labels(resource)
            && annotations.match_annotations(resource)
            && is_selected(resource, &select.id)
            && !rejected.iter().any(|(reject, labels, annotations)| {
                let by_text = !(labels.is_empty() && annotations.is_empty());
                (by_text && labels.match_labels(resource) && annotations.match_annotations(resource))
                    || (!reject.id.is_empty() && is_selected(resource, &reject.id))
            })
    };
    for resource in resources.list_mut().iter_mut().filter(|resource| meant(resource)) {
        write(resource, value, target)?;
        resource.refresh();
    }
    Ok(())
}

/// True when a resource is, or was, what a selector says.
fn is_selected(resource: &Resource, selector: &IdSelector) -> bool {
    let id = resource.id();
    let selects = |kind: &str, name: &str, namespace: &str| {
        selector.selects(&id.gvk.group, &id.gvk.version, kind, name, namespace)
    };
    let namespace = if id.namespace.is_empty() { "default" } else { &id.namespace };
    selects(&id.gvk.kind, &id.name, namespace)
        || resource
            .previous
            .iter()
            .any(|previous| selects(&previous.kind, &previous.name, &previous.namespace))
}

fn write(resource: &mut Resource, value: &Value, target: &Target) -> Result<(), Refusal> {
    let default = [DEFAULT_FIELD.to_owned()];
    let paths: Vec<&String> = match target.field_paths.is_empty() {
        true => default.iter().collect(),
        false => target.field_paths.iter().map(|path| &path.value).collect(),
    };
    for path in paths {
        let parts = path::parse(path);
        let make = target.options.create.then(|| path::Made::of(value));
        let mut written = 0;
        let mut set = |field: path::Field<'_>| {
            written += 1;
            put(field, value, &target.options)
        };
        path::visit(&mut resource.value, &parts, make, &mut set).map_err(|refusal| Refusal {
            message: format!("`{}`, field `{path}`: {}", resource.id(), refusal.message),
            ..refusal
        })?;
        if written == 0 {
            let refusal = missing_field(resource, path);
            return Err(if target.options.create {
                refusal
            } else {
                refusal.with_hint_if_none("`options: {create: true}` makes it")
            });
        }
    }
    Ok(())
}

/// Puts the value into a field. A scalar keeps its type; anything else is replaced.
fn put(field: path::Field<'_>, value: &Value, options: &FieldOptions) -> Result<(), Refusal> {
    let target = field.value;
    let mut text = value::text(value);
    if !options.delimiter.is_empty() {
        scalar(target)?;
        let old = if field.made { String::new() } else { value::text(target) };
        text = joined(&old, &text, options);
    } else if target.is_array() || target.is_object() {
        *target = value.clone();
        return Ok(());
    }
    let new = if field.made { Some(value::plain(&text)) } else { value::retyped(target, &text) };
    *target = new.ok_or_else(|| {
        let kind = value::kind_name(target);
        Refusal::new("wrong-type", format!("the field holds {kind}, which the source's value is not"))
    })?;
    Ok(())
}

/// One part of the old text replaced; a position before the first or behind the last adds a part.
fn joined(old: &str, new: &str, options: &FieldOptions) -> String {
    let mut parts: Vec<&str> = old.split(&options.delimiter).collect();
    match usize::try_from(options.index) {
        Err(_) => parts.insert(0, new),
        Ok(index) if index >= parts.len() => parts.push(new),
        Ok(index) => parts[index] = new,
    }
    parts.join(&options.delimiter)
}
