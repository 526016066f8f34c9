//! Blobs: looked for, sent whole or in part, removed.

use futures_util::TryStreamExt;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, RANGE,
};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::{CONTENT_DIGEST, Service, blocking, is_known};
use crate::server::answer::{Answer, Refusal, empty, with_body, with_file};
use crate::server::content::ContentDigest;
use crate::server::name::RepositoryName;
use crate::server::route::BlobAction;
use crate::server::storage::{Blob, StorageError};
use crate::server::upstream::{Flight, Found};

impl Service {
    pub(super) async fn blob(
        &self,
        name: RepositoryName,
        digest: ContentDigest,
        action: BlobAction,
        headers: &HeaderMap,
    ) -> Result<Answer, Refusal> {
        let unknown = || Refusal::from(StorageError::NoBlob(digest.to_string()));
        if action == BlobAction::Delete {
            let (repository, asked) = (self.own(&name)?, digest.clone());
            let was_there =
                blocking(move || Ok(repository.exists() && repository.delete_blob(&asked)?)).await?;
            return if was_there { Ok(empty(StatusCode::ACCEPTED, Vec::new())) } else { Err(unknown()) };
        }
        let (repository, asked) = (self.repository(&name), digest.clone());
        let is_head = action == BlobAction::Head;
        let found = blocking(move || repository.blob(&asked)).await?;
        if let Some(blob) = found {
            return send(blob, &digest, is_head, headers);
        }
        let (cache, origin) = self.origin(&name).ok_or_else(unknown)?;
        if is_head {
            let size = cache.size(&origin, &digest).await?.ok_or_else(unknown)?;
            let mut about = about(&digest);
            about.push((CONTENT_LENGTH, size.to_string()));
            return Ok(empty(StatusCode::OK, about));
        }
        match cache.blob(origin, self.repository(&name), &digest).await?.ok_or_else(unknown)? {
            Found::Here(blob) => send(blob, &digest, is_head, headers),
            Found::Coming(flight) => Ok(relay(&flight, &digest)),
        }
    }
}

/// A blob that is on its way here. Whoever wants a part of it gets all: he has to wait for what is before it anyway.
fn relay(flight: &Flight, digest: &ContentDigest) -> Answer {
    let mut about = about(digest);
    about.push((CONTENT_LENGTH, flight.size.to_string()));
    let body = StreamBody::new(flight.bytes().map_ok(Frame::data)).boxed_unsync();
    with_body(StatusCode::OK, about, body)
}

fn about(digest: &ContentDigest) -> Vec<(HeaderName, String)> {
    vec![
        (CONTENT_DIGEST, digest.to_string()),
        (ETAG, format!("\"{digest}\"")),
        (ACCEPT_RANGES, "bytes".to_owned()),
        // A digest means the same content for ever.
        (CACHE_CONTROL, "max-age=31536000".to_owned()),
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
    ]
}

fn send(blob: Blob, digest: &ContentDigest, is_head: bool, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let mut about = about(digest);
    let tag = format!("\"{digest}\"");
    if is_known(headers, &tag) {
        return Ok(empty(StatusCode::NOT_MODIFIED, about));
    }
    if is_head {
        about.push((CONTENT_LENGTH, blob.size.to_string()));
        return Ok(empty(StatusCode::OK, about));
    }
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    match range.map_or(Asked::All, |range| part(range, blob.size)) {
        Asked::All => Ok(with_file(StatusCode::OK, about, blob.file, 0, blob.size)),
        Asked::Part { from, length } => {
            let last = from + length - 1;
            about.push((CONTENT_RANGE, format!("bytes {from}-{last}/{}", blob.size)));
            Ok(with_file(StatusCode::PARTIAL_CONTENT, about, blob.file, from, length))
        }
        Asked::Nothing => {
            let message = format!("the blob has {} bytes", blob.size);
            let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message);
            Err(refusal.with(CONTENT_RANGE, format!("bytes */{}", blob.size)))
        }
    }
}

#[derive(PartialEq, Debug)]
enum Asked {
    All,
    Part { from: u64, length: u64 },
    Nothing,
}

/// What a `Range` header asks for of `size` bytes (RFC 9110, section 14). Several ranges are answered as none.
fn part(range: &str, size: u64) -> Asked {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::All;
    };
    let (first, last) = (first.trim(), last.trim());
    if last.contains(',') {
        return Asked::All;
    }
    let (from, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(from), Ok(last)) => (from, last.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if last.is_empty() => (from, size),
        (Err(_), Ok(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Asked::All,
    };
    if from < end { Asked::Part { from, length: end - from } } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let part_of = |from, length| Asked::Part { from, length };
        for (range, expected) in [
            ("bytes=0-0", part_of(0, 1)),
            ("bytes=5-9", part_of(5, 5)),
            ("bytes=5-", part_of(5, 5)),
            ("bytes=-3", part_of(7, 3)),
            ("bytes=-30", part_of(0, 10)),
            ("bytes=8-18446744073709551615", part_of(8, 2)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=5-4", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=0-1,4-5", Asked::All),
            ("bytes=x-", Asked::All),
            ("lines=1-2", Asked::All),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }
}
