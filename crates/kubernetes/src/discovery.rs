//! Which kinds the cluster serves, and under which paths (aggregated discovery, Kubernetes 1.27 and later).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use minato_resource::{Object, ResourceKey};
use minato_sync::TargetError;
use serde::Deserialize;

use crate::api::{Api, ApiError, Place};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// How old an answer may be.
const KNOWN: Duration = Duration::from_secs(60);

/// How old it may be when a kind is missing from it.
const FRESH: Duration = Duration::from_millis(500);

/// Kinds that are written by programs all the time and never come from a repository (Argo CD excludes the same).
const NEVER_DESIRED: &[(&str, &str)] = &[
    ("", "Event"),
    ("", "Endpoints"),
    ("", "ComponentStatus"),
    ("", "Node"),
    ("", "Binding"),
    ("apps", "ControllerRevision"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("cilium.io", "CiliumEndpoint"),
    ("cilium.io", "CiliumEndpointSlice"),
    ("cilium.io", "CiliumIdentity"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("metrics.k8s.io", "NodeMetrics"),
    ("metrics.k8s.io", "PodMetrics"),
    ("networking.k8s.io", "IPAddress"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "CSIStorageCapacity"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// One kind in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub listable: bool,
    /// The server behind it does not answer just now.
    pub stale: bool,
}

impl Kind {
    /// `apps/v1`, `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Where its objects of one namespace are; an empty one means all.
    pub(crate) fn place<'a>(&'a self, namespace: &'a str) -> Place<'a> {
        let namespace = if self.namespaced { namespace } else { "" };
        Place { group: &self.group, version: &self.version, plural: &self.plural, namespace }
    }

    /// Path of the object.
    pub(crate) fn object(&self, key: &ResourceKey) -> String {
        self.place(&key.namespace).object(&key.name)
    }
}

/// Every kind that is served, the preferred version of each first.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    all: Vec<Kind>,
}

impl Kinds {
    /// The kind in this very version.
    pub(crate) fn exact(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.all.iter().find(|served| served.kind == kind && served.api_version() == api_version)
    }

    /// The kind in the version that the server prefers.
    pub(crate) fn preferred(&self, group: &str, kind: &str) -> Option<&Kind> {
        self.all.iter().find(|served| served.kind == kind && served.group == group)
    }

    /// Kinds whose objects may be somebody's, each once.
    pub(crate) fn ownable(&self) -> Vec<Kind> {
        let mut seen = BTreeSet::new();
        let ownable = self.all.iter().filter(|kind| {
            let name = (kind.group.as_str(), kind.kind.as_str());
            seen.insert(name) && kind.listable && !kind.stale && !NEVER_DESIRED.contains(&name)
        });
        ownable.cloned().collect()
    }

    /// Reads the answers of `/api` and `/apis`.
    fn read(answers: impl IntoIterator<Item = GroupList>) -> Self {
        let mut all = Vec::new();
        for group in answers.into_iter().flat_map(|answer| answer.items.unwrap_or_default()) {
            for version in group.versions.unwrap_or_default() {
                let stale = version.freshness == "Stale";
                let named = (group.metadata.name.as_str(), version.version.as_str());
                let resources = version.resources.unwrap_or_default().into_iter();
                all.extend(resources.filter_map(|resource| resource.kind(named, stale)));
            }
        }
        Self { all }
    }
}

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    kind: String,
    items: Option<Vec<Group>>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    versions: Option<Vec<Version>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GroupName {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Version {
    version: String,
    resources: Option<Vec<Resource>>,
    freshness: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Option<ResponseKind>,
    scope: String,
    verbs: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseKind {
    kind: String,
}

impl Resource {
    fn kind(self, (group, version): (&str, &str), stale: bool) -> Option<Kind> {
        let kind = self.response_kind.filter(|answer| !answer.kind.is_empty())?.kind;
        let can = |verb: &str| self.verbs.iter().flatten().any(|can| can == verb);
        Some(Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind,
            namespaced: self.scope == "Namespaced",
            listable: can("list") && can("get") && can("patch"),
            stale,
            plural: self.resource,
        })
    }
}

/// The cluster's kinds, asked for when they are needed first and when one is missing.
pub(crate) struct Discovery {
    api: Api,
    known: Mutex<Option<(Instant, Arc<Kinds>)>>,
}

impl Discovery {
    pub(crate) fn new(api: Api) -> Self {
        Self { api, known: Mutex::default() }
    }

    /// The kinds as seen lately.
    pub(crate) async fn kinds(&self) -> Result<Arc<Kinds>, TargetError> {
        self.no_older_than(KNOWN).await
    }

    /// The kind in this version; the cluster is asked anew when it is not known.
    pub(crate) async fn exact(&self, api_version: &str, kind: &str) -> Result<Option<Kind>, TargetError> {
        if let Some(served) = self.kinds().await?.exact(api_version, kind) {
            return Ok(Some(served.clone()));
        }
        Ok(self.no_older_than(FRESH).await?.exact(api_version, kind).cloned())
    }

    /// The kind in the version that the server prefers; the cluster is asked anew when it is not known.
    pub(crate) async fn preferred(&self, group: &str, kind: &str) -> Result<Option<Kind>, TargetError> {
        if let Some(served) = self.kinds().await?.preferred(group, kind) {
            return Ok(Some(served.clone()));
        }
        Ok(self.no_older_than(FRESH).await?.preferred(group, kind).cloned())
    }

    async fn no_older_than(&self, age: Duration) -> Result<Arc<Kinds>, TargetError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kinds)) = known().as_ref().filter(|(at, _)| at.elapsed() <= age) {
            return Ok(Arc::clone(kinds));
        }
        let kinds = self.ask().await.map_err(|error| error.asked("the cluster's kinds"))?;
        let kinds = Arc::new(kinds);
        *known() = Some((Instant::now(), Arc::clone(&kinds)));
        Ok(kinds)
    }

    async fn ask(&self) -> Result<Kinds, ApiError> {
        let (core, groups) = tokio::try_join!(self.group_list("/api"), self.group_list("/apis"))?;
        Ok(Kinds::read([core, groups]))
    }

    async fn group_list(&self, path: &str) -> Result<GroupList, ApiError> {
        let answer = self.api.get(path, AGGREGATED).await?;
        let odd = |message: String| ApiError::Odd(format!("{path}: {message}"));
        let list: GroupList = serde_json::from_value(answer.value).map_err(|error| odd(error.to_string()))?;
        if list.kind != "APIGroupDiscoveryList" {
            return Err(odd("no aggregated discovery; Kubernetes 1.27 or later is needed".to_owned()));
        }
        Ok(list)
    }
}

