//! `ValueAddTransformer`, which has no field in a kustomization: a value for fields, or a part of paths in them.

use serde_json::{Map, Value};

use super::{Operation, SetNamespace, Subjects};
use crate::field::split;
use crate::refusal::Refusal;
use crate::resources::Resources;
use crate::schema::Schema;
use crate::selector::Matcher;
use crate::value;

/// Writes one value into fields of resources.
#[derive(Debug)]
pub(crate) struct AddValue {
    pub(crate) value: String,
    pub(crate) targets: Vec<ValueTarget>,
}

#[derive(Debug)]
pub(crate) struct ValueTarget {
    pub(crate) selector: Option<Matcher>,
    pub(crate) field_path: String,
    /// From 1: the value becomes this part of the path that the field holds. 0: it replaces the field.
    pub(crate) position: usize,
}

impl Operation for AddValue {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        for target in &self.targets {
            let meant = |resource: &&mut crate::resource::Resource| {
                target.selector.as_ref().is_none_or(|selector| selector.matches(resource))
            };
            for resource in resources.list_mut().iter_mut().filter(meant) {
                if target.field_path == "metadata/namespace" {
                    self.namespace().set(resource)?;
                } else {
                    self.write(&mut resource.value, target)?;
                    resource.refresh();
                }
            }
        }
        Ok(())
    }
}

impl AddValue {
    fn namespace(&self) -> SetNamespace {
        let namespace = self.value.clone();
        SetNamespace { namespace, fields: Vec::new(), only_unset: false, subjects: Subjects::NamedDefault }
    }

    fn write(&self, resource: &mut Value, target: &ValueTarget) -> Result<(), Refusal> {
        let mut field = resource;
        for part in split(&target.field_path, '/') {
            if field.is_null() {
                *field = Value::Object(Map::new());
            }
            let Value::Object(fields) = field else {
                let message = format!(
                    "field `{}`: expected a mapping on the way, found {}",
                    target.field_path,
                    value::kind_name(field)
                );
                return Err(Refusal::new("wrong-type", message));
            };
            field = fields.entry(part).or_insert(Value::Null);
        }
        if field.is_array() || field.is_object() {
            let message = format!(
                "field `{}`: expected a scalar, found {}",
                target.field_path,
                value::kind_name(field)
            );
            return Err(Refusal::new("wrong-type", message));
        }
        let old = if field.is_null() { String::new() } else { value::text(field) };
        let new = match target.position {
            0 => self.value.clone(),
            position => inserted(&old, position - 1, &self.value),
        };
        *field = Value::String(new);
        Ok(())
    }
}

/// A path with one part more; a position behind its end is its end.
fn inserted(path: &str, position: usize, part: &str) -> String {
    let (slash, rest) = path.strip_prefix('/').map_or(("", path), |rest| ("/", rest));
    let mut parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    format!("{slash}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_put_into_a_path() {
        for (path, position, expected) in [
            ("", 0, "P"),
            ("/", 0, "/P"),
            ("pie", 0, "P/pie"),
            ("/pie", 0, "/P/pie"),
            ("raw", 1, "raw/P"),
            ("a/nice/warm/pie", 3, "a/nice/warm/P/pie"),
            ("/a/b", 99, "/a/b/P"),
        ] {
            assert_eq!(inserted(path, position, "P"), expected, "{path}");
        }
    }
}
