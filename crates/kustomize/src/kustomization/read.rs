//! Reading the fields. Misspelt ones are told with the nearest name; upper and lower case count as equal.

use std::sync::Arc;

use minato_resource::document::{Data, Dialect, Node};
use minato_resource::{Diagnostic, SourceFile, Span};

use super::changes::{patch, read_image, read_labels, replica};
use super::fields::*;
use super::generators::{generator_options, read_sources};
use super::output::{build_metadata, sort_options};
use super::replacements::{read_replacements, var};
use crate::decode::{Decoder, Spanned};

const FIELDS: [&str; 35] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
    "",
];

/// Legacy fields and what has replaced them.
const DEPRECATED: [(&str, &str); 6] = [
    ("bases", "resources"),
    ("commonLabels", "labels"),
    ("imageTags", "images"),
    ("patchesJson6902", "patches"),
    ("patchesStrategicMerge", "patches"),
    ("vars", "replacements"),
];

/// Reads a kustomization file. With errors among the diagnostics the value is not to be used.
pub(crate) fn read(file: &Arc<SourceFile>, file_name: &str) -> (Option<Kustomization>, Vec<Diagnostic>) {
    let (documents, found) = crate::manifest::documents(file, Dialect::Kubectl);
    let mut decoder = Decoder::strict(file);
    decoder.diagnostics = found;
    let Some(root) = documents.first() else {
        decoder.diagnostics.extend(empty(file));
        return (None, decoder.diagnostics);
    };
    let mut reader =
        Reader { kustomization: blank(file, file_name), global: GeneratorOptions::default(), fields: 0 };
    for (name, node) in decoder.fields(root, "a kustomization", &FIELDS) {
        reader.field(&mut decoder, name, node);
    }
    reader.warn_of_legacy_fields(&mut decoder, root);
    let whole = reader.finish(&mut decoder, root);
    (Some(whole), decoder.diagnostics)
}

fn empty(file: &Arc<SourceFile>) -> Option<Diagnostic> {
    let diagnostic =
        Diagnostic::error("empty-kustomization", "the kustomization is empty", file, Span::at(0));
    Some(diagnostic.with_hint("list the files to render under `resources`"))
}

struct Reader {
    kustomization: Kustomization,
    global: GeneratorOptions,
    /// How many fields say something.
    fields: usize,
}

impl Reader {
    fn field(&mut self, decoder: &mut Decoder<'_>, name: &'static str, node: &Node) {
        let whole = &mut self.kustomization;
        let says_something = !node.is_null() && !matches!(name, "apiVersion" | "kind");
        self.fields += usize::from(says_something);
        match name {
            "resources" => whole.resources.splice(0..0, decoder.texts(node)).for_each(drop),
            "bases" => whole.resources.extend(decoder.texts(node)),
            "components" => whole.components = decoder.texts(node),
            "crds" => whole.crds = decoder.texts(node),
            "configurations" => whole.configurations = decoder.texts(node),
            "openapi" => whole.openapi = open_api(decoder, node),
            "configMapGenerator" => whole.config_maps = decoder.list(node, spanned(read_sources)),
            "secretGenerator" => whole.secrets = decoder.list(node, spanned(read_sources)),
            "generatorOptions" => self.global = generator_options(decoder, node),
            "helmCharts" | "helmChartInflationGenerator" if !node.items().is_empty() => {
                whole.helm_charts = Some(node.span);
            }
            "generators" => whole.generators = decoder.texts(node),
            "namePrefix" => whole.name_prefix = decoder.spanned_text(node),
            "nameSuffix" => whole.name_suffix = decoder.spanned_text(node),
            "namespace" => whole.namespace = decoder.spanned_text(node),
            "labels" => whole.labels = decoder.list(node, spanned(read_labels)),
            "commonLabels" => {
                whole.common_labels = Spanned { value: decoder.text_map(node), span: node.span }
            }
            "commonAnnotations" => {
                whole.common_annotations = Spanned { value: decoder.text_map(node), span: node.span };
            }
            "patchesStrategicMerge" => whole.patches_strategic_merge = decoder.texts(node),
            "patches" => whole.patches = decoder.list(node, spanned(patch)),
            "patchesJson6902" => whole.patches_json6902 = decoder.list(node, spanned(patch)),
            "images" => whole.images.splice(0..0, decoder.list(node, spanned(read_image))).for_each(drop),
            "imageTags" => whole.images.extend(decoder.list(node, spanned(read_image))),
            "replicas" => whole.replicas = decoder.list(node, spanned(replica)),
            "replacements" => whole.replacements = read_replacements(decoder, node),
            "transformers" => whole.transformers = decoder.texts(node),
            "validators" => whole.validators = decoder.texts(node),
            "vars" => whole.vars = decoder.list(node, spanned(var)),
            "sortOptions" => whole.sort_options = sort_options(decoder, node),
            "buildMetadata" => whole.build_metadata = build_metadata(decoder, node),
            "kind" => whole.kind = kind(decoder, node),
            _ => {}
        }
    }

