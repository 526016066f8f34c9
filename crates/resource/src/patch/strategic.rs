//! Strategic merge patches, as Kustomize's kyaml merges them.
//!
//! Mappings are merged field by field, `null` removes, lists are replaced unless the [`MergeSchema`] says by which keys
//! their items are merged ([`super::elements`]). `$patch: delete|replace|merge` in a mapping, or as an item of its own in a
//! merged list, says otherwise. The directives that kyaml does not know (`$setElementOrder`, `$deleteFromPrimitiveList`,
//! `$retainKeys`) are fields like any other to it, and so they are here.

use serde_json::{Map, Value};

use super::elements;
use super::schema::{MergeSchema, TypeId};

/// The key of a directive.
pub(super) const DIRECTIVE: &str = "$patch";

/// How deep values may be merged: more than any document that was read can be nested.
const MAX_DEPTH: usize = 200;

/// What became of the patched value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// It was changed in place.
    Kept,
    /// The patch deletes it.
    Deleted,
}

/// Why a patch cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategicMergeError {
    /// `$patch` says something unknown.
    #[error("`$patch` must be delete, replace or merge, not `{0}`")]
    UnknownDirective(String),
    /// A mapping, list or scalar on one side and something else on the other.
    #[error("`{field}`: the patch has {patch} where the object has {object}")]
    DifferentKinds {
        /// The field's name, or the list's for its items.
        field: String,
        /// `a list`.
        object: &'static str,
        /// `a mapping`.
        patch: &'static str,
    },
    /// An item of a merged list that is not a mapping, so it has no merge key.
    #[error("`{field}` is a list whose items are merged by `{key}`, so each must be a mapping")]
    ItemWithoutFields {
        /// The list's name.
        field: String,
        /// The merge keys.
        key: String,
    },
    /// Nested too deep.
    #[error("values are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// Merges a patch into a value. Which lists are merged is found by the value's own `apiVersion` and `kind`, or the patch's
/// where it has none.
///
/// # Errors
/// The patch does not fit; the value is then partly changed and of no use.
pub fn strategic_merge(
    target: &mut Value,
    patch: &Value,
    schema: &MergeSchema,
) -> Result<Merged, StrategicMergeError> {
    let mut patch = patch.clone();
    let outcome = Merge { schema }.both(target, &mut patch, Place::root())?;
    match outcome {
        Outcome::Target => Ok(Merged::Kept),
        Outcome::Patch => {
            *target = patch;
            Ok(Merged::Kept)
        }
        Outcome::Nothing => {
            *target = Value::Null;
            Ok(Merged::Deleted)
        }
    }
}

/// Which of two values the result is; it was changed in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Target,
    Patch,
    Nothing,
}

/// What is known about a value from where it stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'schema> {
    /// The field's name, for messages.
    pub(super) name: &'schema str,
    pub(super) keys: Option<&'schema [String]>,
    pub(super) kind: Option<TypeId>,
    pub(super) depth: usize,
}

impl Place<'_> {
    fn root() -> Place<'static> {
        Place { name: "", keys: None, kind: None, depth: 0 }
    }
}

/// A directive of a patch.
#[derive(PartialEq)]
pub(super) enum Directive {
    Merge,
    Replace,
    Delete,
}

impl Directive {
    pub(super) fn parse(text: &str) -> Result<Directive, StrategicMergeError> {
        match text {
            "merge" => Ok(Directive::Merge),
            "replace" => Ok(Directive::Replace),
            "delete" => Ok(Directive::Delete),
            other => Err(StrategicMergeError::UnknownDirective(other.to_owned())),
        }
    }
}

pub(super) struct Merge<'schema> {
    pub(super) schema: &'schema MergeSchema,
}

