//! The cluster behind the server.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

/// Group, version, kind, plural, namespaced.
type Served = (&'static str, &'static str, &'static str, &'static str, bool);

const KINDS: &[Served] = &[
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Secret", "secrets", true),
    ("", "v1", "Service", "services", true),
    ("", "v1", "Pod", "pods", true),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "v1", "Event", "events", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("apps", "v1", "ReplicaSet", "replicasets", true),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("batch", "v1", "Job", "jobs", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
];

/// Version, its resources.
type Version = (&'static str, Vec<Value>);

const SHOP: Served = ("example.com", "v1", "Shop", "shops", true);

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub token: String,
    pub body: Value,
}

impl Asked {
    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.query.contains_key("dryRun")
    }
}

/// Answers requests of this method whose path contains the text with this code and body, this many times.
#[derive(Debug, Clone)]
pub struct Fault {
    pub method: &'static str,
    pub path: &'static str,
    pub code: u16,
    pub body: Value,
    pub times: usize,
}

/// Changes what is written, as a mutating webhook does.
type Webhook = fn(&mut Value);

#[derive(Default)]
struct State {
    /// By path.
    objects: BTreeMap<String, Value>,
    asked: Vec<Asked>,
    faults: Vec<Fault>,
    logs: BTreeMap<String, String>,
    webhook: Option<Webhook>,
    serials: u64,
    page: usize,
}

#[derive(Default)]
pub struct Cluster(Mutex<State>);

impl Cluster {
    /// Puts an object there, as somebody else would.
    pub fn put(&self, path: &str, value: Value) {
        let mut state = self.0.lock().unwrap();
        state.serials += 1;
        let serial = state.serials;
        let mut value = value;
        let metadata = value["metadata"].as_object_mut().unwrap();
        metadata.entry("uid").or_insert_with(|| json!(format!("u{serial}")));
        state.objects.insert(path.to_owned(), value);
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// Changes an object, as its controller would.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        change(self.0.lock().unwrap().objects.get_mut(path).unwrap());
    }

    pub fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    pub fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().faults.push(fault);
    }

    pub fn log(&self, pod: &str, text: &str) {
        self.0.lock().unwrap().logs.insert(pod.to_owned(), text.to_owned());
    }

    pub fn webhook(&self, webhook: Webhook) {
        self.0.lock().unwrap().webhook = Some(webhook);
    }

    /// Lists are cut into pages of this many.
    pub fn page(&self, size: usize) {
        self.0.lock().unwrap().page = size;
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// `METHOD path` of the writes since the last time anything was asked for.
    pub fn writes(&self) -> Vec<String> {
        let writes = self.asked().into_iter().filter(Asked::is_write);
        writes.map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// One o'clock, always.
    pub fn date(&self) -> &'static str {
        "Thu, 01 Jan 2026 01:00:00 GMT"
    }

    pub fn answer(&self, asked: Asked) -> (u16, String) {
        let mut state = self.0.lock().unwrap();
        state.asked.push(asked.clone());
        if let Some(fault) = state
            .faults
            .iter_mut()
            .find(|fault| fault.times > 0 && fault.method == asked.method && asked.path.contains(fault.path))
        {
            fault.times -= 1;
            return (fault.code, fault.body.to_string());
        }
        if let Some(pod) = asked.path.strip_suffix("/log") {
            let pod = pod.rsplit('/').next().unwrap_or_default();
            return (200, state.logs.get(pod).cloned().unwrap_or_default());
        }
        let (code, value) = state.handle(&asked);
        (code, value.to_string())
    }
}

impl State {
    fn handle(&mut self, asked: &Asked) -> (u16, Value) {
        match asked.path.as_str() {
            "/api" => return (200, self.discovery(true)),
            "/apis" => return (200, self.discovery(false)),
            _ => {}
        }
        let Some((kind, namespace, name)) = self.place(&asked.path) else {
            return (
                404,
                json!({"kind": "Status", "reason": "NotFound", "message": "the server could not find the requested resource"}),
            );
        };
        match (asked.method.as_str(), name) {
            ("GET", None) => self.list(kind, &namespace, asked),
            ("GET", Some(name)) => match self.objects.get(&asked.path) {
                Some(object) => (200, as_version(object, kind)),
                None => not_found(kind.3, &name),
            },
            ("PATCH", Some(name)) => self.patch(kind, &namespace, &name, asked),
            ("DELETE", Some(name)) => match self.objects.remove(&asked.path) {
                Some(_) => (200, json!({"kind": "Status", "status": "Success"})),
                None => not_found(kind.3, &name),
            },
            _ => (405, json!({"kind": "Status", "reason": "MethodNotAllowed", "message": "no"})),
        }
    }

