//! Volumes of a pod, and the places where containers see them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minato_sync::field::Field;
use minato_workload::spec::{FileContent, Mount, SecretBytes, Volume};

use super::environment::Environment;
use super::expand::expand;
use super::inputs::{Entries, Inputs};
use super::limits;
use super::pod::{Scope, is_optional};
use super::pod_field;
use super::quantity::Quantity;

/// Volumes by name, each with whether a container mounts it.
pub(super) type Volumes = BTreeMap<String, (Volume, bool)>;

/// Permission bits of files where nothing is said.
const DEFAULT_MODE: u32 = 0o644;

/// Reads `volumes`; a StatefulSet's claims are there too.
pub(super) fn lower(scope: &Scope) -> Volumes {
    let claims = scope.claims.iter().map(|(name, volume)| (name.clone(), (volume.clone(), false)));
    let mut volumes: Volumes = claims.collect();
    for field in scope.spec.get("volumes").items() {
        let Some(name) = field.get("name").required_text() else { continue };
        let Some(volume) = one(&field, scope) else { continue };
        if volumes.insert(name.to_owned(), (volume, false)).is_some() {
            field.get("name").error("duplicate", format!("volume {name:?} is there twice"));
        }
    }
    volumes
}

fn one(field: &Field, scope: &Scope) -> Option<Volume> {
    let source = field.entries().into_iter().find(|(name, _)| *name != "name");
    let Some((kind, source)) = source else {
        // Kubernetes' default: an empty folder.
        return Some(Volume::Empty { memory: false, size_bytes: None });
    };
    match kind {
        "emptyDir" => Some(empty(&source)),
        "configMap" => files(&source, scope.config_map(&source)),
        "secret" => files(&source, scope.secret(&source, "secretName")),
        "downwardAPI" => Some(Volume::Files(downward(&source, scope, mode(&source)))),
        "projected" => Some(projected(&source, scope)),
        "hostPath" => host_path(&source),
        "persistentVolumeClaim" => claim(&source, scope),
        _ => {
            let message = format!("a volume of kind `{kind}` can't be had on this machine");
            source.error_with_hint(
                "volume-kind",
                message,
                "use emptyDir, configMap, secret or hostPath here",
            );
            None
        }
    }
}

fn empty(source: &Field) -> Volume {
    let memory = source.get("medium").text() == Some("Memory");
    let size = limits::quantity(&source.get("sizeLimit"));
    if size.is_some() && !memory {
        source.get("sizeLimit").warning("not-enforced", "`sizeLimit` is enforced for `medium: Memory` only");
    }
    Volume::Empty { memory, size_bytes: size.map(Quantity::units) }
}

fn files(source: &Field, entries: Option<Entries>) -> Option<Volume> {
    let Some(entries) = entries else {
        return is_optional(source).then(|| Volume::Files(BTreeMap::new()));
    };
    Some(Volume::Files(chosen(source, entries, mode(source))))
}

/// All entries, or those that `items` names.
fn chosen(source: &Field, entries: Entries, mode: u32) -> BTreeMap<String, FileContent> {
    let items = source.get("items");
    if !items.is_present() {
        return entries.into_iter().map(|(key, bytes)| (key, content(bytes, mode))).collect();
    }
    let mut files = BTreeMap::new();
    for item in items.items() {
        let (Some(key), Some(path)) = (item.get("key").required_text(), path_of(&item)) else { continue };
        match entries.get(key) {
            Some(bytes) => {
                let mode = item_mode(&item, mode);
                files.insert(path.to_owned(), content(bytes.clone(), mode));
            }
            None if is_optional(source) => {}
            None => {
                let known: Vec<&str> = entries.keys().map(String::as_str).collect();
                let message = format!("there is no key {key:?}; there are {}", known.join(", "));
                item.get("key").error("missing-reference", message);
            }
        }
    }
    files
}

fn content(bytes: Vec<u8>, mode: u32) -> FileContent {
    FileContent { bytes: SecretBytes::new(bytes), mode }
}

fn mode(source: &Field) -> u32 {
    checked_mode(&source.get("defaultMode"), DEFAULT_MODE)
}

fn item_mode(item: &Field, otherwise: u32) -> u32 {
    checked_mode(&item.get("mode"), otherwise)
}

fn checked_mode(field: &Field, otherwise: u32) -> u32 {
    let mode = field.count().unwrap_or(otherwise);
    if mode > 0o777 {
        let hint = "in YAML write it with a leading zero: 0400";
        field.error_with_hint("wrong-value", "permission bits are at most 0777 (511)", hint);
    }
    mode & 0o777
}

/// A path inside the volume.
fn path_of<'a>(item: &Field<'a>) -> Option<&'a str> {
    let path = item.get("path").required_text()?;
    let inside = !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != "..");
    if !inside {
        item.get("path").error("escaping-path", "the path must be relative and without `..`");
    }
    inside.then_some(path)
}