impl Merge<'_> {
    /// Both sides have a value.
    pub(super) fn both(
        &self,
        target: &mut Value,
        patch: &mut Value,
        place: Place<'_>,
    ) -> Result<Outcome, StrategicMergeError> {
        match (&mut *target, &mut *patch) {
            (Value::Null, Value::Null) => Ok(Outcome::Nothing),
            (Value::Null, _) => self.patch_alone(patch, place),
            (_, Value::Null) => Ok(Outcome::Nothing),
            (Value::Object(fields), Value::Object(other)) => match directive(other)? {
                Directive::Delete => Ok(Outcome::Nothing),
                Directive::Replace => self.itself(patch, place),
                Directive::Merge => self.mappings(fields, other, place).map(|()| Outcome::Target),
            },
            (Value::Array(items), Value::Array(other)) => match place.keys {
                None => Ok(Outcome::Patch),
                Some(_) => elements::merge(self, items, other, place),
            },
            (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => {
                Err(different(target, patch, place))
            }
            _ => Ok(Outcome::Patch),
        }
    }

    /// The target has nothing here: the patch's value comes in, merged with itself.
    pub(super) fn patch_alone(
        &self,
        patch: &mut Value,
        place: Place<'_>,
    ) -> Result<Outcome, StrategicMergeError> {
        match patch {
            Value::Null => return Ok(Outcome::Nothing),
            // Here kyaml lets unknown directives pass, and looks for none among the items of a list.
            Value::Object(fields) => {
                if directive(fields).is_ok_and(|directive| directive == Directive::Delete) {
                    return Ok(Outcome::Nothing);
                }
                self.fields_of(fields, place)?;
            }
            Value::Array(items) if place.keys.is_some() => elements::itself(self, items, place)?,
            _ => {}
        }
        Ok(Outcome::Patch)
    }

    /// A value of the patch is both sides.
    pub(super) fn itself(&self, patch: &mut Value, place: Place<'_>) -> Result<Outcome, StrategicMergeError> {
        match patch {
            Value::Null => return Ok(Outcome::Nothing),
            Value::Object(fields) => self.fields_of(fields, place)?,
            Value::Array(items) if place.keys.is_some() => {
                if elements::directive(items)? == Directive::Delete {
                    return Ok(Outcome::Nothing);
                }
                elements::itself(self, items, place)?;
            }
            _ => {}
        }
        Ok(Outcome::Patch)
    }

    /// The patch has nothing here. Explicit nulls stay.
    pub(super) fn target_alone(
        &self,
        target: &mut Value,
        place: Place<'_>,
    ) -> Result<(), StrategicMergeError> {
        match target {
            Value::Object(fields) => {
                let place = self.typed(fields, None, place)?;
                for (name, value) in fields.iter_mut() {
                    if let Some(place) = self.below(name, value, place) {
                        self.target_alone(value, place)?;
                    }
                }
                Ok(())
            }
            Value::Array(items) if place.keys.is_some() => elements::target_alone(self, items, place),
            _ => Ok(()),
        }
    }

    /// The patch keeps its values: an item of a list can be merged twice.
    fn mappings(
        &self,
        target: &mut Map<String, Value>,
        patch: &mut Map<String, Value>,
        place: Place<'_>,
    ) -> Result<(), StrategicMergeError> {
        let place = self.typed(target, Some(patch), place)?;
        for (name, value) in target.iter_mut().filter(|(name, _)| !patch.contains_key(*name)) {
            if let Some(place) = self.below(name, value, place) {
                self.target_alone(value, place)?;
            }
        }
        for (name, value) in patch.iter_mut() {
            let place = self.field(name, place);
            let Some(field) = target.get_mut(name) else {
                if self.patch_alone(value, place)? == Outcome::Patch {
                    target.insert(name.clone(), value.clone());
                }
                continue;
            };
            match self.both(field, value, place)? {
                Outcome::Target => {}
                Outcome::Patch => *field = in_style_of(field, value.clone()),
                Outcome::Nothing => drop(target.shift_remove(name)),
            }
        }
        Ok(())
    }

    /// Every field of a mapping that is both sides.
    fn fields_of(
        &self,
        fields: &mut Map<String, Value>,
        place: Place<'_>,
    ) -> Result<(), StrategicMergeError> {
        let place = self.typed(fields, None, place)?;
        let mut gone = Vec::new();
        for (name, value) in fields.iter_mut() {
            let below = self.field(name, place);
            let outcome = match value {
                Value::Object(inner) => match directive(inner)? {
                    Directive::Delete => Outcome::Nothing,
                    Directive::Replace | Directive::Merge => self.itself(value, below)?,
                },
                _ => self.itself(value, below)?,
            };
            if outcome == Outcome::Nothing {
                gone.push(name.clone());
            }
        }
        for name in gone {
            fields.shift_remove(&name);
        }
        Ok(())
    }

    /// Finds the type of a mapping that says its own, where its place does not.
    fn typed<'schema>(
        &self,
        fields: &Map<String, Value>,
        other: Option<&Map<String, Value>>,
        place: Place<'schema>,
    ) -> Result<Place<'schema>, StrategicMergeError> {
        if place.depth > MAX_DEPTH {
            return Err(StrategicMergeError::TooDeep);
        }
        let found = || {
            [Some(fields), other].into_iter().flatten().find_map(|fields| {
                let text = |name: &str| fields.get(name).and_then(Value::as_str);
                self.schema.kind(text("apiVersion")?, text("kind")?)
            })
        };
        Ok(Place { kind: place.kind.or_else(found), ..place })
    }

    /// The place of a field that only the target has; `None` where nothing below it can change.
    fn below<'name>(
        &'name self,
        name: &'name str,
        value: &Value,
        place: Place<'name>,
    ) -> Option<Place<'name>> {
        match value {
            Value::Object(_) => Some(self.field(name, place)),
            Value::Array(_) => Some(self.field(name, place)).filter(|place| place.keys.is_some()),
            _ => None,
        }
    }

    fn field<'name>(&'name self, name: &'name str, place: Place<'name>) -> Place<'name> {
        let field = place.kind.and_then(|kind| self.schema.field(kind, name));
        Place {
            name,
            keys: field.and_then(|field| field.keys.as_deref()),
            kind: field.and_then(|field| field.target),
            depth: place.depth + 1,
        }
    }
}

