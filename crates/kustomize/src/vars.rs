//! `vars`: fields of resources that texts of other resources name as `$(NAME)`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::field::{FieldSpec, Make};
use crate::kustomization::Var;
use crate::path;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::value;

/// Variables by name.
#[derive(Debug, Default)]
pub(crate) struct Vars(BTreeMap<String, Var>);

impl Vars {
    /// Takes in a variable and marks the resource that it is read from.
    ///
    /// # Errors
    /// There is one of its name, or more than one resource could be meant.
    pub(crate) fn add(&mut self, var: Var, resources: &mut [Resource]) -> Result<(), Refusal> {
        let mut matches = resources.iter_mut().filter(|resource| is_meant(resource, &var));
        if let Some(resource) = matches.next() {
            if matches.next().is_some() {
                let message = format!("var `{}`: more than one resource is `{}`", var.name, var.object);
                return Err(Refusal::new("ambiguous-var", message));
            }
            resource.vars.push(var.name.clone());
        }
        self.insert(var)
    }

    pub(crate) fn merge(&mut self, other: Vars) -> Result<(), Refusal> {
        other.0.into_values().try_for_each(|var| self.insert(var))
    }

    fn insert(&mut self, var: Var) -> Result<(), Refusal> {
        if self.0.contains_key(&var.name) {
            return Err(Refusal::new("duplicate-var", format!("var `{}` is there twice", var.name)));
        }
        self.0.insert(var.name.clone(), var);
        Ok(())
    }

    /// Writes the variables' values into the fields that may have some.
    ///
    /// # Errors
    /// A variable has no value, or a field cannot hold any.
    pub(crate) fn resolve(&self, resources: &mut [Resource], fields: &[FieldSpec]) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let values = self.values(resources)?;
        for resource in resources {
            let gvk = resource.id().gvk.clone();
            for field in fields {
                field.visit(&gvk, &mut resource.value, Make::Nothing, &mut |value| expand(value, &values))?;
            }
            resource.refresh();
        }
        Ok(())
    }

    fn values(&self, resources: &[Resource]) -> Result<BTreeMap<String, Value>, Refusal> {
        let mut values = BTreeMap::new();
        for var in self.0.values() {
            let Some(resource) = resources.iter().find(|resource| resource.vars.contains(&var.name)) else {
                let message = format!("var `{}`: there is no `{}`", var.name, var.object);
                let names = resources.iter().map(|resource| resource.id().name.as_str());
                return Err(Refusal::new("missing-var", message).suggesting(&var.object.name, names));
            };
            let found = path::lookup(&resource.value, &parts(&var.field_path))?;
            let value = found.ok_or_else(|| {
                let message =
                    format!("var `{}`: `{}` has no field `{}`", var.name, resource.id(), var.field_path);
                Refusal::new("missing-var", message)
            })?;
            values.insert(var.name.clone(), value.clone());
        }
        Ok(values)
    }
}

/// The parts of a var's path, in which items of lists may also be written `containers[0]`.
fn parts(field_path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for part in path::parse(field_path) {
        let indexed = part.strip_suffix(']').and_then(|part| part.split_once('['));
        match indexed
            .filter(|(_, index)| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
        {
            Some((field, index)) => {
                parts.extend(Some(field.to_owned()).filter(|field| !field.is_empty()));
                parts.push(index.to_owned());
            }
            None => parts.push(part),
        }
    }
    parts
}

fn is_meant(resource: &Resource, var: &Var) -> bool {
    let (id, object) = (resource.id(), &var.object);
    let same_group = id.gvk.group == object.gvk.group && id.gvk.version == object.gvk.version;
    let same = |kind: &str, name: &str, namespace: &str| {
        kind == object.gvk.kind
            && name == object.name
            && (object.namespace.is_empty() || namespace == object.namespace)
    };
    same_group
        && (same(&id.gvk.kind, &id.name, id.effective_namespace())
            || resource
                .previous
                .iter()
                .any(|previous| same(&previous.kind, &previous.name, &previous.namespace)))
}

/// Texts, items of lists and values of mappings; other values stay.
fn expand(value: &mut Value, values: &BTreeMap<String, Value>) -> Result<(), Refusal> {
    match value {
        Value::String(text) => *value = expanded(text, values),
        Value::Object(fields) => {
            for field in fields.values_mut() {
                if let Value::String(text) = field {
                    *field = expanded(text, values);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let Value::String(text) = item else {
                    let message =
                        format!("expected a list of strings, found {} in it", value::kind_name(item));
                    return Err(Refusal::new("wrong-type", message));
                };
                *item = expanded(text, values);
            }
        }
        _ => {}
    }
    Ok(())
}

/// A text with its variables replaced. One that is nothing but a variable gets the type of the value.
fn expanded(text: &str, values: &BTreeMap<String, Value>) -> Value {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find('$').filter(|index| index + 1 < rest.len()) {
        out.push_str(&rest[..index]);
        let behind = &rest[index + 1..];
        let name = behind.strip_prefix('(').and_then(|inner| Some(&inner[..inner.find(')')?]));
        rest = match name {
            Some(name) => {
                let value = values.get(name).filter(|value| !value.is_array() && !value.is_object());
                match value {
                    Some(value) if text.len() == name.len() + 3 => return typed(value),
                    Some(value) => out.push_str(&value::text(value)),
                    None => out.push_str(&format!("$({name})")),
                }
                &behind[name.len() + 2..]
            }
            None if behind.starts_with('$') => {
                out.push('$');
                &behind[1..]
            }
            None => {
                let first = behind.chars().next().map_or(0, char::len_utf8);
                out.push('$');
                out.push_str(&behind[..first]);
                &behind[first..]
            }
        };
    }
    out.push_str(rest);
    Value::String(out)
}

fn typed(value: &Value) -> Value {
    if value.is_null() { Value::String(value::text(value)) } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_are_expanded_as_kubernetes_writes_them() {
        let values = BTreeMap::from([("A".to_owned(), json!("x")), ("N".to_owned(), json!(80))]);
        for (text, expected) in [
            ("$(A)", json!("x")),
            ("$(N)", json!(80)),
            ("p-$(N)-$(A)", json!("p-80-x")),
            ("$(B)", json!("$(B)")),
            ("$$(A)", json!("$(A)")),
            ("$A $( $", json!("$A $( $")),
            ("$", json!("$")),
            ("$ö", json!("$ö")),
        ] {
            assert_eq!(expanded(text, &values), expected, "{text}");
        }
    }

    #[test]
    fn items_of_lists_have_two_spellings() {
        assert_eq!(parts("spec.ports[0].port"), ["spec", "ports", "0", "port"]);
        assert_eq!(parts("spec.ports.0.port"), ["spec", "ports", "0", "port"]);
    }
}
