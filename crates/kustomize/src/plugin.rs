//! Configurations of builtin transformers and generators, inline or in files. Programs are never run.

use std::sync::Arc;

use minato_resource::document::{Data, Entry, Node};
use minato_resource::{SourceFile, Span};
use serde_json::Value;

use crate::configuration::field_specs;
use crate::decode::{Decoder, Spanned};
use crate::field::FieldSpec;
use crate::generate;
use crate::hash;
use crate::kustomization::{
    self, Image, Replica, read_image, read_patch_target, read_replacements, read_sources,
};
use crate::layer::{Build, Stopped};
use crate::loader::Root;
use crate::manifest;
use crate::provenance::{Plugin, Step};
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::{JsonPatch, Schema};
use crate::selector::Matcher;
use crate::transform::{
    AddValue, Affix, AffixNames, Operation, Patch, PatchText, SetAnnotations, SetImage, SetLabels,
    SetNamespace, SetReplicas, Subjects, Transformer, ValueTarget, parse_patch, read_replace,
};

/// One plugin's configuration, with the place where it was asked for.
pub(crate) struct Configuration {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) span: Span,
    kind: String,
    api_version: String,
    node: Node,
    step: Option<Step>,
    /// The field of the kustomization that lists it.
    field: &'static str,
}

impl Configuration {
    pub(crate) fn new(
        resource: Resource,
        file: &Arc<SourceFile>,
        span: Span,
        field: &'static str,
    ) -> Configuration {
        let id = resource.id();
        let plugin = Plugin {
            api_version: id.gvk.api_version(),
            kind: id.gvk.kind.clone(),
            name: id.name.clone(),
            namespace: id.namespace.clone(),
        };
        let step = resource.origin.as_ref().map(|origin| Step {
            configured_in: origin.path.clone(),
            configured_by: Some(plugin),
            ..Step::default()
        });
        let (kind, api_version) = (id.gvk.kind.clone(), id.gvk.api_version());
        let (file, span) = match &resource.place {
            Some(place) => (Arc::clone(&place.file), place.span),
            None => (Arc::clone(file), span),
        };
        let node = node_of(resource.value, span);
        Configuration { file, span, kind, api_version, node, step, field }
    }

    fn refuse(&self, message: String) -> Refusal {
        Refusal::new("plugin", format!("{} `{}`: {message}", self.field, self.kind))
    }

    /// Programs and containers are other people's code, run with the user's rights while files are only read.
    fn check_builtin(&self) -> Result<(), Refusal> {
        if self.api_version == "builtin" {
            return Ok(());
        }
        let message = format!(
            "`{}` of {} is a plugin that runs a program or a container, and rendering runs none: what is rendered must \
             not depend on this machine, and files of a repository must not run programs here",
            self.kind, self.api_version
        );
        Err(Refusal::new("plugin-program", message).with_hint(
            "use a builtin (apiVersion: builtin), a patch or a replacement; or commit what the plugin makes",
        ))
    }
}

/// A value as a document whose parts all stand at one place.
fn node_of(value: Value, span: Span) -> Node {
    let data = match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(value),
        Value::Number(number) => Data::Number(number),
        Value::String(text) => Data::String(text),
        Value::Array(items) => Data::Sequence(items.into_iter().map(|item| node_of(item, span)).collect()),
        Value::Object(fields) => {
            let entry = |(key, value)| Entry { key, key_span: span, value: node_of(value, span) };
            Data::Mapping(fields.into_iter().map(entry).collect())
        }
    };
    Node::new(data, span)
}

/// The resources that a generator makes.
pub(crate) fn generate(
    build: &mut Build<'_>,
    root: &Root<'_>,
    configuration: &Configuration,
) -> Result<Vec<Resource>, Stopped> {
    let (file, span) = (&configuration.file, configuration.span);
    build.told_in(file, span, configuration.check_builtin())?;
    let kind = match configuration.kind.as_str() {
        "ConfigMapGenerator" => "ConfigMap",
        "SecretGenerator" => "Secret",
        "HelmChartInflationGenerator" => {
            return build.told_in(
                file,
                span,
                Err(Refusal::new("helm-charts", "Helm charts are not rendered yet")),
            );
        }
        _ => return build.told_in(file, span, Err(configuration.refuse("this is no generator".to_owned()))),
    };
    let mut decoder = Decoder::lenient(file);
    let mut generator = read_sources(&mut decoder, &configuration.node);
    let metadata = |field: &str| configuration.node.at(&format!("/metadata/{field}")).and_then(Node::as_str);
    if generator.name.is_empty() {
        generator.name = metadata("name").unwrap_or_default().to_owned();
    }
    if generator.namespace.is_empty() {
        generator.namespace = metadata("namespace").unwrap_or_default().to_owned();
    }
    let wrong = decoder.diagnostics;
    build.all_told(if wrong.is_empty() { Ok(()) } else { Err(wrong) })?;
    let made = generate::make(&mut build.loader, root, kind, &generator);
    let mut resource = build.told_in(file, span, made)?;
    resource.origin.clone_from(&configuration.step);
    Ok(vec![resource])
}

