//! What a resource is: its kind, name and namespace, and which of them were its own before.

use minato_resource::ResourceKey;
use minato_resource::patch::is_cluster_scoped;

/// The namespace of objects that are in none; no namespace can have this name.
const NOT_A_NAMESPACE: &str = "_non_namespaceable_";

/// The namespace of objects that say none.
const DEFAULT_NAMESPACE: &str = "default";

/// Group, version and kind. As a selector, an empty part stands for any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub(crate) struct Gvk {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
}

impl Gvk {
    pub(crate) fn new(api_version: &str, kind: &str) -> Gvk {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// True when every part that the selector names is the same.
    pub(crate) fn is_selected_by(&self, selector: &Gvk) -> bool {
        let same = |selector: &str, own: &str| selector.is_empty() || selector == own;
        same(&selector.kind, &self.kind)
            && same(&selector.group, &self.group)
            && same(&selector.version, &self.version)
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A resource's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Id {
    pub(crate) gvk: Gvk,
    pub(crate) name: String,
    /// As written; empty when the resource says none.
    pub(crate) namespace: String,
    pub(crate) cluster_scoped: bool,
}

impl Id {
    pub(crate) fn new(gvk: Gvk, name: impl Into<String>, namespace: impl Into<String>) -> Id {
        let cluster_scoped = is_cluster_scoped(&gvk.api_version(), &gvk.kind);
        Id { gvk, name: name.into(), namespace: namespace.into(), cluster_scoped }
    }

    /// The namespace that counts when identities are compared.
    pub(crate) fn effective_namespace(&self) -> &str {
        match self.namespace.as_str() {
            _ if self.cluster_scoped => NOT_A_NAMESPACE,
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        }
    }

    /// The same group, version, kind, name and effective namespace.
    pub(crate) fn is_same(&self, other: &Id) -> bool {
        self.name == other.name
            && self.gvk == other.gvk
            && self.effective_namespace() == other.effective_namespace()
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = ResourceKey::new(&*self.gvk.group, &*self.gvk.kind, &*self.namespace, &*self.name);
        write!(f, "{key}")
    }
}

/// What a resource was before a transformation changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviousId {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The effective one.
    pub(crate) namespace: String,
}

/// A name, namespace and kind that a field of a kustomization asks for; empty parts stand for any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct IdSelector {
    pub(crate) gvk: Gvk,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl IdSelector {
    pub(crate) fn is_empty(&self) -> bool {
        *self == IdSelector::default()
    }

    /// True when it asks for this name, effective namespace and kind.
    pub(crate) fn selects(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        name: &str,
        namespace: &str,
    ) -> bool {
        let same = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        same(&self.name, name)
            && same(&self.namespace, namespace)
            && same(&self.gvk.kind, kind)
            && same(&self.gvk.group, group)
            && same(&self.gvk.version, version)
    }
}

impl std::fmt::Display for IdSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let any = |text: &str| if text.is_empty() { "*".to_owned() } else { text.to_owned() };
        if !self.gvk.group.is_empty() {
            write!(f, "{}/", self.gvk.group)?;
        }
        write!(f, "{} ", any(&self.gvk.kind))?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&any(&self.name))
    }
}
