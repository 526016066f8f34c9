//! Uploads: begun, mounted, filled in one request or in many, finished (the specification's "Pushing blobs").

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use http::{HeaderMap, StatusCode};
use tokio::task::JoinHandle;

use super::turns::{PATIENCE, Turn};
use super::{CONTENT_DIGEST, Received, Service, blocking};
use crate::server::access::{Action, Caller, Need};
use crate::server::answer::{Answer, Refusal, empty};
use crate::server::content::ContentDigest;
use crate::server::name::RepositoryName;
use crate::server::route::{Start, UploadAction};
use crate::server::storage::{Repository, StorageError, UploadId, UploadWriter};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Written at once. What a broken request brought beyond it is lost.
const CHUNK: usize = 1 << 20;

impl Service {
    pub(super) async fn start_upload(
        &self,
        name: RepositoryName,
        start: Start,
        caller: Caller,
        body: Received,
    ) -> Result<Answer, Refusal> {
        let repository = self.own(&name)?;
        match start {
            Start::Session => self.open_session(repository, &name).await,
            Start::Mount(digest, from) => {
                if self.mount(&repository, &digest, from, &caller).await? {
                    return Ok(created(&name, &digest));
                }
                self.open_session(repository, &name).await
            }
            Start::Whole(digest) => {
                let of_blocking = repository.clone();
                let id = blocking(move || of_blocking.start_upload()).await?;
                let finished = self.finish(&repository, &id, None, &digest, body).await;
                if finished.is_err() {
                    // Nobody was told its name.
                    let _ = blocking(move || repository.cancel_upload(&id)).await;
                }
                finished.map(|()| created(&name, &digest))
            }
        }
    }

    pub(super) async fn upload(
        &self,
        name: RepositoryName,
        id: UploadId,
        action: UploadAction,
        headers: &HeaderMap,
        body: Received,
    ) -> Result<Answer, Refusal> {
        let repository = self.own(&name)?;
        match action {
            UploadAction::Status => {
                let asked = id.clone();
                let size = blocking(move || repository.upload_size(&asked)).await?;
                Ok(session(StatusCode::NO_CONTENT, &name, &id, size))
            }
            UploadAction::Cancel => {
                blocking(move || repository.cancel_upload(&id)).await?;
                Ok(empty(StatusCode::NO_CONTENT, Vec::new()))
            }
            UploadAction::Append => {
                let from = first_byte(headers)?;
                let size = self.append(&repository, &id, from, body).await;
                let size = size.map_err(|refusal| in_session(refusal, &name, &id))?;
                Ok(session(StatusCode::ACCEPTED, &name, &id, size))
            }
            UploadAction::Finish(digest) => {
                let from = first_byte(headers)?;
                let finished = self.finish(&repository, &id, from, &digest, body).await;
                finished.map_err(|refusal| in_session(refusal, &name, &id))?;
                Ok(created(&name, &digest))
            }
        }
    }

    async fn open_session(&self, repository: Repository, name: &RepositoryName) -> Result<Answer, Refusal> {
        let id = blocking(move || repository.start_upload()).await?;
        Ok(session(StatusCode::ACCEPTED, name, &id, 0))
    }

    /// A blob that is here already is not sent again; tells whether it is. What the caller may not read is not here.
    async fn mount(
        &self,
        to: &Repository,
        digest: &ContentDigest,
        from: Option<RepositoryName>,
        caller: &Caller,
    ) -> Result<bool, Refusal> {
        let may_read =
            |name: &RepositoryName| self.access.allows(caller, &Need::Repository(name.clone(), Action::Pull));
        let (to, digest, storage) = (to.clone(), digest.clone(), self.storage.clone());
        match from {
            Some(from) if may_read(&from) => {
                blocking(move || to.mount(&digest, &storage.repository(&from))).await
            }
            Some(_) => Ok(false),
            None if self.access.is_open() => blocking(move || to.mount_from_anywhere(&digest)).await,
            None => {
                let of_blocking = storage.clone();
                let names = blocking(move || of_blocking.repositories()).await?;
                let readable: Vec<_> = names.into_iter().filter(may_read).collect();
                blocking(move || {
                    for name in readable {
                        if to.mount(&digest, &storage.repository(&name))? {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                })
                .await
            }
        }
    }

    async fn append(
        &self,
        repository: &Repository,
        id: &UploadId,
        from: Option<u64>,
        body: Received,
    ) -> Result<u64, Refusal> {
        let (writer, turn) = self.resume(repository, id, from).await?;
        Ok(receive(body, writer, &turn).await?.pause())
    }

    async fn finish(
        &self,
        repository: &Repository,
        id: &UploadId,
        from: Option<u64>,
        digest: &ContentDigest,
        body: Received,
    ) -> Result<(), Refusal> {
        let (mut writer, turn) = self.resume(repository, id, from).await?;
        writer.expect(digest);
        let writer = receive(body, writer, &turn).await?;
        let digest = digest.clone();
        blocking(move || writer.finish(&digest)).await
    }

    /// Goes on with an upload, as soon as an earlier request of this process has given it up.
    async fn resume(
        &self,
        repository: &Repository,
        id: &UploadId,
        from: Option<u64>,
    ) -> Result<(UploadWriter, Turn), Refusal> {
        let turn = self.turns.take(id);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let (repository, id, limit) = (repository.clone(), id.clone(), self.limits.blob);
            let resumed =
                tokio::task::spawn_blocking(move || repository.resume_upload(&id, from, limit)).await;
            match resumed.map_err(|error| Refusal::fault(format!("a task died: {error}")))? {
                Err(StorageError::UploadBusy) if Instant::now() < give_up => {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(10)) => {}
                        () = turn.lost() => return Err(StorageError::UploadBusy.into()),
                    }
                }
                resumed => return Ok((resumed?, turn)),
            }
        }
    }
}

