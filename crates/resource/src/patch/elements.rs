//! Lists that are merged item by item.
//!
//! kyaml collects the merge keys' values of both lists (the patch's first), merges each pair of items that have them, and
//! puts the results before the items of the old list, replacing those of equal keys. That items are shared between the two
//! lists while this goes on decides what happens to repeated keys; so here, too, items live in one place and lists hold
//! their numbers.

use indexmap::IndexSet;
use serde_json::Value;

use super::strategic::{DIRECTIVE, Directive, Merge, Outcome, Place, StrategicMergeError, is_text, text};

/// Merges a patch's list into the target's.
pub(super) fn merge(
    merge: &Merge<'_>,
    target: &mut Vec<Value>,
    patch: &mut Vec<Value>,
    place: Place<'_>,
) -> Result<Outcome, StrategicMergeError> {
    match directive(patch)? {
        Directive::Delete => return Ok(Outcome::Nothing),
        Directive::Replace => {
            itself(merge, patch, place)?;
            return Ok(Outcome::Patch);
        }
        Directive::Merge => {}
    }
    let mut lists = Lists::new(merge, place);
    let target_ids = lists.take(target);
    let patch_ids = lists.take(patch);
    *target = lists.merged(target_ids, Patch::List(patch_ids))?;
    Ok(Outcome::Target)
}

/// A list of the patch that the target does not have: it is merged with itself.
pub(super) fn itself(
    merge: &Merge<'_>,
    patch: &mut Vec<Value>,
    place: Place<'_>,
) -> Result<(), StrategicMergeError> {
    let mut lists = Lists::new(merge, place);
    let ids = lists.take(patch);
    *patch = lists.merged(ids, Patch::Same)?;
    Ok(())
}

/// A list of the target that the patch does not have.
pub(super) fn target_alone(
    merge: &Merge<'_>,
    target: &mut Vec<Value>,
    place: Place<'_>,
) -> Result<(), StrategicMergeError> {
    let mut lists = Lists::new(merge, place);
    let ids = lists.take(target);
    *target = lists.merged(ids, Patch::Nothing)?;
    Ok(())
}

/// Takes out an item that says what to do with the list: `- $patch: replace`.
pub(super) fn directive(patch: &mut Vec<Value>) -> Result<Directive, StrategicMergeError> {
    let first = patch.iter().find_map(|item| Some((item, item.get(DIRECTIVE)?)));
    let Some((_, value)) = first.filter(|(item, _)| item.as_object().is_some_and(|item| item.len() == 1))
    else {
        return Ok(Directive::Merge);
    };
    let value = text(value);
    let directive = Directive::parse(&value)?;
    patch.retain(|item| !is_void(item) && item.get(DIRECTIVE).is_none_or(|other| !is_text(other, &value)));
    Ok(directive)
}

/// Null or an empty mapping: nothing that a list could keep.
fn is_void(item: &Value) -> bool {
    item.is_null() || item.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The number of an item.
type Id = usize;

/// The list of the patch.
enum Patch {
    Nothing,
    /// It is the target's own: what is taken out of one is out of both.
    Same,
    List(Vec<Id>),
}

impl Patch {
    fn ids<'list>(&'list self, target: &'list [Id]) -> &'list [Id] {
        match self {
            Patch::Nothing => &[],
            Patch::Same => target,
            Patch::List(ids) => ids,
        }
    }
}

struct Lists<'run, 'schema> {
    merge: &'run Merge<'schema>,
    place: Place<'run>,
    items: Vec<Value>,
    /// The merge keys; one empty key for plain values.
    keys: Vec<&'run str>,
}

/// Merge keys with the values that name an item.
struct Name<'run> {
    keys: Vec<&'run str>,
    values: Vec<String>,
}

impl<'run, 'schema> Lists<'run, 'schema> {
    fn new(merge: &'run Merge<'schema>, place: Place<'run>) -> Lists<'run, 'schema> {
        let mut keys: Vec<&str> = place.keys.unwrap_or_default().iter().map(String::as_str).collect();
        if keys.is_empty() {
            keys.push("");
        }
        Lists { merge, place, items: Vec::new(), keys }
    }

    fn take(&mut self, list: &mut Vec<Value>) -> Vec<Id> {
        let start = self.items.len();
        self.items.append(list);
        (start..self.items.len()).collect()
    }

