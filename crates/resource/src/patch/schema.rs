//! Which lists a strategic merge patch merges item by item, and by which keys.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::openapi;

static BUILT_IN: LazyLock<MergeSchema> = LazyLock::new(|| of_table(include_str!("merge-keys.txt")));

static CLUSTER_SCOPED: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("cluster-scoped.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// True for the kinds of Kubernetes that have no namespace. Kinds it does not know (custom resources) are taken to have
/// one, as Kustomize takes them.
pub fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    CLUSTER_SCOPED.contains(format!("{api_version} {kind}").as_str())
}

/// What is known of kinds' lists: a graph of types, of which only the fields that lead to merged lists are kept.
#[derive(Debug, Clone, Default)]
pub struct MergeSchema {
    /// The type of `APIVERSION KIND`.
    kinds: HashMap<String, TypeId>,
    types: Vec<Vec<(String, Field)>>,
}

/// A type's place in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeId(usize);

/// A field that is a merged list, or that leads to one.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    /// The keys of a merged list; empty when its items are plain values. `None` for everything else.
    pub(super) keys: Option<Vec<String>>,
    /// The type of the field, or of the list's items.
    pub(super) target: Option<TypeId>,
}

/// Why a document is not taken for a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// There is no `definitions`.
    #[error(
        "the schema has no `definitions`: save it with `kubectl get --raw /openapi/v2`, or with `kustomize openapi fetch`"
    )]
    NoDefinitions,
}

impl MergeSchema {
    /// What Kubernetes' own kinds say.
    pub fn built_in() -> &'static MergeSchema {
        &BUILT_IN
    }

    /// What an OpenAPI v2 document says, and nothing else: as with Kustomize's `openapi` field, Kubernetes' own kinds are
    /// then known only as far as the document has them.
    ///
    /// # Errors
    /// The document has no `definitions`.
    pub fn from_openapi(document: &Value) -> Result<MergeSchema, SchemaError> {
        let definitions = document.get("definitions").and_then(Value::as_object);
        Ok(openapi::read(definitions.ok_or(SchemaError::NoDefinitions)?))
    }

    /// The type of a kind, when a merged list is anywhere below it.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<TypeId> {
        self.kinds.get(&format!("{api_version} {kind}")).copied()
    }

    /// A field of a type. What stands for any name has the name `*`.
    pub(super) fn field(&self, owner: TypeId, name: &str) -> Option<&Field> {
        let fields = self.types.get(owner.0)?;
        let named = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, field)| field);
        named(name).or_else(|| named("*"))
    }

    /// A new type without fields.
    pub(super) fn add_type(&mut self) -> TypeId {
        self.types.push(Vec::new());
        TypeId(self.types.len() - 1)
    }

    pub(super) fn add_field(&mut self, owner: TypeId, name: String, field: Field) {
        self.types[owner.0].push((name, field));
    }

    pub(super) fn add_kind(&mut self, api_version: &str, kind: &str, target: TypeId) {
        self.kinds.insert(format!("{api_version} {kind}"), target);
    }
}

/// Reads the table's two kinds of lines: `APIVERSION KIND = TYPE` and `TYPE: FIELD[KEY…]=TYPE …`.
fn of_table(table: &'static str) -> MergeSchema {
    let mut schema = MergeSchema::default();
    let mut names: HashMap<&str, TypeId> = HashMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut named = |name: &'static str| *names.entry(name).or_insert_with(|| schema.add_type());
        if let Some((kind, target)) = line.split_once(" = ") {
            let target = named(target);
            schema.kinds.insert(kind.to_owned(), target);
        } else if let Some((owner, fields)) = line.split_once(':') {
            let owner = named(owner);
            for (name, keys, target) in table_fields(fields) {
                let target = target.map(|target| *names.entry(target).or_insert_with(|| schema.add_type()));
                schema.add_field(owner, name.to_owned(), Field { keys, target });
            }
        }
    }
    schema
}

type TableField<'text> = (&'text str, Option<Vec<String>>, Option<&'text str>);

/// ` env[name] spec=core.v1.PodSpec` field by field; only keys in brackets have blanks between them.
fn table_fields(mut text: &str) -> Vec<TableField<'_>> {
    let mut fields = Vec::new();
    while let Some(rest) = text.strip_prefix(' ') {
        let end = rest.find(['[', '=']).unwrap_or(rest.len());
        let (name, mut rest) = rest.split_at(end);
        let mut keys = None;
        if let Some((inside, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            keys = Some(inside.split_whitespace().map(str::to_owned).collect());
            rest = behind;
        }
        let end = rest.find(' ').unwrap_or(rest.len());
        fields.push((name, keys, rest[..end].strip_prefix('=')));
        text = &rest[end..];
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_leads_from_a_kind_to_its_lists() {
        let schema = MergeSchema::built_in();
        let follow = |api_version: &str, kind: &str, path: &str| {
            let mut at = schema.kind(api_version, kind);
            let mut keys = None;
            for name in path.split('/') {
                let field = schema.field(at?, name)?;
                (at, keys) = (field.target, field.keys.clone());
            }
            keys.map(|keys| keys.join(" "))
        };
        let check = |api_version: &str, kind: &str, path: &str, keys: Option<&str>| {
            assert_eq!(follow(api_version, kind, path).as_deref(), keys, "{kind} {path}");
        };
        check("apps/v1", "Deployment", "spec/template/spec/containers", Some("name"));
        check("apps/v1", "Deployment", "spec/template/spec/containers/ports", Some("containerPort protocol"));
        check("v1", "Service", "spec/ports", Some("port protocol"));
        check("v1", "Pod", "metadata/finalizers", Some(""));
        check("apps/v1", "Deployment", "spec/template/spec/containers/command", None);
        check("example.com/v1", "Deployment", "spec/template/spec/containers", None);
    }

    #[test]
    fn kinds_without_a_namespace_are_known() {
        assert!(is_cluster_scoped("v1", "Namespace"));
        assert!(is_cluster_scoped("rbac.authorization.k8s.io/v1", "ClusterRole"));
        assert!(!is_cluster_scoped("v1", "Service"));
        assert!(!is_cluster_scoped("example.com/v1", "Namespace"));
    }
}
