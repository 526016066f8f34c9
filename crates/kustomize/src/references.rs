//! Name references: fields that hold the name of another resource follow when that resource is renamed.
//!
//! A field's text is the name that the resource had when the field was written. Resources are found by the names
//! that they had, through an index, so that the work grows with the number of references and not with its square.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::configuration::Configuration;
use crate::field::{FieldSpec, Make};
use crate::identity::{Gvk, Id};
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::value;

/// Updates every field that holds a name.
pub(crate) fn update(resources: &mut [Resource], configuration: &Configuration) -> Result<(), Refusal> {
    let fields = Fields::new(configuration, resources);
    if fields.is_empty() {
        return Ok(());
    }
    // Values are taken out, so that a field of one resource can change while all identities are looked at.
    let mut values: Vec<Value> =
        resources.iter_mut().map(|resource| std::mem::take(&mut resource.value)).collect();
    let candidates = Candidates::new(resources);
    let mut result = Ok(());
    for (resource, value) in resources.iter().zip(&mut values) {
        result = result.and_then(|()| candidates.update(resource, value, &fields));
    }
    for (resource, value) in resources.iter_mut().zip(values) {
        resource.value = value;
    }
    result
}

/// A field, and the kind of what it names.
struct Reference<'table> {
    target: &'table Gvk,
    field: &'table FieldSpec,
}

/// The fields of each kind of referrer, in the order of the table. Those whose target was never renamed are left out.
struct Fields<'table> {
    by_kind: HashMap<&'table str, Vec<(usize, Reference<'table>)>>,
}

impl<'table> Fields<'table> {
    fn new(configuration: &'table Configuration, resources: &[Resource]) -> Fields<'table> {
        let mut by_kind: HashMap<&str, Vec<(usize, Reference<'_>)>> = HashMap::new();
        let mut count = 0;
        for reference in &configuration.name_reference {
            if !resources.iter().any(|resource| was_selected(resource, &reference.target)) {
                continue;
            }
            for field in &reference.referrers {
                let list = by_kind.entry(field.gvk.kind.as_str()).or_default();
                list.push((count, Reference { target: &reference.target, field }));
                count += 1;
            }
        }
        Fields { by_kind }
    }

    fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    fn of(&self, kind: &str) -> Vec<&Reference<'table>> {
        let own = self.by_kind.get(kind).into_iter().flatten();
        let any = self.by_kind.get("").filter(|_| !kind.is_empty()).into_iter().flatten();
        let mut found: Vec<_> = own.chain(any).collect();
        found.sort_by_key(|(position, _)| *position);
        found.into_iter().map(|(_, reference)| reference).collect()
    }
}

/// True when a resource was of a kind before it was renamed.
fn was_selected(resource: &Resource, target: &Gvk) -> bool {
    let gvk = &resource.id().gvk;
    let same = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
    same(&target.group, &gvk.group)
        && same(&target.version, &gvk.version)
        && resource.previous.iter().any(|previous| same(&target.kind, &previous.kind))
}

/// Resources that were renamed, by the names that they had.
struct Candidates<'all> {
    resources: &'all [Resource],
    by_previous_name: HashMap<&'all str, Vec<usize>>,
}

/// Who refers, and what it may refer to.
struct Referrer<'all> {
    resource: &'all Resource,
    /// Namespaces of the service accounts among a role binding's subjects.
    subject_namespaces: Vec<String>,
    /// What a role binding's `roleRef` says of the role's kind.
    role: Option<Gvk>,
}

impl<'all> Candidates<'all> {
    fn new(resources: &'all [Resource]) -> Candidates<'all> {
        let mut by_previous_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, resource) in resources.iter().enumerate() {
            for previous in &resource.previous {
                let list = by_previous_name.entry(previous.name.as_str()).or_default();
                if list.last() != Some(&index) {
                    list.push(index);
                }
            }
        }
        Candidates { resources, by_previous_name }
    }