    fn warn_of_legacy_fields(&self, decoder: &mut Decoder<'_>, root: &Node) {
        for entry in root.entries().iter().filter(|entry| !entry.value.is_null()) {
            if let Some((old, new)) = DEPRECATED.iter().find(|(old, _)| *old == entry.key) {
                let message = format!("`{old}` is deprecated: use `{new}`");
                decoder.diagnostics.push(Diagnostic::warning(
                    "deprecated-field",
                    message,
                    decoder.file,
                    entry.key_span,
                ));
            }
        }
    }

    fn finish(mut self, decoder: &mut Decoder<'_>, root: &Node) -> Kustomization {
        if self.fields == 0 {
            decoder.diagnostics.extend(empty(decoder.file));
        }
        self.check_version(decoder, root);
        let whole = &mut self.kustomization;
        for generator in whole.config_maps.iter_mut().chain(&mut whole.secrets) {
            generator.value.options.absorb(&self.global);
        }
        self.kustomization
    }

    fn check_version(&self, decoder: &mut Decoder<'_>, root: &Node) {
        let Some(node) = root.get("apiVersion").filter(|node| node.as_str() != Some("")) else { return };
        let expected = match self.kustomization.kind {
            Kind::Kustomization => "kustomize.config.k8s.io/v1beta1",
            Kind::Component => "kustomize.config.k8s.io/v1alpha1",
        };
        let found = decoder.text(node);
        if !node.is_null() && found != expected {
            let message = format!("apiVersion is `{found}`, and must be `{expected}`");
            decoder.diagnostics.push(Diagnostic::error(
                "kustomization-version",
                message,
                decoder.file,
                node.span,
            ));
        }
    }
}

fn blank(file: &Arc<SourceFile>, file_name: &str) -> Kustomization {
    fn nowhere<T: Default>() -> Spanned<T> {
        Spanned { value: T::default(), span: Span::at(0) }
    }
    Kustomization {
        file: Arc::clone(file),
        file_name: file_name.to_owned(),
        kind: Kind::Kustomization,
        resources: Vec::new(),
        components: Vec::new(),
        crds: Vec::new(),
        configurations: Vec::new(),
        openapi: OpenApi::default(),
        config_maps: Vec::new(),
        secrets: Vec::new(),
        helm_charts: None,
        generators: Vec::new(),
        name_prefix: nowhere(),
        name_suffix: nowhere(),
        namespace: nowhere(),
        labels: Vec::new(),
        common_labels: nowhere(),
        common_annotations: nowhere(),
        patches_strategic_merge: Vec::new(),
        patches: Vec::new(),
        patches_json6902: Vec::new(),
        images: Vec::new(),
        replicas: Vec::new(),
        replacements: Vec::new(),
        transformers: Vec::new(),
        validators: Vec::new(),
        vars: Vec::new(),
        sort_options: None,
        build_metadata: BuildMetadata::default(),
    }
}

fn kind(decoder: &mut Decoder<'_>, node: &Node) -> Kind {
    match decoder.text(node).as_str() {
        "" | "Kustomization" => Kind::Kustomization,
        "Component" => Kind::Component,
        other => {
            let message = format!("kind is `{other}`, and must be `Kustomization` or `Component`");
            decoder.diagnostics.push(Diagnostic::error(
                "kustomization-kind",
                message,
                decoder.file,
                node.span,
            ));
            Kind::Kustomization
        }
    }
}

/// The same reader for a value with its place.
pub(super) fn spanned<T>(
    read: fn(&mut Decoder<'_>, &Node) -> T,
) -> impl Fn(&mut Decoder<'_>, &Node) -> Spanned<T> {
    move |decoder, node| Spanned { value: read(decoder, node), span: place_of(node) }
}

/// What is underlined for a directive: its first key, or the whole when it has none.
pub(super) fn place_of(node: &Node) -> Span {
    node.entries()
        .first()
        .map_or(node.span, |entry| entry.key_span.to(Span::new(entry.key_span.start, entry.key_span.end)))
}

fn open_api(decoder: &mut Decoder<'_>, node: &Node) -> OpenApi {
    let mut open_api = OpenApi::default();
    for entry in node.entries() {
        match entry.key.as_str() {
            "version" => open_api.version = Some(decoder.spanned_text(&entry.value)),
            "path" => open_api.path = Some(decoder.spanned_text(&entry.value)),
            _ => drop(decoder.text(&entry.value)),
        }
    }
    if !matches!(node.data, Data::Mapping(_) | Data::Null) {
        decoder.wrong_type(node, "expected a mapping");
    }
    open_api
}