/// The operations of a transformer; a builtin may stand for two.
pub(crate) fn transformer(
    build: &mut Build<'_>,
    root: &Root<'_>,
    configuration: &Configuration,
) -> Result<Vec<Transformer>, Stopped> {
    let (file, span) = (&configuration.file, configuration.span);
    build.told_in(file, span, configuration.check_builtin())?;
    let mut reader = Reader { build, root, configuration, fields: Fields::default() };
    reader.read()?;
    let operations = reader.operations()?;
    let last = operations.len().saturating_sub(1);
    let transformer = |(index, operation): (usize, Box<dyn Operation>)| Transformer {
        operation,
        builtin: "",
        file: Arc::clone(file),
        span,
        step: configuration.step.clone().filter(|_| index == last),
    };
    Ok(operations.into_iter().enumerate().map(transformer).collect())
}

/// What a configuration may say, over all builtins.
#[derive(Default)]
struct Fields {
    field_specs: Option<Vec<FieldSpec>>,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    image: Image,
    replica: Replica,
    prefix: String,
    suffix: String,
    namespace: String,
    only_unset: bool,
    subjects: String,
    path: String,
    paths: Vec<String>,
    patch: String,
    patches: String,
    json_op: String,
    target: Option<kustomization::Selector>,
    options: Vec<(String, bool)>,
    replacements: Vec<Spanned<kustomization::ReplacementEntry>>,
    value: String,
    targets: Vec<(Option<kustomization::Selector>, String, i64)>,
    target_file_path: String,
}

struct Reader<'run, 'files> {
    build: &'run mut Build<'files>,
    root: &'run Root<'run>,
    configuration: &'run Configuration,
    fields: Fields,
}

impl Reader<'_, '_> {
    fn read(&mut self) -> Result<(), Stopped> {
        const KNOWN: [&str; 21] = [
            "fieldSpecs",
            "labels",
            "annotations",
            "imageTag",
            "replica",
            "prefix",
            "suffix",
            "metadata",
            "unsetOnly",
            "setRoleBindingSubjects",
            "path",
            "paths",
            "patch",
            "patches",
            "jsonOp",
            "target",
            "options",
            "replacements",
            "value",
            "targets",
            "targetFilePath",
        ];
        let mut decoder = Decoder::lenient(&self.configuration.file);
        for (name, node) in decoder.fields(&self.configuration.node, "a plugin", &KNOWN) {
            self.fields.read(&mut decoder, name, node);
        }
        let wrong = decoder.diagnostics;
        self.build.all_told(if wrong.is_empty() { Ok(()) } else { Err(wrong) })
    }

    fn operations(&mut self) -> Result<Vec<Box<dyn Operation>>, Stopped> {
        let fields = std::mem::take(&mut self.fields);
        let specs = || fields.field_specs.clone().unwrap_or_default();
        let one = |operation: Box<dyn Operation>| Ok(vec![operation]);
        match self.configuration.kind.as_str() {
            "LabelTransformer" => one(Box::new(SetLabels { pairs: fields.labels.clone(), fields: specs() })),
            "AnnotationsTransformer" => {
                one(Box::new(SetAnnotations { pairs: fields.annotations.clone(), fields: specs() }))
            }
            "ReplicaCountTransformer" => {
                one(Box::new(SetReplicas { replica: fields.replica.clone(), fields: specs() }))
            }
            "ImageTagTransformer" => {
                let image = SetImage::new(fields.image.clone(), specs());
                one(Box::new(self.told(image)?))
            }
            "HashTransformer" => one(Box::new(AddHashes)),
            "NamespaceTransformer" => self.namespace(&fields).map(|operation| vec![operation]),
            "PrefixTransformer" => self.affixes(&fields, &[Affix::Prefix]),
            "SuffixTransformer" => self.affixes(&fields, &[Affix::Suffix]),
            "PrefixSuffixTransformer" => self.affixes(&fields, &[Affix::Prefix, Affix::Suffix]),
            "PatchTransformer" => self.patch(&fields).map(|operation| vec![operation]),
            "PatchStrategicMergeTransformer" => self.strategic_merges(&fields),
            "PatchJson6902Transformer" => self.json_patch(&fields).map(|operation| vec![operation]),
            "ReplacementTransformer" => {
                let file = Arc::clone(&self.configuration.file);
                one(Box::new(read_replace(self.build, self.root, &file, &fields.replacements)?))
            }
            "ValueAddTransformer" => self.value(fields).map(|operation| vec![operation]),
            _ => self.refuse("there is no builtin transformer of this name"),
        }
    }

