//! A pod template: containers that share a network and volumes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use minato_sync::field::Field;
use minato_workload::spec::{Container, HostAlias, Pod, Restart, Volume};

use super::inputs::{Entries, Inputs};
use super::volume;
use super::{container, security};

/// Everything around a container that its fields may refer to.
pub(super) struct Scope<'a> {
    pub inputs: &'a Inputs<'a>,
    pub namespace: &'a str,
    /// `metadata` of the pod template.
    pub metadata: Field<'a>,
    /// `spec` of the pod template.
    pub spec: Field<'a>,
    /// Whether a container that ends is started again (`restartPolicy` of the pod).
    pub restart: Restart,
    /// Volumes that do not stand in the template: a StatefulSet's claims.
    pub claims: Vec<(String, Volume)>,
}

/// Kubernetes' default for `terminationGracePeriodSeconds`.
const GRACE_SECONDS: u32 = 30;

/// Lowers a pod template.
pub(super) fn lower(scope: &Scope) -> Pod {
    let spec = &scope.spec;
    warn_about_fields(spec);
    security::warn_about_pod(&spec.get("securityContext"));
    let mut volumes = volume::lower(scope);
    let mut lowered = |list: &str, initial: bool| -> Vec<Container> {
        let containers = spec.get(list).items();
        containers.iter().filter_map(|field| container::lower(field, initial, scope, &mut volumes)).collect()
    };
    let (init, containers) = (lowered("initContainers", true), lowered("containers", false));
    if !spec.get("containers").items().iter().any(Field::is_present) {
        spec.error("no-container", format!("`{}` has no container", spec.name()));
    }
    let aliases = spec.get("hostAliases").items();
    Pod {
        labels: labels(&scope.metadata),
        init,
        containers,
        volumes: used_only(volumes),
        grace_seconds: spec.get("terminationGracePeriodSeconds").count().unwrap_or(GRACE_SECONDS),
        hostname: spec.get("hostname").text().map(str::to_owned),
        host_aliases: aliases.iter().filter_map(host_alias).collect(),
    }
}

/// `metadata.labels`.
pub(super) fn labels(metadata: &Field) -> BTreeMap<String, String> {
    let entries = metadata.get("labels").entries();
    entries.iter().filter_map(|(key, value)| Some(((*key).to_owned(), value.text()?.to_owned()))).collect()
}

impl Scope<'_> {
    /// The container of that name, initial ones included.
    pub(super) fn container(&self, name: &str) -> Option<Field<'_>> {
        let mut all = self.spec.get("containers").items();
        all.extend(self.spec.get("initContainers").items());
        all.into_iter().find(|container| container.get("name").text() == Some(name))
    }

    /// The entries of the ConfigMap that `reference.name` names; an error unless `optional`.
    pub(super) fn config_map(&self, reference: &Field) -> Option<Entries> {
        let name = reference.get("name").required_text()?;
        let found = self.inputs.config_map(self.namespace, name);
        if found.is_none() && !is_optional(reference) {
            let names = self.names("ConfigMap");
            let message = format!("there is no ConfigMap {name:?} in namespace {}{names}", self.namespace);
            let hint = "add it to the files, or set `optional: true`";
            reference.get("name").error_with_hint("missing-reference", message, hint);
        }
        found
    }

    /// The entries of the Secret that `reference` names under `name_field`; an error unless `optional`.
    pub(super) fn secret(&self, reference: &Field, name_field: &str) -> Option<Entries> {
        let name = reference.get(name_field).required_text()?;
        let found = self.inputs.secret(self.namespace, name);
        if found.is_none() && !is_optional(reference) {
            let message = format!("there is no Secret {name:?} in namespace {}", self.namespace);
            reference.get(name_field).error_with_hint("missing-reference", message, give_secret(name, "KEY"));
        }
        found
    }

    /// The value of a `configMapKeyRef`.
    pub(super) fn config_map_key(&self, reference: &Field) -> Option<Vec<u8>> {
        let entries = self.config_map(reference)?;
        self.key_of(reference, entries, "add the key to the ConfigMap".to_owned())
    }

    /// The value of a `secretKeyRef`.
    pub(super) fn secret_key(&self, reference: &Field) -> Option<Vec<u8>> {
        let name = reference.get("name").text().unwrap_or_default().to_owned();
        let key = reference.get("key").text().unwrap_or("KEY").to_owned();
        let found = self.inputs.secret(self.namespace, &name);
        if found.is_none() && !is_optional(reference) {
            let message = format!("there is no value for key {key:?} of Secret {name:?}");
            reference.error_with_hint("missing-secret", message, give_secret(&name, &key));
        }
        self.key_of(reference, found?, give_secret(&name, &key))
    }

    fn key_of(&self, reference: &Field, mut entries: Entries, hint: String) -> Option<Vec<u8>> {
        let key = reference.get("key").required_text()?;
        let found = entries.remove(key);
        if found.is_none() && !is_optional(reference) {
            let known: Vec<&str> = entries.keys().map(String::as_str).collect();
            let message = format!("there is no key {key:?}; there are {}", known.join(", "));
            reference.get("key").error_with_hint("missing-reference", message, hint);
        }
        found
    }

    /// Names of that kind in the namespace, for messages.
    fn names(&self, kind: &str) -> String {
        let same = self.inputs.objects.iter().filter(|object| {
            object.key().is("", kind) && super::references::same_namespace(object, self.namespace)
        });
        let names: Vec<&str> = same.map(|object| object.name()).collect();
        if names.is_empty() { String::new() } else { format!(", which has {}", names.join(", ")) }
    }
}

/// How to give a secret's value on this machine.
pub(super) fn give_secret(name: &str, key: &str) -> String {
    format!(
        "give it on this machine: `{name}/{key}=VALUE` in the file that `secrets.env_file` of minato.yaml names"
    )
}

pub(super) fn is_optional(reference: &Field) -> bool {
    reference.get("optional").boolean().unwrap_or(false)
}

fn host_alias(alias: &Field) -> Option<HostAlias> {
    let text = alias.get("ip").required_text()?;
    let address: Result<Ipv4Addr, _> = text.parse();
    let address = address.map_err(|_| alias.get("ip").error("wrong-value", "`ip` must be an IPv4 address"));
    Some(HostAlias { address: address.ok()?, names: alias.get("hostnames").texts() })
}

/// Volumes that no container mounts need not be made.
fn used_only(volumes: BTreeMap<String, (Volume, bool)>) -> BTreeMap<String, Volume> {
    volumes.into_iter().filter(|(_, (_, used))| *used).map(|(name, (volume, _))| (name, volume)).collect()
}

fn warn_about_fields(spec: &Field) {
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        let field = spec.get(name);
        if field.boolean() == Some(true) {
            field.error("not-supported", format!("`{name}: true` is not supported on this machine"));
        }
    }
    let os = spec.at(&["os", "name"]);
    if os.text().is_some_and(|name| name != "linux") {
        os.error("not-supported", "only Linux containers run on this machine");
    }
    spec.warn_unknown(KNOWN, "not-enforced", "is not acted on on this machine");
}

/// Acted on, or without meaning where there is one machine and no API server.
const KNOWN: &[&str] = &[
    "containers",
    "initContainers",
    "volumes",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "hostname",
    "hostAliases",
    "securityContext",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "os",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "nodeSelector",
    "nodeName",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "priorityClassName",
    "schedulerName",
    "enableServiceLinks",
];
