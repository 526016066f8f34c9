//! What a kustomization can ask for, each with its files. Most of it fits to what every base has.
//!
//! Labels and annotations that a transformer makes have a name of their own each time: within Kustomize, those that one
//! transformer makes in several places of an object are one node, and changing one of them later changes all. Minato does
//! not follow it there.

use serde_json::{Value, json};

use crate::random::chance::Chance;
use crate::random::objects::text;

/// A part of a kustomization: a field's value, and the files that it names.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in the table of features.
    pub feature: &'static str,
    pub field: &'static str,
    pub value: Value,
    pub files: Vec<(&'static str, String)>,
}

type Make = fn(&mut Chance) -> (Value, Vec<(&'static str, String)>);

/// Feature, field, how often in percent of layers, and what makes it.
const FEATURES: &[(&str, &str, u64, Make)] = &[
    ("namePrefix", "namePrefix", 14, |chance| plain(json!(*chance.pick(&["pre-", "x-"])))),
    ("nameSuffix", "nameSuffix", 10, |chance| plain(json!(*chance.pick(&["-suf", "-2"])))),
    ("namespace", "namespace", 16, |chance| plain(json!(*chance.pick(&["team", "site", "default"])))),
    ("commonLabels", "commonLabels", 8, |chance| {
        let (one, other) = (chance.fresh("team"), chance.fresh("text"));
        plain(json!({one: "red", other: label(chance)}))
    }),
    ("labels", "labels", 12, labels),
    ("commonAnnotations", "commonAnnotations", 10, |chance| {
        let (one, other) = (chance.fresh("note"), chance.fresh("on"));
        plain(json!({one: text(chance), other: "yes"}))
    }),
    ("configMapGenerator", "configMapGenerator", 20, |chance| generator(chance, "generated")),
    ("secretGenerator", "secretGenerator", 14, |chance| generator(chance, "hidden")),
    ("generator behavior", "configMapGenerator", 8, |chance| {
        plain(
            json!([{"name": "settings", "behavior": *chance.pick(&["merge", "replace"]), "literals": ["extra=1", "host=other"]}]),
        )
    }),
    ("generator env", "configMapGenerator", 7, |chance| {
        (
            json!([{"name": chance.fresh("from-env"), "env": "one.env"}]),
            vec![("one.env", "# comment\nA=1\nB=two words\n\nC=\n".to_owned())],
        )
    }),
    ("generatorOptions", "generatorOptions", 9, options),
    ("patches: strategic", "patches", 16, |chance| plain(json!([{"patch": strategic(chance)}]))),
    ("patches: file", "patches", 10, |chance| {
        (json!([{"path": "patch.yaml"}]), vec![("patch.yaml", strategic(chance))])
    }),
    ("patches: json", "patches", 14, |chance| {
        plain(json!([{"patch": json_patch(chance), "target": target(chance)}]))
    }),
    ("patches: target", "patches", 10, |_| {
        let patch = "apiVersion: v1\nkind: Any\nmetadata:\n  name: any\n  labels:\n    patched: yes-it-is\n";
        plain(json!([{"patch": patch, "target": {"kind": "Deployment|Service", "labelSelector": "app=web"}}]))
    }),
    ("patches: options", "patches", 8, |_| {
        let patch =
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: renamed\nspec:\n  paused: true\n";
        plain(
            json!([{"patch": patch, "target": {"kind": "Deployment", "name": "web"}, "options": {"allowNameChange": true}}]),
        )
    }),
    ("patches: delete", "patches", 6, |_| {
        plain(
            json!([{"patch": "$patch: delete\napiVersion: v1\nkind: Secret\nmetadata:\n  name: any\n", "target": {"kind": "Secret"}}]),
        )
    }),
    ("patchesStrategicMerge", "patchesStrategicMerge", 8, |chance| {
        (json!(["merge.yaml"]), vec![("merge.yaml", strategic(chance))])
    }),
    ("patchesJson6902", "patchesJson6902", 8, |chance| {
        let target = json!({"group": "apps", "version": "v1", "kind": "Deployment", "name": "web"});
        (json!([{"target": target, "path": "json.yaml"}]), vec![("json.yaml", json_patch(chance))])
    }),
    ("images", "images", 14, images),
    ("imageTags", "imageTags", 6, |_| plain(json!([{"name": "nginx", "newTag": "1.9"}]))),
    ("replicas", "replicas", 10, |chance| plain(json!([{"name": "web", "count": chance.below(9)}]))),
    ("replacements", "replacements", 12, replacements),
    ("vars", "vars", 11, |_| {
        let object = json!({"kind": "Service", "name": "web", "apiVersion": "v1"});
        plain(json!([{"name": "HOST", "objref": object, "fieldref": {"fieldpath": "metadata.name"}}]))
    }),
    ("configurations", "configurations", 8, |_| {
        let text = "namePrefix:\n- path: spec/serviceName\n  kind: Widget\nimages:\n- path: spec/image\n  kind: Widget\nnameReference:\n- kind: Service\n  version: v1\n  fieldSpecs:\n  - path: spec/serviceName\n    kind: Widget\n";
        (json!(["configuration.yaml"]), vec![("configuration.yaml", text.to_owned())])
    }),
    ("crds", "crds", 6, |_| {
        let text = r##"{"com.example.v1.Widget": {"Schema": {"description": "a widget", "properties": {"kind": {"type": "string"}, "apiVersion": {"type": "string"}, "spec": {"$ref": "com.example.v1.WidgetSpec"}}}, "Dependencies": ["com.example.v1.WidgetSpec"]}, "com.example.v1.WidgetSpec": {"Schema": {"properties": {"serviceName": {"x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "Service", "type": "string"}}}, "Dependencies": []}}"##;
        (json!(["crd.json"]), vec![("crd.json", text.to_owned())])
    }),
    ("openapi", "openapi", 11, |_| {
        let text = r##"{"definitions": {"v1.Widget": {"properties": {"spec": {"properties": {"list": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"}}, "type": "object"}}, "type": "object", "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Widget", "version": "v1"}]}}}"##;
        (json!({"path": "schema.json"}), vec![("schema.json", text.to_owned())])
    }),
    ("transformers", "transformers", 8, |_| {
        let text = "apiVersion: builtin\nkind: PrefixSuffixTransformer\nmetadata:\n  name: more\nprefix: t-\nfieldSpecs:\n- path: metadata/name\n";
        (json!(["transformer.yaml"]), vec![("transformer.yaml", text.to_owned())])
    }),
    ("transformers: inline", "transformers", 6, |_| {
        plain(json!([
            "apiVersion: builtin\nkind: LabelTransformer\nmetadata:\n  name: more\nlabels:\n  from: transformer\nfieldSpecs:\n- path: metadata/labels\n  create: true\n"
        ]))
    }),
    ("generators", "generators", 8, |chance| {
        let name = chance.fresh("built");
        let text = format!(
            "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata:\n  name: {name}\nliterals:\n- a=b\n"
        );
        (json!(["generator.yaml"]), vec![("generator.yaml", text)])
    }),
    ("validators", "validators", 8, |_| {
        let text = "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata:\n  name: none\nannotations: {}\nfieldSpecs: []\n";
        (json!(["validator.yaml"]), vec![("validator.yaml", text.to_owned())])
    }),
    ("helmCharts", "helmCharts", 0, |_| {
        plain(json!([{"name": "chart", "repo": "https://charts.example.com", "version": "1.0.0"}]))
    }),
    ("sortOptions", "sortOptions", 11, |chance| {
        plain(match chance.below(3) {
            0 => json!({"order": "fifo"}),
            1 => json!({"order": "legacy"}),
            _ => {
                json!({"order": "legacy", "legacySortOptions": {"orderFirst": ["Service", "Deployment"], "orderLast": ["ConfigMap"]}})
            }
        })
    }),
    ("buildMetadata", "buildMetadata", 11, |chance| {
        plain(
            chance
                .pick(&[
                    json!(["originAnnotations"]),
                    json!(["transformerAnnotations"]),
                    json!(["managedByLabel"]),
                    json!(["managedByLabel", "originAnnotations"]),
                ])
                .clone(),
        )
    }),
];

/// The parts of one layer. Those that only the layer at the top may say stay out of the others.
/// `charts` adds the one that both refuse.
pub fn parts(chance: &mut Chance, top: bool, charts: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    for (feature, field, percent, make) in FEATURES {
        let at_the_top = matches!(*field, "sortOptions" | "buildMetadata" | "openapi" | "vars");
        let wanted = chance.percent(*percent) || (charts && *field == "helmCharts");
        if wanted && (top || !at_the_top) {
            let (value, files) = make(chance);
            parts.push(Part { feature, field, value, files });
        }
    }
    parts
}

/// Every name that the table of features has.
pub fn names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|(feature, ..)| *feature).chain(["resources", "components", "bases"])
}