/// What a custom resource definition among the desired Objects says of a kind.
pub(crate) struct Defined {
    pub namespaced: bool,
}

/// The desired definition of this kind, if there is one (apiextensions.k8s.io/v1).
pub(crate) fn defined_by(desired: &[Object], key: &ResourceKey) -> Option<Defined> {
    let definition = desired.iter().find(|object| {
        object.key().is("apiextensions.k8s.io", "CustomResourceDefinition")
            && object.text("/spec/group") == Some(&key.group)
            && object.text("/spec/names/kind") == Some(&key.kind)
    })?;
    Some(Defined { namespaced: definition.text("/spec/scope") != Some("Cluster") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn kinds() -> Kinds {
        let resource = |plural: &str, kind: &str, scope: &str, verbs: Value| {
            json!({"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": scope,
                "verbs": verbs, "subresources": [{"subresource": "status"}]})
        };
        let all = json!(["get", "list", "patch", "create"]);
        let core = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"creationTimestamp": null}, "versions": [
            {"version": "v1", "resources": [resource("services", "Service", "Namespaced", all.clone()),
                resource("events", "Event", "Namespaced", all.clone()),
                resource("bindings", "Binding", "Namespaced", json!(["create"])),
                json!({"resource": "odd"})]}]}]});
        let groups = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "autoscaling"}, "versions": [
                {"version": "v2", "freshness": "Current",
                    "resources": [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", "Namespaced", all.clone())]},
                {"version": "v1",
                    "resources": [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", "Namespaced", all.clone())]}]},
            {"metadata": {"name": "custom.metrics"}, "versions": [
                {"version": "v1", "freshness": "Stale", "resources": [resource("things", "Thing", "Cluster", all)]}]}]});
        Kinds::read([core, groups].map(|value| serde_json::from_value(value).unwrap()))
    }

    #[test]
    fn a_kind_is_found_in_its_version_or_in_the_preferred_one() {
        let kinds = kinds();
        let path = |kind: Option<&Kind>| kind.map(|kind| kind.place("a").object("x"));
        assert_eq!(path(kinds.exact("v1", "Service")).as_deref(), Some("/api/v1/namespaces/a/services/x"));
        let scaler = "HorizontalPodAutoscaler";
        assert_eq!(
            path(kinds.exact("autoscaling/v1", scaler)).as_deref(),
            Some("/apis/autoscaling/v1/namespaces/a/horizontalpodautoscalers/x")
        );
        assert_eq!(kinds.preferred("autoscaling", scaler).unwrap().version, "v2");
        assert_eq!(
            path(kinds.preferred("custom.metrics", "Thing")).as_deref(),
            Some("/apis/custom.metrics/v1/things/x")
        );
        assert_eq!(kinds.exact("v2", "Service"), None);
    }

    #[test]
    fn each_kind_is_looked_through_once_and_noise_never() {
        let names: Vec<String> =
            kinds().ownable().into_iter().map(|kind| kind.kind + " " + &kind.version).collect();
        assert_eq!(names, ["Service v1", "HorizontalPodAutoscaler v2"]);
    }

    #[test]
    fn a_definition_among_the_files_tells_the_scope() {
        let definition = |scope: &str| {
            Object::from_value(
                json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "shops.example.com"},
                "spec": {"group": "example.com", "names": {"kind": "Shop"}, "scope": scope}}),
            )
            .unwrap()
        };
        let key = "example.com/Shop x".parse().unwrap();
        assert!(defined_by(&[definition("Namespaced")], &key).unwrap().namespaced);
        assert!(!defined_by(&[definition("Cluster")], &key).unwrap().namespaced);
        assert!(defined_by(&[], &key).is_none());
        assert!(defined_by(&[definition("Cluster")], &"example.com/Other x".parse().unwrap()).is_none());
    }
}
