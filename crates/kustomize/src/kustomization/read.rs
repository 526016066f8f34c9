//! Reading the fields. Misspelt ones are told with the nearest name; upper and lower case count as equal.

use std::sync::Arc;

use minato_resource::document::{Data, Dialect, Node};
use minato_resource::{Diagnostic, SourceFile, Span};

use super::fields::*;
use crate::configuration::field_specs;
use crate::decode::{Decoder, Spanned};
use crate::identity::{Gvk, IdSelector};
use crate::order::KindOrder;
use crate::resource::Behaviour;

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
fn spanned<T>(read: fn(&mut Decoder<'_>, &Node) -> T) -> impl Fn(&mut Decoder<'_>, &Node) -> Spanned<T> {
    move |decoder, node| Spanned { value: read(decoder, node), span: place_of(node) }
}

/// What is underlined for a directive: its first key, or the whole when it has none.
fn place_of(node: &Node) -> Span {
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

/// An entry of `configMapGenerator` or `secretGenerator`.
pub(crate) fn read_sources(decoder: &mut Decoder<'_>, node: &Node) -> Generator {
    const KNOWN: [&str; 9] =
        ["name", "namespace", "behavior", "literals", "files", "envs", "env", "options", "type"];
    let mut generator = Generator::default();
    let mut env = None;
    for (name, node) in decoder.fields(node, "a generator", &KNOWN) {
        match name {
            "name" => generator.name = decoder.text(node),
            "namespace" => generator.namespace = decoder.text(node),
            "behavior" => generator.behaviour = behaviour(&decoder.text(node)),
            "literals" => generator.literals = decoder.texts(node),
            "files" => generator.files = decoder.texts(node),
            "envs" => generator.envs = decoder.texts(node),
            "env" => env = Some(decoder.spanned_text(node)).filter(|env| !env.value.is_empty()),
            "options" => generator.options = generator_options(decoder, node),
            _ => generator.secret_type = decoder.text(node),
        }
    }
    generator.envs.extend(env);
    generator
}

fn behaviour(text: &str) -> Behaviour {
    match text {
        "replace" => Behaviour::Replace,
        "merge" => Behaviour::Merge,
        _ => Behaviour::Create,
    }
}

fn generator_options(decoder: &mut Decoder<'_>, node: &Node) -> GeneratorOptions {
    const KNOWN: [&str; 4] = ["labels", "annotations", "disableNameSuffixHash", "immutable"];
    let mut options = GeneratorOptions::default();
    for (name, node) in decoder.fields(node, "generator options", &KNOWN) {
        match name {
            "labels" => options.labels = decoder.text_map(node),
            "annotations" => options.annotations = decoder.text_map(node),
            "disableNameSuffixHash" => options.disable_name_suffix_hash = decoder.boolean(node),
            _ => options.immutable = decoder.boolean(node),
        }
    }
    options
}

/// An entry of `labels`.
fn read_labels(decoder: &mut Decoder<'_>, node: &Node) -> Labels {
    const KNOWN: [&str; 4] = ["pairs", "includeSelectors", "includeTemplates", "fields"];
    let mut labels = Labels::default();
    for (name, node) in decoder.fields(node, "an entry of `labels`", &KNOWN) {
        match name {
            "pairs" => labels.pairs = decoder.text_map(node),
            "includeSelectors" => labels.include_selectors = decoder.boolean(node),
            "includeTemplates" => labels.include_templates = decoder.boolean(node),
            _ => labels.fields = field_specs(decoder, node),
        }
    }
    labels
}

fn patch(decoder: &mut Decoder<'_>, node: &Node) -> Patch {
    let mut patch = Patch::default();
    for (name, node) in decoder.fields(node, "a patch", &["path", "patch", "target", "options"]) {
        match name {
            "path" => patch.path = Some(decoder.spanned_text(node)).filter(|path| !path.value.is_empty()),
            "patch" => patch.text = Some(decoder.spanned_text(node)),
            "target" if node.is_null() => {}
            "target" => {
                patch.target =
                    Some(Spanned { value: read_patch_target(decoder, node), span: place_of(node) });
            }
            _ => {
                for (option, value) in decoder.boolean_map(node) {
                    patch.allow_name_change |= option == "allowNameChange" && value;
                    patch.allow_kind_change |= option == "allowKindChange" && value;
                }
            }
        }
    }
    patch
}

/// `target` of a patch, `select` and `reject` of a replacement.
pub(crate) fn read_patch_target(decoder: &mut Decoder<'_>, node: &Node) -> Selector {
    const KNOWN: [&str; 7] =
        ["group", "version", "kind", "name", "namespace", "annotationSelector", "labelSelector"];
    let mut selector = Selector::default();
    for (name, node) in decoder.fields(node, "a selector", &KNOWN) {
        let text = decoder.text(node);
        match name {
            "annotationSelector" => selector.annotations = text,
            "labelSelector" => selector.labels = text,
            _ => id_part(&mut selector.id, name, text),
        }
    }
    selector
}

fn id_part(id: &mut IdSelector, name: &str, text: String) {
    match name {
        "group" => id.gvk.group = text,
        "version" => id.gvk.version = text,
        "kind" => id.gvk.kind = text,
        "name" => id.name = text,
        _ => id.namespace = text,
    }
}

/// An entry of `images`.
pub(crate) fn read_image(decoder: &mut Decoder<'_>, node: &Node) -> Image {
    let mut image = Image::default();
    let known = ["name", "newName", "newTag", "tagSuffix", "digest"];
    for (name, node) in decoder.fields(node, "an image", &known) {
        let text = decoder.text(node);
        match name {
            "name" => image.name = text,
            "newName" => image.new_name = text,
            "newTag" => image.new_tag = text,
            "tagSuffix" => image.tag_suffix = text,
            _ => image.digest = text,
        }
    }
    image
}

fn replica(decoder: &mut Decoder<'_>, node: &Node) -> Replica {
    let mut replica = Replica::default();
    for (name, node) in decoder.fields(node, "an entry of `replicas`", &["name", "count"]) {
        match name {
            "name" => replica.name = decoder.text(node),
            _ => replica.count = decoder.integer(node),
        }
    }
    replica
}

/// `replacements`, or the content of a file of them.
pub(crate) fn read_replacements(decoder: &mut Decoder<'_>, node: &Node) -> Vec<Spanned<ReplacementEntry>> {
    decoder.list(node, spanned(replacement))
}

fn replacement(decoder: &mut Decoder<'_>, node: &Node) -> ReplacementEntry {
    let mut entry = ReplacementEntry::default();
    for (name, node) in decoder.fields(node, "a replacement", &["path", "source", "targets"]) {
        match name {
            "path" => entry.path = Some(decoder.spanned_text(node)).filter(|path| !path.value.is_empty()),
            _ if node.is_null() => {}
            "source" => {
                let source = source(decoder, node);
                entry.replacement.source = Some(Spanned { value: source, span: place_of(node) });
            }
            _ => entry.replacement.targets = Some(decoder.list(node, spanned(target))),
        }
    }
    entry
}

fn source(decoder: &mut Decoder<'_>, node: &Node) -> Source {
    const KNOWN: [&str; 7] = ["group", "version", "kind", "name", "namespace", "fieldPath", "options"];
    let mut source = Source::default();
    for (name, node) in decoder.fields(node, "a replacement's source", &KNOWN) {
        match name {
            "fieldPath" => source.field_path = decoder.text(node),
            "options" => source.options = field_options(decoder, node),
            _ => id_part(&mut source.id, name, decoder.text(node)),
        }
    }
    source
}

fn target(decoder: &mut Decoder<'_>, node: &Node) -> Target {
    let mut target = Target::default();
    let known = ["select", "reject", "fieldPaths", "options"];
    for (name, node) in decoder.fields(node, "a replacement's target", &known) {
        match name {
            "select" if node.is_null() => {}
            "select" => target.select = Some(read_patch_target(decoder, node)),
            "reject" => target.reject = decoder.list(node, read_patch_target),
            "fieldPaths" => target.field_paths = decoder.texts(node),
            _ => target.options = field_options(decoder, node),
        }
    }
    target
}

fn field_options(decoder: &mut Decoder<'_>, node: &Node) -> FieldOptions {
    let mut options = FieldOptions::default();
    for (name, node) in decoder.fields(node, "options", &["delimiter", "index", "encoding", "create"]) {
        match name {
            "delimiter" => options.delimiter = decoder.text(node),
            "index" => options.index = decoder.integer(node),
            "create" => options.create = decoder.boolean(node),
            _ => drop(decoder.text(node)),
        }
    }
    options
}

fn var(decoder: &mut Decoder<'_>, node: &Node) -> Var {
    let mut var = Var { field_path: "metadata.name".to_owned(), ..Var::default() };
    for (name, node) in decoder.fields(node, "a var", &["name", "objref", "fieldref"]) {
        match name {
            "name" => var.name = decoder.text(node),
            "objref" => var.object = object_reference(decoder, node),
            _ => {
                for (_, node) in decoder.fields(node, "a var's fieldref", &["fieldPath"]) {
                    var.field_path =
                        Some(decoder.text(node)).filter(|path| !path.is_empty()).unwrap_or(var.field_path);
                }
            }
        }
    }
    var
}

fn object_reference(decoder: &mut Decoder<'_>, node: &Node) -> IdSelector {
    const KNOWN: [&str; 6] = ["apiVersion", "group", "version", "kind", "name", "namespace"];
    let mut id = IdSelector::default();
    let mut api_version = String::new();
    for (name, node) in decoder.fields(node, "a var's objref", &KNOWN) {
        match name {
            "apiVersion" => api_version = decoder.text(node),
            _ => id_part(&mut id, name, decoder.text(node)),
        }
    }
    match api_version.matches('/').count() {
        _ if api_version.is_empty() => {}
        0 => id.gvk.version = api_version,
        1 => id.gvk = Gvk::new(&api_version, &id.gvk.kind),
        _ => {}
    }
    id
}

fn sort_options(decoder: &mut Decoder<'_>, node: &Node) -> Option<Spanned<SortOptions>> {
    if node.is_null() {
        return None;
    }
    let (mut order, mut legacy) = (Spanned { value: String::new(), span: node.span }, None);
    for (name, node) in decoder.fields(node, "`sortOptions`", &["order", "legacySortOptions"]) {
        match name {
            "order" => order = decoder.spanned_text(node),
            _ if node.is_null() => {}
            _ => legacy = Some((kind_order(decoder, node), node.span)),
        }
    }
    let span = order.span;
    let refuse = |decoder: &mut Decoder<'_>, message: String| {
        decoder.diagnostics.push(Diagnostic::error("sort-options", message, decoder.file, span));
    };
    match (order.value.as_str(), legacy) {
        ("fifo", None) => Some(Spanned { value: SortOptions::Fifo, span }),
        ("fifo", Some(_)) => {
            refuse(decoder, "`legacySortOptions` need the order `legacy`".to_owned());
            None
        }
        ("legacy", legacy) => {
            let order = legacy.map_or_else(KindOrder::default, |(order, _)| order);
            Some(Spanned { value: SortOptions::Legacy(order), span })
        }
        (other, _) => {
            refuse(decoder, format!("`order` is `{other}`, and must be `fifo` or `legacy`"));
            None
        }
    }
}

fn kind_order(decoder: &mut Decoder<'_>, node: &Node) -> KindOrder {
    let mut order = KindOrder { first: Vec::new(), last: Vec::new() };
    for (name, node) in decoder.fields(node, "`legacySortOptions`", &["orderFirst", "orderLast"]) {
        match name {
            "orderFirst" => order.first = decoder.plain_texts(node),
            _ => order.last = decoder.plain_texts(node),
        }
    }
    order
}

fn build_metadata(decoder: &mut Decoder<'_>, node: &Node) -> BuildMetadata {
    let options = decoder.plain_texts(node);
    let has = |wanted: &str| options.iter().any(|option| option == wanted);
    BuildMetadata {
        any: !options.is_empty(),
        origins: has("originAnnotations"),
        transformations: has("transformerAnnotations"),
        managed_by: has("managedByLabel"),
    }
}
