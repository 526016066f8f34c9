//! What a kustomization does to its resources: each directive becomes an operation, and operations are applied in
//! Kustomize's order.

mod images;
mod labels;
mod names;
mod namespace;
mod patches;
mod replacements;
mod replicas;
mod value_add;

use std::sync::Arc;

use minato_resource::{SourceFile, Span};

use crate::configuration::Configuration;
use crate::kustomization::Kustomization;
use crate::layer::{Build, Stopped};
use crate::loader::Root;
use crate::provenance::Step;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schema;

pub(crate) use images::SetImage;
pub(crate) use labels::{SetAnnotations, SetLabels, label_fields};
pub(crate) use names::{Affix, AffixNames};
pub(crate) use namespace::{SetNamespace, Subjects};
pub(crate) use patches::{JsonOnly, Patch, PatchText, parse as parse_patch};
pub(crate) use replacements::read as read_replace;
pub(crate) use replicas::SetReplicas;
pub(crate) use value_add::{AddValue, ValueTarget};

/// Changes the resources of a layer.
pub(crate) trait Operation {
    fn apply(&self, resources: &mut Resources, schema: &Schema) -> Result<(), Refusal>;
}

/// An operation with the place of its directive.
pub(crate) struct Transformer {
    pub(crate) operation: Box<dyn Operation>,
    /// Kustomize's name for it.
    pub(crate) builtin: &'static str,
    pub(crate) file: Arc<SourceFile>,
    pub(crate) span: Span,
    /// What the `transformations` annotation says of it.
    pub(crate) step: Option<Step>,
}

/// The operations of a kustomization's own directives.
pub(crate) fn of(
    build: &mut Build<'_>,
    root: &Root<'_>,
    whole: &Kustomization,
    configuration: &Configuration,
) -> Result<Vec<Transformer>, Stopped> {
    let mut list = List { whole, transformers: Vec::new() };
    for patch in &whole.patches_strategic_merge {
        let patch = patches::legacy(build, root, whole, patch)?;
        list.push("PatchStrategicMergeTransformer", patch.1, patch.0);
    }
    list.merge_legacy_patches();
    for patch in &whole.patches {
        let operation = patches::read(build, root, whole, patch)?;
        list.push("PatchTransformer", patch.span, operation);
    }
    list.names_and_namespace(configuration);
    list.labels(build, configuration)?;
    if !whole.common_annotations.value.is_empty() {
        let fields = configuration.common_annotations.clone();
        let annotations = SetAnnotations { pairs: whole.common_annotations.value.clone(), fields };
        list.push("AnnotationsTransformer", whole.common_annotations.span, annotations);
    }
    for patch in &whole.patches_json6902 {
        let operation = patches::read_json6902(build, root, whole, patch)?;
        list.push("PatchJson6902Transformer", patch.span, operation);
    }
    for replica in &whole.replicas {
        let operation =
            SetReplicas { replica: replica.value.clone(), fields: configuration.replicas.clone() };
        list.push("ReplicaCountTransformer", replica.span, operation);
    }
    for image in &whole.images {
        let operation = SetImage::new(image.value.clone(), configuration.images.clone());
        let operation = build.told(whole, image.span, operation)?;
        list.push("ImageTagTransformer", image.span, operation);
    }
    if let Some(first) = whole.replacements.first() {
        let operation = replacements::read(build, root, &whole.file, &whole.replacements)?;
        list.push("ReplacementTransformer", first.span, operation);
    }
    Ok(list.transformers)
}

struct List<'whole> {
    whole: &'whole Kustomization,
    transformers: Vec<Transformer>,
}

impl List<'_> {
    fn push(&mut self, builtin: &'static str, span: Span, operation: impl Operation + 'static) {
        let file = Arc::clone(&self.whole.file);
        self.transformers.push(Transformer {
            operation: Box::new(operation),
            builtin,
            file,
            span,
            step: None,
        });
    }

    /// All of `patchesStrategicMerge` count as one transformation.
    fn merge_legacy_patches(&mut self) {
        let legacy: Vec<Transformer> = self.transformers.drain(..).collect();
        if let Some(first) = legacy.first() {
            let (file, span) = (Arc::clone(&first.file), first.span);
            let operation = Box::new(patches::Several(legacy));
            let builtin = "PatchStrategicMergeTransformer";
            self.transformers.push(Transformer { operation, builtin, file, span, step: None });
        }
    }

    fn names_and_namespace(&mut self, configuration: &Configuration) {
        let whole = self.whole;
        if !whole.namespace.value.is_empty() {
            let operation = SetNamespace {
                namespace: whole.namespace.value.clone(),
                fields: configuration.namespace.clone(),
                only_unset: false,
                subjects: Subjects::NamedDefault,
            };
            self.push("NamespaceTransformer", whole.namespace.span, operation);
        }
        let affixes = [
            (&whole.name_prefix, Affix::Prefix, &configuration.name_prefix, "PrefixTransformer"),
            (&whole.name_suffix, Affix::Suffix, &configuration.name_suffix, "SuffixTransformer"),
        ];
        for (text, affix, fields, builtin) in affixes {
            if !text.value.is_empty() {
                let operation = AffixNames { affix, text: text.value.clone(), fields: fields.clone() };
                self.push(builtin, text.span, operation);
            }
        }
    }

    fn labels(&mut self, build: &mut Build<'_>, configuration: &Configuration) -> Result<(), Stopped> {
        let whole = self.whole;
        for labels in &whole.labels {
            let fields = build.told(whole, labels.span, label_fields(&labels.value, configuration))?;
            self.push(
                "LabelTransformer",
                labels.span,
                SetLabels { pairs: labels.value.pairs.clone(), fields },
            );
        }
        if !whole.labels.is_empty() || !whole.common_labels.value.is_empty() {
            let fields = configuration.common_labels.clone();
            let operation = SetLabels { pairs: whole.common_labels.value.clone(), fields };
            self.push("LabelTransformer", whole.common_labels.span, operation);
        }
        Ok(())
    }
}

/// Writes down that a transformation saw the resources; what has no origin came from it.
pub(crate) fn record(resources: &mut [Resource], step: &Step) {
    for resource in resources {
        if resource.origin.is_none() {
            resource.origin = Some(step.clone());
        } else {
            resource.transformations.push(step.clone());
        }
    }
}