/// `downwardAPI`: fields of the pod as files.
fn downward(source: &Field, scope: &Scope, mode: u32) -> BTreeMap<String, FileContent> {
    let mut files = BTreeMap::new();
    for item in source.get("items").items() {
        let Some(path) = path_of(&item) else { continue };
        let (field, resource) = (item.at(&["fieldRef", "fieldPath"]), item.get("resourceFieldRef"));
        let value = if resource.is_present() {
            pod_field::resource(&resource, &item, scope)
        } else {
            let whole = field.text().and_then(|path| pod_field::whole_map(path, scope));
            whole.or_else(|| pod_field::value(&field, scope))
        };
        if let Some(value) = value {
            files.insert(path.to_owned(), content(value.into_bytes(), item_mode(&item, mode)));
        }
    }
    files
}

/// `projected`: several sources in one folder.
fn projected(field: &Field, scope: &Scope) -> Volume {
    let mode = mode(field);
    let mut files = BTreeMap::new();
    for source in field.get("sources").items() {
        let (config_map, secret) = (source.get("configMap"), source.get("secret"));
        if config_map.is_present() {
            files.extend(chosen(&config_map, scope.config_map(&config_map).unwrap_or_default(), mode));
        } else if secret.is_present() {
            files.extend(chosen(&secret, scope.secret(&secret, "name").unwrap_or_default(), mode));
        } else if source.get("downwardAPI").is_present() {
            files.extend(downward(&source.get("downwardAPI"), scope, mode));
        } else {
            source.warning("not-enforced", "this source is left out: there is no Kubernetes API server here");
        }
    }
    Volume::Files(files)
}

fn host_path(source: &Field) -> Option<Volume> {
    let path = PathBuf::from(source.get("path").required_text()?);
    if !path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir) {
        source.get("path").error("escaping-path", "the path must be absolute and without `..`");
        return None;
    }
    source.warning("host-path", "the container sees this folder of the machine itself");
    Some(Volume::Host(path))
}

/// A claim becomes a folder of the data folder; it outlives the Application.
fn claim(source: &Field, scope: &Scope) -> Option<Volume> {
    let name = source.get("claimName").required_text()?;
    claim_folder(&source.get("claimName"), name, scope.inputs, scope.namespace)
}

/// The folder that stands for a claim.
pub(super) fn claim_folder(field: &Field, name: &str, inputs: &Inputs, namespace: &str) -> Option<Volume> {
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    if !plain(name) || !plain(namespace) {
        field.error("wrong-value", "this can't name a claim");
        return None;
    }
    let folder = inputs.options.volumes.join(inputs.application.as_str()).join(namespace).join(name);
    let message = format!("the claim {name:?} is the folder {} here, without a size limit", folder.display());
    field.warning("claim-folder", message);
    Some(Volume::Host(folder))
}

/// Reads `volumeMounts`, marking the volumes that are used.
pub(super) fn mounts(container: &Field, environment: &Environment, volumes: &mut Volumes) -> Vec<Mount> {
    if container.get("volumeDevices").is_present() {
        container.get("volumeDevices").error("not-supported", "block devices can't be had on this machine");
    }
    let fields = container.get("volumeMounts").items();
    fields.iter().filter_map(|field| mount(field, environment, volumes)).collect()
}

fn mount(field: &Field, environment: &Environment, volumes: &mut Volumes) -> Option<Mount> {
    const KNOWN: &[&str] = &["name", "mountPath", "subPath", "subPathExpr", "readOnly"];
    field.warn_unknown(KNOWN, "not-enforced", "is not acted on on this machine");
    let (name, path) = (field.get("name").required_text()?, field.get("mountPath").required_text()?);
    let Some((volume, used)) = volumes.get_mut(name) else {
        let known: Vec<&String> = volumes.keys().collect();
        let hint = if known.is_empty() {
            "the pod has no usable volume".to_owned()
        } else {
            format!("the pod has {}", known.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        field.get("name").error_with_hint("missing-reference", format!("there is no volume {name:?}"), hint);
        return None;
    };
    *used = true;
    if !path.starts_with('/') {
        field.get("mountPath").error("wrong-value", "`mountPath` must be absolute");
        return None;
    }
    let plain = field.get("subPath").text().map(str::to_owned);
    let expression = field.get("subPathExpr").text();
    let sub_path = plain.or_else(|| expression.map(|text| expand(text, &|name| environment.get(name))));
    let sub_path = sub_path.filter(|path| !path.is_empty());
    if sub_path.as_ref().is_some_and(|path| path.starts_with('/') || path.split('/').any(|part| part == ".."))
    {
        field.error("escaping-path", "`subPath` must be relative and without `..`");
        return None;
    }
    // Files of ConfigMaps and Secrets are never writable in Kubernetes.
    let read_only = field.get("readOnly").boolean().unwrap_or(false) || matches!(volume, Volume::Files(_));
    Some(Mount {
        volume: name.to_owned(),
        path: path.into(),
        sub_path: sub_path.map(PathBuf::from),
        read_only,
    })
}