    /// The merged list.
    fn merged(mut self, mut target: Vec<Id>, patch: Patch) -> Result<Vec<Value>, StrategicMergeError> {
        let names = self.names(&target, patch.ids(&target));
        let mut results: Vec<Id> = Vec::new();
        let mut last = None;
        for values in &names {
            let name = self.usable(&names, values);
            match self.pair(&name, &target, patch.ids(&target))? {
                Some(id) => self.set(&mut results, &name, Some(id))?,
                None => self.set(&mut target, &name, None)?,
            }
            last = Some(name);
        }
        if let Some(name) = last {
            self.append(&mut results, &target, &name.keys)?;
            target = results;
        }
        Ok(self.give(&target))
    }

    /// The values of the merge keys of all items, each once, the patch's first.
    fn names(&self, target: &[Id], patch: &[Id]) -> Vec<Vec<String>> {
        let mut names: IndexSet<Vec<String>> = IndexSet::new();
        for id in patch.iter().chain(target) {
            let item = &self.items[*id];
            names.insert(self.keys.iter().map(|key| key_value(item, key)).collect());
        }
        let mut names: Vec<Vec<String>> = names.into_iter().collect();
        if self.keys.len() > 1 {
            complete(&mut names);
        }
        names
    }

    /// The keys that any item of the list has, with this item's values.
    fn usable(&self, names: &[Vec<String>], values: &[String]) -> Name<'run> {
        let used = |index: usize| names.iter().any(|values| !values[index].is_empty());
        let indices: Vec<usize> = (0..self.keys.len()).filter(|index| used(*index)).collect();
        if indices.is_empty() {
            return Name { keys: self.keys.clone(), values: values.to_vec() };
        }
        Name {
            keys: indices.iter().map(|index| self.keys[*index]).collect(),
            values: indices.iter().map(|index| values[*index].clone()).collect(),
        }
    }

    /// Merges the items of a name; `None` when nothing is left of them.
    fn pair(
        &mut self,
        name: &Name<'_>,
        target: &[Id],
        patch: &[Id],
    ) -> Result<Option<Id>, StrategicMergeError> {
        let one = self.find(target, name);
        let other = self.find(patch, name);
        let place = Place { keys: None, depth: self.place.depth + 1, ..self.place };
        let merge = self.merge;
        let (id, outcome) = match (one, other) {
            (None, None) => return Ok(None),
            (Some(one), Some(other)) if one == other => {
                let mut item = std::mem::take(&mut self.items[one]);
                let outcome = self.same(&mut item, place)?;
                self.items[one] = item;
                (one, outcome)
            }
            (Some(one), Some(other)) => {
                let (mut item, mut change) =
                    (std::mem::take(&mut self.items[one]), std::mem::take(&mut self.items[other]));
                let outcome = merge.both(&mut item, &mut change, place)?;
                (self.items[one], self.items[other]) = (item, change);
                (if outcome == Outcome::Patch { other } else { one }, outcome)
            }
            (Some(one), None) => {
                merge.target_alone(&mut self.items[one], place)?;
                (one, Outcome::Target)
            }
            (None, Some(other)) => (other, merge.patch_alone(&mut self.items[other], place)?),
        };
        Ok(Some(id).filter(|id| outcome != Outcome::Nothing && !is_void(&self.items[*id])))
    }

    /// An item that is in both lists.
    fn same(&self, item: &mut Value, place: Place<'_>) -> Result<Outcome, StrategicMergeError> {
        let directive = match item {
            Value::Object(fields) if fields.contains_key(DIRECTIVE) => {
                let directive = Directive::parse(&text(&fields[DIRECTIVE]))?;
                fields.shift_remove(DIRECTIVE);
                directive
            }
            _ => Directive::Merge,
        };
        match directive {
            Directive::Delete => Ok(Outcome::Nothing),
            Directive::Replace | Directive::Merge => self.merge.itself(item, place),
        }
    }

    /// The first item that has all values that the name has.
    fn find(&self, list: &[Id], name: &Name<'_>) -> Option<Id> {
        let mut wanted: Vec<(&str, &String)> = name.keys.iter().copied().zip(&name.values).collect();
        if wanted.iter().any(|(_, value)| !value.is_empty()) {
            wanted.retain(|(_, value)| !value.is_empty());
        }
        let has = |item: &Value, (key, value): &(&str, &String)| match item {
            plain if key.is_empty() => is_text(plain, value),
            Value::Object(fields) => fields.get(*key).is_some_and(|field| is_text(field, value)),
            _ => false,
        };
        let matches = |item: &Value| wanted.iter().all(|part| has(item, part));
        list.iter().copied().find(|id| matches(&self.items[*id]))
    }

    /// Puts an item in the place of those that have its name, or at the end; without an item, removes them. A name without
    /// values fits every item that has the keys.
    fn set(&self, list: &mut Vec<Id>, name: &Name<'_>, item: Option<Id>) -> Result<(), StrategicMergeError> {
        let mut kept = Vec::with_capacity(list.len() + 1);
        let mut found = false;
        for id in list.drain(..) {
            let other = &self.items[id];
            if is_void(other) {
                continue;
            }
            let skipped = !other.is_object()
                && !name.keys[0].is_empty()
                && name.values.first().is_some_and(|value| !value.is_empty());
            if skipped || !self.has_name(other, name)? {
                if skipped || !name.values.is_empty() {
                    kept.push(id);
                }
                continue;
            }
            found = true;
            kept.extend(item);
        }
        if !found {
            kept.extend(item);
        }
        *list = kept;
        Ok(())
    }

    fn has_name(&self, item: &Value, name: &Name<'_>) -> Result<bool, StrategicMergeError> {
        for (key, value) in name.keys.iter().zip(&name.values) {
            let fits = match item {
                Value::Object(fields) if !key.is_empty() => {
                    fields.get(*key).is_some_and(|field| value.is_empty() || is_text(field, value))
                }
                Value::Object(_) | Value::Array(_) => return Err(self.without_fields()),
                plain if key.is_empty() => is_text(plain, value),
                _ => return Err(self.without_fields()),
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(!name.values.is_empty())
    }

    /// Puts the items of a list behind the results, or in the place of those with equal keys.
    fn append(
        &self,
        results: &mut Vec<Id>,
        list: &[Id],
        keys: &[&'run str],
    ) -> Result<(), StrategicMergeError> {
        for &id in list {
            let item = &self.items[id];
            if keys[0].is_empty() {
                self.set(results, &Name { keys: vec![""], values: vec![text(item)] }, Some(id))?;
                continue;
            }
            let mut name = Name { keys: keys.to_vec(), values: Vec::new() };
            for key in keys {
                match item {
                    Value::Object(fields) => match fields.get(*key) {
                        Some(value) => name.values.push(text(value)),
                        None => results.push(id),
                    },
                    Value::Null => results.push(id),
                    _ => return Err(self.without_fields()),
                }
            }
            if keys.len() > 1 {
                self.set(results, &name, None)?;
            }
            self.set(results, &name, Some(id))?;
        }
        Ok(())
    }

    /// The items of a list, by value. One that stands in it twice is copied.
    fn give(mut self, list: &[Id]) -> Vec<Value> {
        let mut given: Vec<Value> = Vec::with_capacity(list.len());
        for (index, id) in list.iter().enumerate() {
            let item = match list[..index].iter().position(|earlier| earlier == id) {
                Some(earlier) => given[earlier].clone(),
                None => std::mem::take(&mut self.items[*id]),
            };
            given.push(item);
        }
        given
    }

    fn without_fields(&self) -> StrategicMergeError {
        StrategicMergeError::ItemWithoutFields {
            field: self.place.name.to_owned(),
            key: self.keys.join("`, `"),
        }
    }
}

/// The value of a merge key; nothing where it is missing or empty.
fn key_value(item: &Value, key: &str) -> String {
    match item {
        plain if key.is_empty() => text(plain),
        Value::Object(fields) => {
            fields.get(key).filter(|value| !value.is_null()).map(text).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Fills in what one name has and the other lacks, where nothing else differs: a port without a protocol is the port of the
/// same number with one.
fn complete(names: &mut [Vec<String>]) {
    for one in 0..names.len() {
        let first = names[one].clone();
        for other in 0..names.len() {
            if let Some(both) = combined(&first, &names[other]) {
                names[one].clone_from(&both);
                names[other] = both;
            }
        }
    }
}

fn combined(one: &[String], other: &[String]) -> Option<Vec<String>> {
    let pairs = || one.iter().zip(other);
    let fits = pairs().all(|(one, other)| one == other || one.is_empty() || other.is_empty());
    let common = pairs().any(|(one, other)| one == other);
    (fits && common)
        .then(|| pairs().map(|(one, other)| if one.is_empty() { other } else { one }.clone()).collect())
}