    fn told<T>(&mut self, result: Result<T, Refusal>) -> Result<T, Stopped> {
        self.build.told_in(&self.configuration.file, self.configuration.span, result)
    }

    fn refuse<T>(&mut self, message: &str) -> Result<T, Stopped> {
        let refusal = self.configuration.refuse(message.to_owned());
        self.told(Err(refusal))
    }

    fn load(&mut self, path: &str) -> Result<Arc<SourceFile>, Stopped> {
        let file = self.build.loader.text(self.root, path);
        self.told(file)
    }

    fn namespace(&mut self, fields: &Fields) -> Result<Box<dyn Operation>, Stopped> {
        let subjects = match fields.subjects.as_str() {
            "" | "defaultOnly" => Subjects::NamedDefault,
            "allServiceAccounts" => Subjects::AllServiceAccounts,
            "none" => Subjects::None,
            _ => {
                return self
                    .refuse("`setRoleBindingSubjects` must be defaultOnly, allServiceAccounts or none");
            }
        };
        Ok(Box::new(SetNamespace {
            namespace: fields.namespace.clone(),
            fields: fields.field_specs.clone().unwrap_or_default(),
            only_unset: fields.only_unset,
            subjects,
        }))
    }

    fn affixes(&mut self, fields: &Fields, affixes: &[Affix]) -> Result<Vec<Box<dyn Operation>>, Stopped> {
        let Some(specs) = &fields.field_specs else { return self.refuse("`fieldSpecs` are missing") };
        let operation = |affix: &Affix| -> Box<dyn Operation> {
            let text = if *affix == Affix::Prefix { &fields.prefix } else { &fields.suffix };
            Box::new(AffixNames { affix: *affix, text: text.clone(), fields: specs.clone() })
        };
        Ok(affixes.iter().map(operation).collect())
    }

    fn patch(&mut self, fields: &Fields) -> Result<Box<dyn Operation>, Stopped> {
        let file = match (fields.patch.trim(), fields.path.as_str()) {
            ("", "") => return self.refuse("`patch` or `path` is missing"),
            ("", path) => self.load(path)?,
            (text, "") => manifest::inline(&self.configuration.file, text),
            _ => return self.refuse("a patch has `path` or `patch`, not both"),
        };
        let text = self.told(parse_patch(&file))?;
        let target = fields.target.as_ref().map(Matcher::new).transpose();
        let target = self.told(target)?;
        let option = |name: &str| fields.options.iter().any(|(option, value)| option == name && *value);
        if target.is_some() && matches!(&text, PatchText::Merge(patches) if patches.len() > 1) {
            return self.refuse("a patch with a `target` must be of one document");
        }
        Ok(Box::new(Patch {
            text,
            target,
            allow_name_change: option("allowNameChange"),
            allow_kind_change: option("allowKindChange"),
        }))
    }

    fn strategic_merges(&mut self, fields: &Fields) -> Result<Vec<Box<dyn Operation>>, Stopped> {
        let mut patches = Vec::new();
        for text in &fields.paths {
            match manifest::read(&manifest::inline(&self.configuration.file, text)) {
                Ok(found) => patches.extend(found),
                Err(_) => {
                    let file = self.load(text)?;
                    patches.extend(self.build.manifest(&file)?);
                }
            }
        }
        if !fields.patches.is_empty() {
            let read = manifest::read(&manifest::inline(&self.configuration.file, &fields.patches));
            patches.extend(self.build.all_told(read)?);
        }
        if patches.is_empty() {
            return self.refuse("`paths` or `patches` are missing, or empty");
        }
        let text = PatchText::Merge(patches);
        Ok(vec![Box::new(Patch { text, target: None, allow_name_change: false, allow_kind_change: false })])
    }

