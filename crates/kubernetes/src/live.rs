//! Everything that an owner has in the cluster.
//!
//! The annotation that tells the owner can't be selected by, so every kind's metadata is listed, in parallel; what is the
//! owner's is then read in full, in the version in which it was applied.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use minato_resource::ResourceKey;
use minato_sync::{Owner, TRACKING_ANNOTATION, TargetError};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, ApiError, JSON, METADATA_LIST, pages};
use crate::discovery::{Kind, Kinds};
use crate::tracking::owner_of;

/// Requests under way at once.
const PARALLEL: usize = 16;

/// One object of the owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    kind: Kind,
    key: ResourceKey,
}

/// Reads all of an owner's objects, as the server has them.
///
/// Kinds that may not be listed in the whole cluster are listed in `namespace`; those that may not be listed there
/// either are left out.
pub(crate) async fn owned_objects(
    api: &Api,
    kinds: &Kinds,
    owner: &Owner,
    namespace: &str,
    manager: &str,
) -> Result<Vec<(ResourceKey, Value)>, TargetError> {
    let mut found: Vec<Found> = stream::iter(kinds.ownable())
        .map(|kind| async move { owned_of(api, kinds, kind, owner, namespace, manager).await })
        .buffer_unordered(PARALLEL)
        .try_concat()
        .await?;
    found.sort_by(|left, right| left.key.cmp(&right.key));
    let objects = stream::iter(groups(found))
        .map(|group| read_group(api, group, owner))
        .buffered(PARALLEL)
        .try_concat()
        .await?;
    Ok(objects)
}

/// What is the owner's among the objects of one kind.
async fn owned_of(
    api: &Api,
    kinds: &Kinds,
    kind: Kind,
    owner: &Owner,
    namespace: &str,
    manager: &str,
) -> Result<Vec<Found>, TargetError> {
    let what = |error: ApiError| error.asked(format!("the list of {}", kind.plural));
    let pages = match list_metadata(api, &kind.place("").list()).await {
        Err(error) if kind.namespaced && is_forbidden(&error) => {
            list_metadata(api, &kind.place(namespace).list()).await
        }
        answer => answer,
    };
    let pages = match pages {
        Err(error) if is_forbidden(&error) || is_gone(&error) => return Ok(Vec::new()),
        answer => answer.map_err(what)?,
    };
    let items = pages.into_iter().flat_map(|page| page.items.unwrap_or_default());
    let owned = items.filter_map(|item| {
        let key = ResourceKey::new(&kind.group, &kind.kind, &item.metadata.namespace, &item.metadata.name);
        let id = item.metadata.annotations.as_ref()?.get(TRACKING_ANNOTATION)?;
        (owner_of(id, &key)? == *owner).then_some(())?;
        let applied = item.metadata.applied_version(manager);
        let kind = applied.and_then(|version| kinds.exact(version, &kind.kind)).unwrap_or(&kind).clone();
        Some(Found { kind, key })
    });
    Ok(owned.collect())
}

async fn list_metadata(api: &Api, path: &str) -> Result<Vec<Page>, ApiError> {
    match pages(api, path, METADATA_LIST, serde_json::from_value).await {
        // The list took longer than the server keeps its place: once more from the start.
        Err(error) if error.refusal().is_some_and(|refusal| refusal.code == 410) => {
            pages(api, path, METADATA_LIST, serde_json::from_value).await
        }
        answer => answer,
    }
}

fn is_forbidden(error: &ApiError) -> bool {
    error.refusal().is_some_and(|refusal| refusal.code == 403)
}

/// The kind went away since it was discovered, or was never there to be listed.
fn is_gone(error: &ApiError) -> bool {
    error.refusal().is_some_and(|refusal| matches!(refusal.code, 404 | 405))
}

#[derive(Deserialize)]
struct Page {
    /// An empty list may be written `null`.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    annotations: Option<BTreeMap<String, String>>,
    managed_fields: Option<Vec<Manager>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Manager {
    manager: String,
    operation: String,
    api_version: String,
    subresource: String,
}

impl Metadata {
    /// The version in which the manager applied it last.
    fn applied_version(&self, manager: &str) -> Option<&str> {
        let ours = |entry: &&Manager| {
            entry.manager == manager && entry.operation == "Apply" && entry.subresource.is_empty()
        };
        self.managed_fields.iter().flatten().find(ours).map(|entry| entry.api_version.as_str())
    }
}

/// Objects that one request can read: those of one kind and namespace.
fn groups(found: Vec<Found>) -> Vec<Vec<Found>> {
    let mut groups: Vec<Vec<Found>> = Vec::new();
    for object in found {
        match groups.last_mut() {
            Some(group) if group[0].kind == object.kind && group[0].key.namespace == object.key.namespace => {
                group.push(object);
            }
            _ => groups.push(vec![object]),
        }
    }
    groups
}

/// Few objects are read one by one, many by a list of their namespace: it may hold others' too.
async fn read_group(
    api: &Api,
    group: Vec<Found>,
    owner: &Owner,
) -> Result<Vec<(ResourceKey, Value)>, TargetError> {
    const FEW: usize = 8;
    if group.len() <= FEW {
        let read = stream::iter(group).map(|object| read_one(api, object)).buffered(FEW);
        let objects: Vec<Option<_>> = read.try_collect().await?;
        return Ok(objects.into_iter().flatten().collect());
    }
    let (kind, namespace) = (&group[0].kind, &group[0].key.namespace);
    let what = |error: ApiError| error.asked(format!("the list of {} in {namespace}", kind.plural));
    let lists: Vec<Value> = pages(api, &kind.place(namespace).list(), JSON, Ok).await.map_err(what)?;
    let mut objects = Vec::new();
    for item in lists.into_iter().flat_map(|mut list| match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }) {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
        let Some(name) = text("/metadata/name") else { continue };
        let key = ResourceKey::new(&kind.group, &kind.kind, namespace, name);
        let id = item.pointer("/metadata/annotations").and_then(|all| all.get(TRACKING_ANNOTATION)?.as_str());
        if id.and_then(|id| owner_of(id, &key)).as_ref() == Some(owner) {
            objects.push((key, with_kind(item, kind)));
        }
    }
    Ok(objects)
}

/// `None` when it went away meanwhile.
async fn read_one(api: &Api, object: Found) -> Result<Option<(ResourceKey, Value)>, TargetError> {
    let answer = api.find(&object.kind.object(&object.key), JSON).await;
    let answer = answer.map_err(|error| error.about(&object.key))?;
    Ok(answer.map(|answer| (object.key, with_kind(answer.value, &object.kind))))
}

/// Items of a list don't say what they are.
fn with_kind(mut item: Value, kind: &Kind) -> Value {
    if let Some(map) = item.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::String(kind.api_version()));
        map.insert("kind".to_owned(), Value::String(kind.kind.clone()));
    }
    item
}