/// Writes the body while the next part of it comes. Of a body that breaks off, what came is kept; so it is when another
/// request takes the turn.
async fn receive(mut body: Received, writer: UploadWriter, turn: &Turn) -> Result<UploadWriter, Refusal> {
    let mut writing = write(writer, Bytes::new());
    let mut buffer = BytesMut::new();
    let end = loop {
        let next = tokio::select! {
            next = body.next() => next,
            () = turn.lost() => Err(StorageError::UploadBusy.into()),
        };
        match next {
            Ok(Some(bytes)) => buffer.extend_from_slice(&bytes),
            Ok(None) => break Ok(()),
            Err(refusal) => break Err(refusal),
        }
        if buffer.len() >= CHUNK {
            writing = write(written(writing).await?, buffer.split().freeze());
        }
    };
    let writer = written(write(written(writing).await?, buffer.freeze())).await?;
    end.map(|()| writer)
}

type Writing = JoinHandle<Result<UploadWriter, StorageError>>;

fn write(mut writer: UploadWriter, bytes: Bytes) -> Writing {
    tokio::task::spawn_blocking(move || {
        if !bytes.is_empty() {
            writer.write(&bytes)?;
        }
        Ok(writer)
    })
}

async fn written(writing: Writing) -> Result<UploadWriter, Refusal> {
    match writing.await {
        Ok(result) => result.map_err(Refusal::from),
        Err(error) => Err(Refusal::fault(format!("a task died: {error}"))),
    }
}

/// Where the request says that its part begins. Its end must be as far away as its length says.
fn first_byte(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let Some(range) = text(CONTENT_RANGE) else { return Ok(None) };
    let refused = || {
        let message = format!("Content-Range {range:?} is not FIRST-LAST of as many bytes as come");
        Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    };
    let bare = range.trim_start_matches("bytes").trim_start_matches(['=', ' ']);
    let bare = bare.split_once('/').map_or(bare, |(part, _)| part);
    let (first, last) = bare.split_once('-').ok_or_else(refused)?;
    let first: u64 = first.trim().parse().map_err(|_| refused())?;
    let last: u64 = last.trim().parse().map_err(|_| refused())?;
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let fits = last >= first && length.is_none_or(|length| length == 0 || length - 1 == last - first);
    if fits { Ok(Some(first)) } else { Err(refused()) }
}

fn created(name: &RepositoryName, digest: &ContentDigest) -> Answer {
    let headers =
        vec![(LOCATION, format!("/v2/{name}/blobs/{digest}")), (CONTENT_DIGEST, digest.to_string())];
    empty(StatusCode::CREATED, headers)
}

fn session(status: StatusCode, name: &RepositoryName, id: &UploadId, size: u64) -> Answer {
    // Of nothing, too, a last byte must be given: clients read 0-0 as nothing known.
    let mut headers = session_headers(name, id);
    headers.push((RANGE, format!("0-{}", size.saturating_sub(1))));
    empty(status, headers)
}

/// A refusal that tells where to go on.
fn in_session(refusal: Refusal, name: &RepositoryName, id: &UploadId) -> Refusal {
    let headers = session_headers(name, id);
    headers.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value))
}

fn session_headers(name: &RepositoryName, id: &UploadId) -> Vec<(HeaderName, String)> {
    vec![(LOCATION, format!("/v2/{name}/blobs/uploads/{}", id.as_str())), (UPLOAD_ID, id.as_str().to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_say_where_they_begin() {
        for (range, length, expected) in [
            (None, "5", Ok(None)),
            (Some("0-4"), "5", Ok(Some(0))),
            (Some("bytes 5-9/10"), "5", Ok(Some(5))),
            (Some("bytes=5-9"), "5", Ok(Some(5))),
            (Some("5-9"), "4", Err(())),
            (Some("9-5"), "5", Err(())),
            (Some("-5"), "5", Err(())),
            (Some("x"), "5", Err(())),
            (Some("0-18446744073709551615"), "5", Err(())),
            (Some("0-18446744073709551616"), "5", Err(())),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, length.parse().unwrap());
            if let Some(range) = range {
                headers.insert(CONTENT_RANGE, range.parse().unwrap());
            }
            assert_eq!(first_byte(&headers).map_err(drop), expected, "{range:?}");
        }
    }
}