    fn kinds(&self) -> Vec<Served> {
        let defined = self.objects.keys().any(|path| path.contains("/customresourcedefinitions/shops"));
        KINDS.iter().copied().chain(defined.then_some(SHOP)).collect()
    }

    fn discovery(&self, core: bool) -> Value {
        let mut groups: Vec<(&str, Vec<Version>)> = Vec::new();
        for (group, version, kind, plural, namespaced) in self.kinds() {
            if group.is_empty() != core {
                continue;
            }
            let scope = if namespaced { "Namespaced" } else { "Cluster" };
            let resource = json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope,
                "verbs": ["create", "delete", "get", "list", "patch", "watch"]});
            if !groups.iter().any(|(name, _)| *name == group) {
                groups.push((group, Vec::new()));
            }
            let (_, versions) = groups.iter_mut().find(|(name, _)| *name == group).unwrap();
            match versions.iter_mut().find(|(name, _)| *name == version) {
                Some((_, resources)) => resources.push(resource),
                None => versions.push((version, vec![resource])),
            }
        }
        let items: Vec<Value> = groups
            .into_iter()
            .map(|(group, versions)| {
                let versions: Vec<Value> = versions
                    .into_iter()
                    .map(|(version, resources)| json!({"version": version, "freshness": "Current", "resources": resources}))
                    .collect();
                json!({"metadata": {"name": group}, "versions": versions})
            })
            .collect();
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items})
    }

    /// (kind, namespace, name) of a path.
    fn place(&self, path: &str) -> Option<(Served, String, Option<String>)> {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let group = match parts.remove(0) {
            "api" => "",
            "apis" => parts.remove(0),
            _ => return None,
        };
        let version = parts.remove(0).to_owned();
        let namespace = if parts.len() > 2 && parts[0] == "namespaces" {
            parts.remove(0);
            parts.remove(0)
        } else {
            ""
        };
        let plural = *parts.first()?;
        let kind =
            self.kinds().into_iter().find(|kind| kind.0 == group && kind.1 == version && kind.3 == plural)?;
        Some((kind, namespace.to_owned(), parts.get(1).map(|name| (*name).to_owned())))
    }

    fn list(&self, kind: Served, namespace: &str, asked: &Asked) -> (u16, Value) {
        let selected = asked.query.get("labelSelector").cloned().unwrap_or_default();
        let matches = |object: &Value| {
            selected.split(',').filter(|pair| !pair.is_empty()).all(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                object["metadata"]["labels"][name] == value
            })
        };
        let fields = asked.query.get("fieldSelector").cloned().unwrap_or_default();
        let about = |object: &Value| {
            fields.split(',').filter(|pair| !pair.is_empty()).all(|pair| {
                let (field, value) = pair.split_once('=').unwrap();
                object.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_str)
                    == Some(value)
            })
        };
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| {
                self.place(path).is_some_and(|(found, of, _)| {
                    found.0 == kind.0 && found.3 == kind.3 && (namespace.is_empty() || of == namespace)
                })
            })
            .map(|(_, object)| object)
            .filter(|object| matches(object) && about(object))
            .collect();
        let start: usize = asked.query.get("continue").and_then(|text| text.parse().ok()).unwrap_or(0);
        let size = if self.page == 0 { usize::MAX } else { self.page };
        let end = items.len().min(start.saturating_add(size));
        let next = if end < items.len() { end.to_string() } else { String::new() };
        // Some lists that are empty are written `null`, as a real server does.
        let items = if items.is_empty() { Value::Null } else { json!(items[start.min(end)..end]) };
        (200, json!({"kind": "List", "metadata": {"continue": next}, "items": items}))
    }

    fn patch(&mut self, kind: Served, namespace: &str, name: &str, asked: &Asked) -> (u16, Value) {
        if !namespace.is_empty()
            && !self.objects.contains_key(&format!("/api/v1/namespaces/{namespace}"))
            && namespace != "a"
        {
            return (
                404,
                json!({"kind": "Status", "reason": "NotFound", "message": format!("namespaces \"{namespace}\" not found"),
                "details": {"kind": "namespaces", "name": namespace}}),
            );
        }
        let old = self.objects.get(&asked.path).cloned();
        let manager = asked.query.get("fieldManager").cloned().unwrap_or_default();
        let apply = asked.query.contains_key("fieldValidation");
        if old.is_none() && !apply {
            return not_found(kind.3, name);
        }
        if let (Some(operations), Some(mut object)) = (asked.body.as_array(), old.clone()) {
            // A JSON patch, as far as it is used: `replace`, and nobody else wrote meanwhile.
            for operation in operations {
                *object.pointer_mut(operation["path"].as_str().unwrap()).unwrap() =
                    operation["value"].clone();
            }
            self.objects.insert(asked.path.clone(), object.clone());
            return (200, object);
        }
        let mut new = old.clone().unwrap_or_else(|| json!({"metadata": {}}));
        if apply {
            drop_undesired(&mut new, &asked.body, &manager);
        }
        merge(&mut new, &asked.body);
        if let Some(webhook) = self.webhook {
            webhook(&mut new);
        }
        if apply {
            own(&mut new, &asked.body, &manager, &asked.body["apiVersion"]);
        }
        let generation = old.as_ref().map_or(0, |old| old["metadata"]["generation"].as_i64().unwrap_or(1));
        let changed = old.as_ref().is_none_or(|old| old["spec"] != new["spec"]);
        let dry = asked.query.contains_key("dryRun");
        self.serials += u64::from(!dry);
        let metadata = new["metadata"].as_object_mut().unwrap();
        metadata.insert("generation".to_owned(), json!(generation + i64::from(changed)));
        metadata.entry("uid").or_insert_with(|| json!(format!("u{}", self.serials)));
        metadata.insert("resourceVersion".to_owned(), json!(self.serials.to_string()));
        if !dry {
            self.objects.insert(asked.path.clone(), new.clone());
        }
        (200, as_version(&new, kind))
    }
}

