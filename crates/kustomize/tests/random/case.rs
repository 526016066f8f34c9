//! A case: a base, what each layer over it asks for, and the folder that this makes.

use std::collections::{BTreeMap, BTreeSet};

use minato_resource::emit;
use serde_json::{Map, Value, json};

use crate::random::chance::Chance;
use crate::random::features::{Part, parts};
use crate::random::objects;

#[derive(Clone, Debug)]
pub struct Case {
    objects: Vec<Value>,
    /// The base, what lies over it, and at the end the layer that is rendered.
    layers: Vec<Layer>,
    /// A component that the last layer uses.
    component: Option<Layer>,
    /// The layers above name those below by the old field `bases`.
    bases: bool,
    /// Objects are written as JSON.
    json: bool,
}

#[derive(Clone, Debug, Default)]
struct Layer {
    parts: Vec<Part>,
}

impl Case {
    pub fn new(seed: u64) -> Case {
        let chance = &mut Chance::new(seed);
        let count = 1 + chance.below(3);
        let objects = objects::base(chance);
        // Charts are refused, so they come in as few cases as are needed.
        let charts = seed.is_multiple_of(20);
        let layer = |index| Layer { parts: parts(chance, index + 1 == count, charts && index + 1 == count) };
        let layers = (0..count).map(layer).collect();
        let component = chance.percent(18).then(|| Layer { parts: parts(chance, false, false) });
        // An empty component is refused.
        let component = component.filter(|component| !component.parts.is_empty());
        Case { objects, layers, component, bases: chance.percent(14), json: chance.percent(10) }
    }

    /// The names of what it asks for.
    pub fn features(&self) -> BTreeSet<&'static str> {
        let layers = self.layers.iter().chain(&self.component);
        let mut features: BTreeSet<_> =
            layers.flat_map(|layer| &layer.parts).map(|part| part.feature).collect();
        features.insert("resources");
        if self.component.is_some() {
            features.insert("components");
        }
        if self.bases && self.layers.len() > 1 {
            features.insert("bases");
        }
        features
    }

    /// The folder that is rendered.
    pub fn root(&self) -> String {
        format!("layer{}", self.layers.len() - 1)
    }

    /// All files by their paths.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (index, object) in self.objects.iter().enumerate() {
            let text = if self.json { emit::json(object) } else { emit::to_yaml(object) };
            files.insert(format!("layer0/object{index}.yaml"), text);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let mut kustomization = Map::new();
            if index == 0 {
                let names = (0..self.objects.len()).map(|index| format!("object{index}.yaml"));
                kustomization.insert("resources".to_owned(), names.collect());
            } else {
                let field = if self.bases { "bases" } else { "resources" };
                kustomization.insert(field.to_owned(), json!([format!("../layer{}", index - 1)]));
            }
            if let Some(component) = self.component.as_ref().filter(|_| index + 1 == self.layers.len()) {
                kustomization.insert("components".to_owned(), json!(["../component"]));
                let head = json!({"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"});
                component.write(&mut files, "component", head.as_object().cloned().unwrap_or_default());
            }
            layer.write(&mut files, &format!("layer{index}"), kustomization);
        }
        files
    }

    /// Cases with one thing less.
    pub fn smaller(&self) -> Vec<Case> {
        let mut smaller = Vec::new();
        let mut push = |change: &dyn Fn(&mut Case)| {
            let mut case = self.clone();
            change(&mut case);
            smaller.push(case);
        };
        if self.component.is_some() {
            push(&|case| case.component = None);
        }
        if self.layers.len() > 1 {
            (0..self.layers.len()).for_each(|index| push(&|case| drop(case.layers.remove(index))));
        }
        if self.json || self.bases {
            push(&|case| (case.json, case.bases) = (false, false));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            (0..layer.parts.len()).for_each(|part| push(&|case| drop(case.layers[index].parts.remove(part))));
        }
        for part in 0..self.component.as_ref().map_or(0, |component| component.parts.len()) {
            push(&|case| drop(case.component.as_mut().map(|component| component.parts.remove(part))));
        }
        (0..self.objects.len()).for_each(|index| push(&|case| drop(case.objects.remove(index))));
        smaller
    }
}

impl Layer {
    fn write(
        &self,
        files: &mut BTreeMap<String, String>,
        folder: &str,
        mut kustomization: Map<String, Value>,
    ) {
        for part in &self.parts {
            match (kustomization.get_mut(part.field), &part.value) {
                (Some(Value::Array(items)), Value::Array(more)) => items.extend(more.iter().cloned()),
                _ => drop(kustomization.insert(part.field.to_owned(), part.value.clone())),
            }
            for (name, text) in &part.files {
                files.insert(format!("{folder}/{name}"), text.clone());
            }
        }
        files.insert(format!("{folder}/kustomization.yaml"), emit::to_yaml(&Value::Object(kustomization)));
    }
}
