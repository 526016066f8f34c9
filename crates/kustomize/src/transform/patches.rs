//! `patches`, `patchesStrategicMerge` and `patchesJson6902`.

use std::sync::Arc;

use minato_resource::SourceFile;
use serde_json::Value;

use super::{Operation, Transformer};
use crate::decode::Spanned;
use crate::kustomization::{self, Kustomization};
use crate::layer::{Build, Stopped};
use crate::loader::Root;
use crate::manifest;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::{NameIndex, Resources};
use crate::schema::{JsonPatch, Schema};
use crate::selector::Matcher;
use crate::value::text;

/// A patch, ready to be applied.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) text: PatchText,
    pub(crate) target: Option<Matcher>,
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
}

/// Which sort of patch a text is.
#[derive(Debug)]
pub(crate) enum PatchText {
    /// Parts of resources, to be merged into those of the same kind and name, or into the target.
    Merge(Vec<Resource>),
    /// Operations on the target.
    Json(JsonPatch),
}

/// Patches that count as one transformation.
pub(super) struct Several(pub(super) Vec<Transformer>);

impl Operation for Several {
    fn apply(&self, resources: &mut Resources, schema: &Schema) -> Result<(), Refusal> {
        self.0.iter().try_for_each(|patch| patch.operation.apply(resources, schema))
    }
}

/// An entry of `patchesStrategicMerge`: a text, or the path of a file.
pub(super) fn legacy(
    build: &mut Build<'_>,
    root: &Root<'_>,
    whole: &Kustomization,
    entry: &Spanned<String>,
) -> Result<(Patch, minato_resource::Span), Stopped> {
    let inline = manifest::read(&manifest::inline(&whole.file, &entry.value));
    let mut resources = match inline {
        Ok(resources) => resources,
        Err(_) => {
            let file = build.loader.text(root, &entry.value);
            let file = build.told(whole, entry.span, file)?;
            build.manifest(&file)?
        }
    };
    resources.iter_mut().for_each(|resource| metadata_as_text(&mut resource.value));
    Ok((
        Patch {
            text: PatchText::Merge(resources),
            target: None,
            allow_name_change: false,
            allow_kind_change: false,
        },
        entry.span,
    ))
}

/// An entry of `patches`.
pub(super) fn read(
    build: &mut Build<'_>,
    root: &Root<'_>,
    whole: &Kustomization,
    patch: &Spanned<kustomization::Patch>,
) -> Result<Patch, Stopped> {
    let (file, span) = text_of(build, root, whole, patch)?;
    let text = parse(&file);
    let text = build.told(whole, span, text)?;
    let target = patch.value.target.as_ref().map(|target| (Matcher::new(&target.value), target.span));
    let target = target.map(|(target, span)| build.told(whole, span, target)).transpose()?;
    let refusal = match (&text, &target) {
        (PatchText::Merge(resources), None) if resources.is_empty() => Some("the patch is empty"),
        (PatchText::Json(_), None) => Some("a JSON patch needs a `target`"),
        (PatchText::Merge(resources), Some(_)) if resources.len() > 1 => {
            Some("a patch with a `target` must be of one document")
        }
        _ => None,
    };
    if let Some(message) = refusal {
        return build.told(whole, patch.span, Err(Refusal::new("patch-target", message)));
    }
    let (allow_name_change, allow_kind_change) =
        (patch.value.allow_name_change, patch.value.allow_kind_change);
    Ok(Patch { text, target, allow_name_change, allow_kind_change })
}

/// An entry of `patchesJson6902`: always operations, and the target has a name.
pub(super) fn read_json6902(
    build: &mut Build<'_>,
    root: &Root<'_>,
    whole: &Kustomization,
    patch: &Spanned<kustomization::Patch>,
) -> Result<JsonOnly, Stopped> {
    let (file, span) = text_of(build, root, whole, patch)?;
    let text = JsonPatch::parse(&file).and_then(|patch| match patch.is_empty() {
        true => Err(Refusal::new("patch-empty", "the patch has no operations")),
        false => Ok(patch),
    });
    let text = build.told(whole, span, text)?;
    let named = patch.value.target.as_ref().filter(|target| !target.value.id.name.is_empty());
    let target = named.map(|target| Matcher::new(&target.value));
    let missing = || Err(Refusal::new("patch-target", "the patch has no `target` with a `name`"));
    let target = build.told(whole, patch.span, target.unwrap_or_else(missing))?;
    Ok(JsonOnly { patch: text, target })
}

