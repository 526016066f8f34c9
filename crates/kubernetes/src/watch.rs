//! Wakes whoever follows a change when something of the owner's changed. It carries no state.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use minato_resource::ResourceKey;
use minato_sync::{Change, Owner, TRACKING_ANNOTATION};
use serde_json::Value;

use crate::api::{Api, ApiError, Query};
use crate::discovery::{Kind, Kinds};
use crate::tracking::owner_of;

/// Kinds whose health follows a change, and namespaces that are watched at once.
const FOLLOWED: &[(&str, &str)] = &[
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("", "Pod"),
    ("", "PersistentVolumeClaim"),
];
const NAMESPACES: usize = 8;

/// Longest line of a stream; a longer one ends it.
const LINE_LIMIT: usize = 4 << 20;

/// How long the server keeps a stream open. The follower polls afterwards.
const SECONDS: &str = "1800";

/// Changes of the owner's objects of the kinds that are followed, in these namespaces.
pub(crate) fn changes(
    api: &Api,
    kinds: &Kinds,
    owner: &Owner,
    namespaces: &BTreeSet<String>,
) -> BoxStream<'static, Change> {
    let followed = FOLLOWED.iter().filter_map(|(group, kind)| kinds.preferred(group, kind));
    let streams = followed.flat_map(|kind| {
        let namespaces = namespaces.iter().take(NAMESPACES);
        namespaces.map(|namespace| of_kind(api.clone(), kind.clone(), namespace.clone(), owner.clone()))
    });
    stream::select_all(streams.collect::<Vec<_>>()).boxed()
}

/// A stream that can't be opened, or breaks, just ends.
fn of_kind(api: Api, kind: Kind, namespace: String, owner: Owner) -> BoxStream<'static, Change> {
    let query = Query::new().with("watch", "true").with("timeoutSeconds", SECONDS);
    let path = query.after(&kind.place(&namespace).list());
    let opened = async move { api.stream(&path).await.map(lines) };
    let lines = stream::once(opened).filter_map(|opened| async move { opened.ok() }).flatten();
    lines.filter_map(move |line| std::future::ready(change(&line, &kind, &owner))).boxed()
}

/// What a line tells, when it is about an object of the owner's.
fn change(line: &[u8], kind: &Kind, owner: &Owner) -> Option<Change> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let key = ResourceKey::new(
        &kind.group,
        &kind.kind,
        text("/object/metadata/namespace"),
        text("/object/metadata/name"),
    );
    let id = event.pointer("/object/metadata/annotations")?.get(TRACKING_ANNOTATION)?.as_str()?;
    (owner_of(id, &key)? == *owner).then_some(Change { key: Some(key) })
}

/// Cuts a body into lines.
fn lines(body: BoxStream<'static, Result<Bytes, ApiError>>) -> BoxStream<'static, Vec<u8>> {
    let cut = stream::unfold((body, BytesMut::new()), |(mut body, mut rest)| async move {
        loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(end + 1);
                return Some((line[..end].to_vec(), (body, rest)));
            }
            if rest.len() > LINE_LIMIT {
                return None;
            }
            rest.extend_from_slice(&body.next().await?.ok()?);
        }
    });
    cut.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind() -> Kind {
        Kind {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
            namespaced: true,
            listable: true,
            stale: false,
        }
    }

    #[test]
    fn only_the_owners_objects_wake() {
        let owner = Owner::new("shop".parse().unwrap());
        let check = |id: &str, expected: Option<&str>| {
            let line = json!({"type": "MODIFIED", "object": {"metadata": {"namespace": "a", "name": "web",
                "annotations": {TRACKING_ANNOTATION: id}}}});
            let woken = change(line.to_string().as_bytes(), &kind(), &owner);
            assert_eq!(woken.and_then(|change| change.key).map(|key| key.to_string()).as_deref(), expected);
        };
        check("shop:apps/Deployment:a/web", Some("apps/Deployment a/web"));
        check("other:apps/Deployment:a/web", None);
        check("", None);
        assert_eq!(change(b"{\"type\": \"ERROR\"", &kind(), &owner), None);
    }

    #[tokio::test]
    async fn lines_come_whole_and_an_endless_one_ends_the_stream() {
        let cut = |parts: Vec<Vec<u8>>| async move {
            let body = stream::iter(parts.into_iter().map(|part| Ok(Bytes::from(part))));
            lines(body.boxed()).collect::<Vec<_>>().await
        };
        assert_eq!(
            cut(vec![b"a\nb".to_vec(), b"c\n\nd".to_vec()]).await,
            [b"a".to_vec(), b"bc".to_vec(), b"".to_vec()]
        );
        assert!(cut(vec![vec![b'x'; LINE_LIMIT], vec![b'x'; 2], b"\n".to_vec()]).await.is_empty());
    }
}