    fn update(&self, resource: &Resource, value: &mut Value, fields: &Fields<'_>) -> Result<(), Refusal> {
        let original = Gvk { kind: resource.original_kind().to_owned(), ..resource.id().gvk.clone() };
        let referrer = Referrer {
            resource,
            subject_namespaces: subject_namespaces(resource, value)?,
            role: role_of(value),
        };
        for reference in fields.of(&original.kind) {
            if original.is_selected_by(&reference.field.gvk) {
                let mut set = |field: &mut Value| self.set(&referrer, reference, field);
                let anything = &reference.field.gvk;
                reference.field.visit(anything, value, Make::Nothing, &mut set).map_err(|refusal| {
                    Refusal { message: format!("`{}`, {}", resource.id(), refusal.message), ..refusal }
                })?;
            }
        }
        Ok(())
    }

    fn set(
        &self,
        referrer: &Referrer<'_>,
        reference: &Reference<'_>,
        field: &mut Value,
    ) -> Result<(), Refusal> {
        match field {
            Value::Null => Ok(()),
            Value::Object(fields) => self.set_mapping(referrer, reference, fields),
            Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
                Value::Array(_) => {
                    Err(Refusal::new("wrong-type", "expected a name or a mapping with a name, found a list"))
                }
                item => self.set(referrer, reference, item),
            }),
            scalar => self.set_scalar(referrer, reference, scalar),
        }
    }

    /// A name alone.
    fn set_scalar(
        &self,
        referrer: &Referrer<'_>,
        reference: &Reference<'_>,
        name: &mut Value,
    ) -> Result<(), Refusal> {
        let old = value::text(name);
        let found =
            self.select(referrer, reference, &old, |_| true, |first, other| first.name == other.name)?;
        if let Some(found) = found.filter(|found| found.id().name != old) {
            *name = Value::String(found.id().name.clone());
        }
        Ok(())
    }

    /// A mapping with `name`, and perhaps `namespace`.
    fn set_mapping(
        &self,
        referrer: &Referrer<'_>,
        reference: &Reference<'_>,
        fields: &mut Map<String, Value>,
    ) -> Result<(), Refusal> {
        let Some(old) = fields.get("name").map(value::text) else {
            return Err(Refusal::new("wrong-type", "the mapping that should name a resource has no `name`"));
        };
        let namespace = fields.get("namespace").map(value::text);
        // The namespace may be the one of now, but what was written counts first.
        let by_original = namespace.as_deref().is_some_and(|wanted| {
            self.could_be_referred_to(referrer).any(|candidate| candidate.original_namespace() == wanted)
        });
        let in_namespace = |candidate: &Resource| match namespace.as_deref() {
            None => true,
            Some(wanted) if by_original => candidate.original_namespace() == wanted,
            Some(wanted) => candidate.id().effective_namespace() == wanted,
        };
        let same = |first: &Id, other: &Id| first.name == other.name && first.namespace == other.namespace;
        let Some(found) = self.select(referrer, reference, &old, in_namespace, same)? else { return Ok(()) };
        let id = found.id();
        if id.name == old && id.namespace.is_empty() {
            return Ok(());
        }
        fields.insert("name".to_owned(), Value::String(id.name.clone()));
        if !id.namespace.is_empty() {
            fields.insert("namespace".to_owned(), Value::String(id.namespace.clone()));
        }
        Ok(())
    }

    fn could_be_referred_to<'a>(&'a self, referrer: &'a Referrer<'_>) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |candidate| referrer.could_refer_to(candidate))
    }

    /// The resource that a name is of; `None` when there is none, or none that is nearer than another.
    fn select(
        &self,
        referrer: &Referrer<'_>,
        reference: &Reference<'_>,
        name: &str,
        allowed: impl Fn(&Resource) -> bool,
        same: impl Fn(&Id, &Id) -> bool,
    ) -> Result<Option<&'all Resource>, Refusal> {
        let named =
            self.by_previous_name.get(name).into_iter().flatten().map(|index| &self.resources[*index]);
        let mut found: Vec<&Resource> = named
            .filter(|candidate| was_selected(candidate, reference.target))
            .filter(|candidate| {
                referrer.could_refer_to(candidate) && referrer.sees(candidate) && allowed(candidate)
            })
            .filter(|candidate| reference.takes(referrer, candidate))
            .collect();
        if found.len() == 1 {
            return Ok(found.pop());
        }
        found.retain(|candidate| same_affixes(candidate, referrer.resource, true));
        if found.len() > 1 {
            found.retain(|candidate| same_affixes(candidate, referrer.resource, false));
        }
        let Some(first) = found.first() else { return Ok(None) };
        if found.iter().all(|other| same(first.id(), other.id())) {
            return Ok(Some(first));
        }
        let names: Vec<String> = found.iter().map(|candidate| format!("`{}`", candidate.id())).collect();
        let message = format!("the name `{name}` could be of {}", names.join(" or "));
        Err(Refusal::new("ambiguous-reference", message))
    }
}