fn as_version(object: &Value, kind: Served) -> Value {
    let mut object = object.clone();
    let version = if kind.0.is_empty() { kind.1.to_owned() } else { format!("{}/{}", kind.0, kind.1) };
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind.2);
    object
}

fn not_found(plural: &str, name: &str) -> (u16, Value) {
    let message = format!("{plural} \"{name}\" not found");
    (
        404,
        json!({"kind": "Status", "reason": "NotFound", "message": message, "details": {"kind": plural, "name": name}}),
    )
}

/// RFC 7386, except that lists of the same length keep what was added to their items.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(patch)) if into.len() == patch.len() => {
            into.iter_mut().zip(patch).for_each(|(into, patch)| merge(into, patch));
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// FieldsV1 of a document whose lists are atomic.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) if !map.is_empty() => Value::Object(
            map.iter().map(|(name, value)| (format!("f:{name}"), fields(value))).collect::<Map<_, _>>(),
        ),
        _ => json!({}),
    }
}

fn own(object: &mut Value, applied: &Value, manager: &str, version: &Value) {
    let mut applied = applied.clone();
    let map = applied.as_object_mut().unwrap();
    map.shift_remove("apiVersion");
    map.shift_remove("kind");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("name");
        metadata.shift_remove("namespace");
    }
    let entry = json!({"manager": manager, "operation": "Apply", "apiVersion": version, "fieldsV1": fields(&applied)});
    let metadata = object["metadata"].as_object_mut().unwrap();
    let entries = metadata.entry("managedFields").or_insert_with(|| json!([]));
    let entries = entries.as_array_mut().unwrap();
    entries.retain(|entry| entry["manager"] != manager);
    entries.push(entry);
}

/// Server-side apply takes away what the manager applied before and does no longer.
fn drop_undesired(object: &mut Value, desired: &Value, manager: &str) {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    if let Some(entry) = entries.iter().find(|entry| entry["manager"] == manager) {
        drop_fields(object, desired, &entry["fieldsV1"]);
    }
}

fn drop_fields(object: &mut Value, desired: &Value, fields: &Value) {
    let (Some(map), Some(fields)) = (object.as_object_mut(), fields.as_object()) else { return };
    for (name, below) in fields {
        let name = name.trim_start_matches("f:");
        match desired.get(name) {
            Some(desired) => {
                if let Some(value) = map.get_mut(name) {
                    drop_fields(value, desired, below);
                }
            }
            None => {
                map.shift_remove(name);
            }
        }
    }
}