fn plain(value: Value) -> (Value, Vec<(&'static str, String)>) {
    (value, Vec::new())
}

fn label(chance: &mut Chance) -> &'static str {
    ["a", "true", "1", "x.y_z"][chance.below(4)]
}

fn labels(chance: &mut Chance) -> (Value, Vec<(&'static str, String)>) {
    let name = chance.fresh("owner");
    let mut entry = json!({"pairs": {name: label(chance)}});
    match chance.below(4) {
        0 => entry["includeSelectors"] = json!(true),
        1 => entry["includeTemplates"] = json!(true),
        2 => entry["fields"] = json!([{"path": "spec/custom/labels", "create": true, "kind": "Widget"}]),
        _ => {}
    }
    plain(json!([entry]))
}

fn generator(chance: &mut Chance, name: &'static str) -> (Value, Vec<(&'static str, String)>) {
    let mut entry = json!({"name": chance.fresh(name), "literals": ["a=1", "b=two words", "c='quoted'"]});
    let mut files = Vec::new();
    if chance.percent(40) {
        let (file, key) =
            if name == "hidden" { ("hidden.txt", "k=hidden.txt") } else { ("file.txt", "k=file.txt") };
        entry["files"] = json!([*chance.pick(&[file, key])]);
        files.push((file, text(chance)));
    }
    if chance.percent(30) {
        let file = if name == "hidden" { "hidden.env" } else { "file.env" };
        entry["envs"] = json!([file]);
        files.push((file, "FROM_ENV=yes\nOTHER=a b\n".to_owned()));
    }
    if chance.percent(25) {
        entry["options"] =
            json!({"disableNameSuffixHash": true, "labels": {"made": "here"}, "immutable": true});
    }
    if name == "hidden" && chance.percent(30) {
        entry["type"] = json!("example.com/kind");
    }
    (json!([entry]), files)
}