    fn json_patch(&mut self, fields: &Fields) -> Result<Box<dyn Operation>, Stopped> {
        let Some(target) = fields.target.as_ref().filter(|target| !target.id.name.is_empty()) else {
            return self.refuse("a `target` with a `name` is missing");
        };
        let target = self.told(Matcher::new(target))?;
        let file = match (fields.json_op.as_str(), fields.path.as_str()) {
            ("", "") => return self.refuse("`jsonOp` or `path` is missing"),
            ("", path) => self.load(path)?,
            (text, "") => manifest::inline(&self.configuration.file, text),
            _ => return self.refuse("a patch has `path` or `jsonOp`, not both"),
        };
        let patch = self.told(JsonPatch::parse(&file))?;
        if patch.is_empty() {
            return self.refuse("the patch has no operations");
        }
        Ok(Box::new(crate::transform::JsonOnly { patch, target }))
    }

    fn value(&mut self, mut fields: Fields) -> Result<Box<dyn Operation>, Stopped> {
        if !fields.target_file_path.is_empty() {
            let file = self.load(&fields.target_file_path)?;
            let value = manifest::read_value(&file);
            let node = node_of(self.build.all_told(value)?, Span::at(0));
            let mut decoder = Decoder::lenient(&file);
            for (name, node) in decoder.fields(&node, "targets", &["targets"]) {
                fields.read(&mut decoder, name, node);
            }
        }
        if fields.targets.is_empty() {
            return self.refuse("`targets` are missing");
        }
        let mut targets = Vec::new();
        for (selector, field_path, position) in fields.targets {
            let Ok(position) = usize::try_from(position) else {
                return self.refuse("`filePathPosition` is negative");
            };
            if field_path.is_empty() {
                return self.refuse("a target has no `fieldPath`");
            }
            let selector = self.told(selector.as_ref().map(Matcher::new).transpose())?;
            targets.push(ValueTarget { selector, field_path, position });
        }
        let value = match fields.value.trim() {
            "" => self.root.folder.name().to_owned(),
            value => value.to_owned(),
        };
        Ok(Box::new(AddValue { value, targets }))
    }
}

impl Fields {
    fn read(&mut self, decoder: &mut Decoder<'_>, name: &str, node: &Node) {
        match name {
            "fieldSpecs" if node.is_null() => {}
            "fieldSpecs" => self.field_specs = Some(field_specs(decoder, node)),
            "labels" => self.labels = decoder.text_map(node),
            "annotations" => self.annotations = decoder.text_map(node),
            "imageTag" => self.image = read_image(decoder, node),
            "replica" => self.replica = replica(decoder, node),
            "prefix" => self.prefix = decoder.text(node),
            "suffix" => self.suffix = decoder.text(node),
            "metadata" => {
                self.namespace = node.get("namespace").map(|node| decoder.text(node)).unwrap_or_default();
            }
            "unsetOnly" => self.only_unset = decoder.boolean(node),
            "setRoleBindingSubjects" => self.subjects = decoder.text(node),
            "path" => self.path = decoder.text(node),
            "paths" => self.paths = decoder.plain_texts(node),
            "patch" => self.patch = decoder.text(node),
            "patches" => self.patches = decoder.text(node),
            "jsonOp" => self.json_op = decoder.text(node),
            "target" if node.is_null() => {}
            "target" => self.target = Some(read_patch_target(decoder, node)),
            "options" => self.options = decoder.boolean_map(node),
            "replacements" => self.replacements = read_replacements(decoder, node),
            "value" => self.value = decoder.text(node),
            "targets" => self.targets.extend(decoder.list(node, value_target)),
            _ => self.target_file_path = decoder.text(node),
        }
    }
}

fn replica(decoder: &mut Decoder<'_>, node: &Node) -> Replica {
    let mut replica = Replica::default();
    for (name, node) in decoder.fields(node, "a replica", &["name", "count"]) {
        match name {
            "name" => replica.name = decoder.text(node),
            _ => replica.count = decoder.integer(node),
        }
    }
    replica
}

fn value_target(decoder: &mut Decoder<'_>, node: &Node) -> (Option<kustomization::Selector>, String, i64) {
    let (mut selector, mut field_path, mut position) = (None, String::new(), 0);
    for (name, node) in decoder.fields(node, "a target", &["selector", "fieldPath", "filePathPosition"]) {
        match name {
            "selector" if node.is_null() => {}
            "selector" => selector = Some(read_patch_target(decoder, node)),
            "fieldPath" => field_path = decoder.text(node),
            _ => position = decoder.integer(node),
        }
    }
    (selector, field_path, position)
}

/// `HashTransformer`: suffixes now, not only at the end.
struct AddHashes;

impl Operation for AddHashes {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        hash::add_suffixes(resources.list_mut());
        Ok(())
    }
}