/// The text of a patch, and the place that its mistakes are shown at.
fn text_of(
    build: &mut Build<'_>,
    root: &Root<'_>,
    whole: &Kustomization,
    patch: &Spanned<kustomization::Patch>,
) -> Result<(Arc<SourceFile>, minato_resource::Span), Stopped> {
    let text = patch.value.text.as_ref().filter(|text| !text.value.trim().is_empty());
    match (&patch.value.path, text) {
        (Some(path), None) => {
            let file = build.loader.text(root, &path.value);
            Ok((build.told(whole, path.span, file)?, path.span))
        }
        (None, Some(text)) => Ok((manifest::inline(&whole.file, text.value.trim()), text.span)),
        (Some(_), Some(_)) => build.told(
            whole,
            patch.span,
            Err(Refusal::new("patch-text", "a patch has `path` or `patch`, not both")),
        ),
        (None, None) => {
            build.told(whole, patch.span, Err(Refusal::new("patch-text", "a patch needs `path` or `patch`")))
        }
    }
}

/// Tells the two sorts of patch apart.
///
/// # Errors
/// It is neither, or both.
pub(crate) fn parse(file: &Arc<SourceFile>) -> Result<PatchText, Refusal> {
    match (manifest::read(file), JsonPatch::parse(file)) {
        (Ok(resources), Err(_)) => Ok(PatchText::Merge(resources)),
        (Err(_), Ok(patch)) => Ok(PatchText::Json(patch)),
        (Ok(_), Ok(_)) => Err(Refusal::new(
            "patch-text",
            "the patch is empty: it could be a strategic merge patch or a JSON patch",
        )),
        (Err(merge), Err(json)) => Err(neither(file, &merge, json)),
    }
}

/// Says what is wrong with the sort of patch that it most likely is.
fn neither(file: &SourceFile, merge: &[minato_resource::Diagnostic], json: Refusal) -> Refusal {
    let looks_like_operations = file.text().trim_start().starts_with(['-', '[']);
    let reason = match merge.first() {
        Some(diagnostic) if !looks_like_operations => diagnostic.message.clone(),
        _ => json.message,
    };
    let name = if looks_like_operations { "JSON patch" } else { "strategic merge patch" };
    Refusal::new("patch-text", format!("this is no {name}: {reason}"))
}

/// Kustomize copies labels and annotations of these patches as maps of text before it merges them: `null` does not remove
/// there, and an empty map says nothing.
fn metadata_as_text(patch: &mut Value) {
    let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for field in ["labels", "annotations"] {
        match metadata.get_mut(field) {
            Some(Value::Object(entries)) if !entries.is_empty() => {
                entries.values_mut().for_each(|value| *value = Value::String(text(value)));
            }
            Some(_) => drop(metadata.shift_remove(field)),
            None => {}
        }
    }
}

impl Operation for Patch {
    fn apply(&self, resources: &mut Resources, schema: &Schema) -> Result<(), Refusal> {
        match (&self.text, &self.target) {
            (PatchText::Merge(patches), Some(target)) => match patches.first() {
                Some(patch) => self.merge_into_targets(patch, target, resources, schema),
                None => Ok(()),
            },
            (PatchText::Merge(patches), None) => self.merge_by_name(patches, resources, schema),
            (PatchText::Json(patch), Some(target)) => {
                let remember = Resource::remember;
                apply_json(patch, target, resources, remember)
            }
            (PatchText::Json(_), None) => Err(Refusal::new("patch-target", "a JSON patch needs a `target`")),
        }
    }
}

impl Patch {
    fn merge_by_name(
        &self,
        patches: &[Resource],
        resources: &mut Resources,
        schema: &Schema,
    ) -> Result<(), Refusal> {
        let mut index = NameIndex::new(resources.as_slice());
        for patch in patches {
            let position = target_of(patch, resources.as_slice(), &index)?;
            let resource = &mut resources.list_mut()[position];
            self.merge(resource, &patch.value, patch, schema)?;
            index.add(position, resource);
        }
        self.check_names(resources)
    }

    fn merge_into_targets(
        &self,
        patch: &Resource,
        target: &Matcher,
        resources: &mut Resources,
        schema: &Schema,
    ) -> Result<(), Refusal> {
        for resource in resources.list_mut().iter_mut().filter(|resource| target.matches(resource)) {
            let mut value = patch.value.clone();
            metadata_as_text(&mut value);
            if let Some(fields) = value.as_object_mut() {
                let api_version = resource.id().gvk.api_version();
                fields.insert("apiVersion".to_owned(), Value::String(api_version));
            }
            self.merge(resource, &value, patch, schema)?;
        }
        self.check_names(resources)
    }