/// Takes the directive out of a mapping.
fn directive(fields: &mut Map<String, Value>) -> Result<Directive, StrategicMergeError> {
    let Some(value) = fields.get(DIRECTIVE) else { return Ok(Directive::Merge) };
    let directive = Directive::parse(&text(value))?;
    fields.shift_remove(DIRECTIVE);
    Ok(directive)
}

/// kyaml keeps the quotes of the value that it replaces, which makes text of a number that comes in. Only a text that is
/// nothing without quotes was surely written with them.
fn in_style_of(replaced: &Value, value: Value) -> Value {
    match (replaced, &value) {
        (Value::String(old), Value::Number(_) | Value::Bool(_)) if must_be_quoted(old) => {
            Value::String(text(&value))
        }
        _ => value,
    }
}

fn must_be_quoted(text: &str) -> bool {
    use crate::document::yaml::scalar::{Plain, resolve};
    resolve(text) != Plain::Text && !matches!(text, "y" | "Y" | "n" | "N" | "yes" | "no" | "on" | "off")
}

/// True when a scalar is written so; a mapping or list is written as nothing here.
pub(super) fn is_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        other => text(other) == wanted,
    }
}

/// A scalar as it is written; nothing for a mapping or list.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
        Value::Object(_) | Value::Array(_) => String::new(),
    }
}

fn different(object: &Value, patch: &Value, place: Place<'_>) -> StrategicMergeError {
    let kind = |value: &Value| match value {
        Value::Object(_) => "a mapping",
        Value::Array(_) => "a list",
        _ => "a single value",
    };
    StrategicMergeError::DifferentKinds {
        field: place.name.to_owned(),
        object: kind(object),
        patch: kind(patch),
    }
}
