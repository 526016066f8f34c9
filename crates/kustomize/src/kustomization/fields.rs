//! The fields.

use std::sync::Arc;

use minato_resource::{SourceFile, Span};

use crate::decode::Spanned;
use crate::field::FieldSpec;
use crate::identity::IdSelector;
use crate::order::KindOrder;
use crate::resource::Behaviour;

/// What a kustomization file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    #[default]
    Kustomization,
    Component,
}

/// A kustomization file after its legacy spellings are replaced by today's: `bases` are in `resources`, `imageTags`
/// in `images`, `env` in `envs`.
#[derive(Debug, Clone)]
pub(crate) struct Kustomization {
    pub(crate) file: Arc<SourceFile>,
    /// Name of the file, for the `origin` annotation.
    pub(crate) file_name: String,
    pub(crate) kind: Kind,
    pub(crate) resources: Vec<Spanned<String>>,
    pub(crate) components: Vec<Spanned<String>>,
    pub(crate) crds: Vec<Spanned<String>>,
    pub(crate) configurations: Vec<Spanned<String>>,
    /// `openapi`: version of a built-in schema, path of a schema of one's own.
    pub(crate) openapi: OpenApi,
    pub(crate) config_maps: Vec<Spanned<Generator>>,
    pub(crate) secrets: Vec<Spanned<Generator>>,
    pub(crate) helm_charts: Option<Span>,
    pub(crate) generators: Vec<Spanned<String>>,
    pub(crate) name_prefix: Spanned<String>,
    pub(crate) name_suffix: Spanned<String>,
    pub(crate) namespace: Spanned<String>,
    pub(crate) labels: Vec<Spanned<Labels>>,
    pub(crate) common_labels: Spanned<Vec<(String, String)>>,
    pub(crate) common_annotations: Spanned<Vec<(String, String)>>,
    pub(crate) patches_strategic_merge: Vec<Spanned<String>>,
    pub(crate) patches: Vec<Spanned<Patch>>,
    pub(crate) patches_json6902: Vec<Spanned<Patch>>,
    pub(crate) images: Vec<Spanned<Image>>,
    pub(crate) replicas: Vec<Spanned<Replica>>,
    pub(crate) replacements: Vec<Spanned<ReplacementEntry>>,
    pub(crate) transformers: Vec<Spanned<String>>,
    pub(crate) validators: Vec<Spanned<String>>,
    pub(crate) vars: Vec<Spanned<Var>>,
    pub(crate) sort_options: Option<Spanned<SortOptions>>,
    pub(crate) build_metadata: BuildMetadata,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct OpenApi {
    pub(crate) version: Option<Spanned<String>>,
    pub(crate) path: Option<Spanned<String>>,
}

/// An entry of `configMapGenerator` or `secretGenerator`, with `generatorOptions` merged into its own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Generator {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) behaviour: Behaviour,
    pub(crate) literals: Vec<Spanned<String>>,
    pub(crate) files: Vec<Spanned<String>>,
    pub(crate) envs: Vec<Spanned<String>>,
    /// Of a Secret.
    pub(crate) secret_type: String,
    pub(crate) options: GeneratorOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: bool,
}

impl GeneratorOptions {
    /// Adds the options of all generators to those of one; its own win.
    pub(crate) fn absorb(&mut self, global: &GeneratorOptions) {
        let absorb = |own: &mut Vec<(String, String)>, global: &[(String, String)]| {
            let missing: Vec<_> = global
                .iter()
                .filter(|(key, _)| !own.iter().any(|(known, _)| known == key))
                .cloned()
                .collect();
            own.extend(missing);
            own.sort();
        };
        absorb(&mut self.labels, &global.labels);
        absorb(&mut self.annotations, &global.annotations);
        self.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        self.immutable |= global.immutable;
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) fields: Vec<FieldSpec>,
}

/// An entry of `patches` or `patchesJson6902`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    pub(crate) path: Option<Spanned<String>>,
    pub(crate) text: Option<Spanned<String>>,
    pub(crate) target: Option<Spanned<Selector>>,
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
}

/// Resources by patterns of kind, name and namespace, and by labels and annotations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    pub(crate) id: IdSelector,
    pub(crate) labels: String,
    pub(crate) annotations: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) new_name: String,
    pub(crate) new_tag: String,
    pub(crate) tag_suffix: String,
    pub(crate) digest: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

/// An entry of `replacements`: a replacement, or the file of some.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplacementEntry {
    pub(crate) path: Option<Spanned<String>>,
    pub(crate) replacement: Replacement,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Replacement {
    pub(crate) source: Option<Spanned<Source>>,
    pub(crate) targets: Option<Vec<Spanned<Target>>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    pub(crate) id: IdSelector,
    pub(crate) field_path: String,
    pub(crate) options: FieldOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    pub(crate) select: Option<Selector>,
    pub(crate) reject: Vec<Selector>,
    pub(crate) field_paths: Vec<Spanned<String>>,
    pub(crate) options: FieldOptions,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: String,
    pub(crate) index: i64,
    pub(crate) create: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) object: IdSelector,
    pub(crate) field_path: String,
}

#[derive(Debug, Clone)]
pub(crate) enum SortOptions {
    /// In the order of loading.
    Fifo,
    Legacy(KindOrder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BuildMetadata {
    /// The list is not empty: origins are followed.
    pub(crate) any: bool,
    pub(crate) origins: bool,
    pub(crate) transformations: bool,
    pub(crate) managed_by: bool,
}