    /// Merges a patch into a resource, which keeps its name, kind and namespace unless the patch may change them.
    fn merge(
        &self,
        resource: &mut Resource,
        patch: &Value,
        written: &Resource,
        schema: &Schema,
    ) -> Result<(), Refusal> {
        if self.allow_name_change || self.allow_kind_change {
            resource.remember();
        }
        let id = resource.id().clone();
        schema.strategic_merge(&mut resource.value, patch).map_err(|refusal| Refusal {
            message: format!("patch `{}`: {}", written.id(), refusal.message),
            ..refusal
        })?;
        if resource.is_deleted() {
            resource.refresh();
            return Ok(());
        }
        if !self.allow_kind_change
            && let Some(fields) = resource.value.as_object_mut()
        {
            fields.insert("kind".to_owned(), Value::String(id.gvk.kind.clone()));
        }
        if !self.allow_name_change {
            resource.set_name(&id.name);
        }
        resource.set_namespace(&id.namespace);
        resource.refresh();
        Ok(())
    }

    fn check_names(&self, resources: &Resources) -> Result<(), Refusal> {
        if self.allow_name_change || self.allow_kind_change { resources.check_unique() } else { Ok(()) }
    }
}

/// The one resource that is, or was, what a patch says.
fn target_of(patch: &Resource, resources: &[Resource], index: &NameIndex) -> Result<usize, Refusal> {
    let id = patch.id();
    let meant =
        |position: &&usize| !resources[**position].is_deleted() && resources[**position].is_or_was(id);
    let mut matches = index.named(&id.name).iter().filter(meant);
    match (matches.next(), matches.next()) {
        (Some(position), None) => Ok(*position),
        (Some(_), Some(_)) => Err(Refusal::new(
            "ambiguous-patch",
            format!("more than one resource is `{id}`; which one is to be patched?"),
        )),
        (None, _) => Err(not_there(patch, resources, index)),
    }
}

fn not_there(patch: &Resource, resources: &[Resource], index: &NameIndex) -> Refusal {
    let id = patch.id();
    let refusal = Refusal::new("missing-target", format!("there is no `{id}` for the patch"));
    let other = index.named(&id.name).first().map(|position| resources[*position].id());
    match other {
        Some(other) if other.gvk != id.gvk => refusal.with_hint(format!(
            "there is one of this name with apiVersion `{}` and kind `{}`",
            other.gvk.api_version(),
            other.gvk.kind
        )),
        Some(other) => {
            refusal.with_hint(format!("there is one in namespace `{}`", other.effective_namespace()))
        }
        None => refusal.suggesting(&id.name, index.names()),
    }
}

/// Operations on every resource that is meant.
fn apply_json(
    patch: &JsonPatch,
    target: &Matcher,
    resources: &mut Resources,
    before: fn(&mut Resource),
) -> Result<(), Refusal> {
    for resource in resources.list_mut().iter_mut().filter(|resource| target.matches(resource)) {
        before(resource);
        let noted = resource.has_notes();
        with_annotations(&mut resource.value, noted, |value| patch.apply(value)).map_err(|refusal| {
            Refusal { message: format!("`{}`: {}", resource.id(), refusal.message), ..refusal }
        })?;
        // Kustomize puts the names that it noted back, and not where the resource came from.
        if patch.takes_all_annotations() {
            resource.origin = None;
            resource.transformations.clear();
        }
        resource.refresh();
    }
    Ok(())
}

/// Changes a value that has annotations as far as Kustomize knows, when it has notes among them. Without any of the
/// user's there are none in the end.
fn with_annotations(
    value: &mut Value,
    noted: bool,
    change: impl FnOnce(&mut Value) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let fields = value.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(fields) = fields.filter(|fields| noted && !fields.contains_key("annotations")) {
        fields.insert("annotations".to_owned(), Value::Object(serde_json::Map::new()));
    }
    change(value)?;
    let fields = value.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(fields) =
        fields.filter(|fields| fields.get("annotations").is_some_and(crate::value::is_empty))
    {
        fields.shift_remove("annotations");
    }
    Ok(())
}

/// A patch of `patchesJson6902`.
#[derive(Debug)]
pub(crate) struct JsonOnly {
    pub(crate) patch: JsonPatch,
    pub(crate) target: Matcher,
}

impl Operation for JsonOnly {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        apply_json(&self.patch, &self.target, resources, |_| {})
    }
}