fn options(chance: &mut Chance) -> (Value, Vec<(&'static str, String)>) {
    let mut options = json!({"labels": {"generated": "true"}, "annotations": {"note": "generated"}});
    if chance.percent(50) {
        options["disableNameSuffixHash"] = json!(true);
    }
    plain(options)
}

fn images(chance: &mut Chance) -> (Value, Vec<(&'static str, String)>) {
    let digest = "sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3";
    plain(match chance.below(5) {
        0 => json!([{"name": "nginx", "newTag": "2.0"}]),
        1 => json!([{"name": "nginx", "newName": "mirror.example.com/nginx"}]),
        2 => json!([{"name": "registry.example.com:5000/team/app", "digest": digest}]),
        3 => json!([{"name": "busybox", "newName": "alpine", "newTag": "3"}]),
        _ => json!([{"name": "nginx", "newTag": "8"}, {"name": "busybox", "tagSuffix": "-x"}]),
    })
}

fn strategic(chance: &mut Chance) -> String {
    let patches = [
        "spec:\n  replicas: 7\n",
        "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        image: patched:1\n        env:\n        - name: HOST\n          value: patched\n        - name: NEW\n          value: \"1\"\n",
        "spec:\n  template:\n    spec:\n      containers:\n      - name: side\n        $patch: delete\n      - name: added\n        image: added\n",
        "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        ports:\n        - containerPort: 80\n          protocol: TCP\n          hostPort: 1\n        - containerPort: 443\n",
        "spec:\n  template:\n    spec:\n      volumes:\n      - $patch: replace\n      - name: only\n        emptyDir: {}\n",
        "spec:\n  template:\n    spec:\n      containers:\n      - name: web\n        args: [a, b]\n        resources: null\n",
        "metadata:\n  annotations:\n    patched: \"true\"\n  labels:\n    tier: null\n",
        "spec:\n  strategy:\n    $patch: replace\n    type: Recreate\n",
    ];
    let patch = *chance.pick(&patches);
    let name = "  name: web\n";
    match patch.strip_prefix("metadata:\n") {
        Some(rest) => format!("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n{name}{rest}"),
        None => format!("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n{name}{patch}"),
    }
}

fn json_patch(chance: &mut Chance) -> String {
    let patches = [
        "- op: add\n  path: /metadata/labels\n  value: {a/b: \"1\", app: web}\n",
        "- op: add\n  path: /metadata/annotations/new\n  value: \"1\"\n",
        "- op: add\n  path: /metadata/annotations\n  value: {a/b: \"1\"}\n",
        "- op: replace\n  path: /spec/template/spec/containers/0/image\n  value: replaced:1\n",
        "- op: add\n  path: /spec/template/spec/containers/-\n  value: {name: more, image: more}\n",
        "- op: test\n  path: /kind\n  value: Deployment\n- op: add\n  path: /spec/paused\n  value: true\n",
        "- op: copy\n  from: /metadata/name\n  path: /spec/copied\n",
        "[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 4}]",
    ];
    (*chance.pick(&patches)).to_owned()
}

fn target(chance: &mut Chance) -> Value {
    chance
        .pick(&[
            json!({"kind": "Deployment", "name": "web"}),
            json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
            json!({"kind": "Deploy.*", "name": "w.*"}),
            json!({"kind": "Deployment", "annotationSelector": "note"}),
        ])
        .clone()
}

fn replacements(chance: &mut Chance) -> (Value, Vec<(&'static str, String)>) {
    let source = json!({"kind": "ConfigMap", "name": "settings", "fieldPath": "data.host"});
    let replacement = match chance.below(4) {
        0 => {
            json!({"source": source, "targets": [{"select": {"kind": "Deployment"}, "fieldPaths": ["spec.template.spec.containers.[name=web].image"], "options": {"delimiter": ":", "index": 0}}]})
        }
        1 => {
            json!({"source": source, "targets": [{"select": {"kind": "Service"}, "fieldPaths": ["metadata.annotations.from"], "options": {"create": true}}]})
        }
        2 => {
            json!({"source": {"kind": "Service", "name": "web"}, "targets": [{"select": {"kind": "Deployment", "name": "web"}, "reject": [{"name": "other"}], "fieldPaths": ["spec.template.spec.containers.*.image"]}]})
        }
        _ => {
            let text = "source:\n  kind: Deployment\n  name: web\n  fieldPath: spec.template.spec.containers.0.image\ntargets:\n- select:\n    kind: ConfigMap\n    name: settings\n  fieldPaths:\n  - data.image\n  options:\n    create: true\n";
            return (json!([{"path": "replacement.yaml"}]), vec![("replacement.yaml", text.to_owned())]);
        }
    };
    plain(json!([replacement]))
}