impl Reference<'_> {
    /// A role binding's `roleRef` says which kind its role has.
    fn takes(&self, referrer: &Referrer<'_>, candidate: &Resource) -> bool {
        match &referrer.role {
            Some(role) if self.field.path.ends_with("roleRef/name") => was_selected(candidate, role),
            _ => true,
        }
    }
}

impl Referrer<'_> {
    /// Things in no namespace may refer to, and be referred to by, anything; others only within their namespace,
    /// but for the service accounts of role bindings.
    fn could_refer_to(&self, candidate: &Resource) -> bool {
        let (own, other) = (self.resource.id(), candidate.id());
        own.cluster_scoped
            || other.cluster_scoped
            || own.effective_namespace() == other.effective_namespace()
            || self.subject_namespaces.contains(&other.namespace)
    }

    fn sees(&self, candidate: &Resource) -> bool {
        let (own, other) = (self.resource.id(), candidate.id());
        own.cluster_scoped
            || other.cluster_scoped
            || other.gvk.kind == "ServiceAccount"
            || own.effective_namespace() == other.effective_namespace()
    }
}

fn subject_namespaces(resource: &Resource, value: &Value) -> Result<Vec<String>, Refusal> {
    if resource.id().gvk.kind != "RoleBinding" || resource.id().cluster_scoped {
        return Ok(Vec::new());
    }
    let mut namespaces = Vec::new();
    for subject in value.get("subjects").and_then(Value::as_array).into_iter().flatten() {
        if subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount")
            && let Some(namespace) = subject.get("namespace")
        {
            let message = || {
                format!("`{}`: the namespace of a subject is {}", resource.id(), value::kind_name(namespace))
            };
            let text = namespace.as_str().ok_or_else(|| Refusal::new("wrong-type", message()))?;
            namespaces.push(text.to_owned());
        }
    }
    Ok(namespaces)
}

fn role_of(value: &Value) -> Option<Gvk> {
    let role = value.get("roleRef")?;
    let part = |field: &str| role.get(field).filter(|part| !part.is_null()).map(value::text);
    Some(Gvk { group: part("apiGroup")?, version: String::new(), kind: part("kind")? })
}

/// True when two resources went through the same prefixes and suffixes, from the last one back.
fn same_affixes(left: &Resource, right: &Resource, none_is_same: bool) -> bool {
    let same = |left: &[String], right: &[String]| {
        (none_is_same && (left.is_empty() || right.is_empty())) || same_ending(left, right)
    };
    same(&left.prefixes, &right.prefixes) && same(&left.suffixes, &right.suffixes)
}

fn same_ending(left: &[String], right: &[String]) -> bool {
    let (short, long) = if left.len() > right.len() { (right, left) } else { (left, right) };
    if short.is_empty() { long.is_empty() } else { long.ends_with(short) }
}
