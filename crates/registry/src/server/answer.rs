//! What goes back over HTTP: headers, bodies from memory or from a file, and errors as the specification writes them.

use std::fs::File;
use std::io::{self, SeekFrom};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, TryStreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::storage::StorageError;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

/// Read from a file at once while a blob is sent.
const CHUNK: usize = 256 << 10;

/// A request that is refused: the distribution specification's "Error Codes".
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// What is for the log of this machine and not for whoever asks.
    pub(crate) cause: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new(), cause: None }
    }

    /// The registry itself is at fault.
    pub(crate) fn fault(cause: impl Into<String>) -> Self {
        let message = "the registry could not do what was asked; its log says why";
        let refusal = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message);
        Self { cause: Some(cause.into()), ..refusal }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn into_answer(self) -> Answer {
        let errors = serde_json::json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut headers = self.headers;
        headers.push((CONTENT_TYPE, "application/json".to_owned()));
        with_bytes(self.status, headers, errors.to_string().into_bytes())
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        let (status, code) = match &error {
            StorageError::Io { .. } | StorageError::Damaged { .. } | StorageError::Version { .. } => {
                return Self::fault(error.to_string());
            }
            StorageError::NoBlob(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            StorageError::NoManifest(_) => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            StorageError::NoRepository(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            StorageError::NoUpload(_) => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            StorageError::UploadBusy => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            StorageError::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            StorageError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            StorageError::Digest { .. } => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            StorageError::Missing(_) => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            StorageError::Immutable(_) => (StatusCode::CONFLICT, "DENIED"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode, headers: Vec<(HeaderName, String)>) -> Answer {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut headers = headers;
    // 204 has no length; to all others Docker's clients want to hear that nothing comes.
    let is_said = headers.iter().any(|(name, _)| *name == CONTENT_LENGTH);
    if status != StatusCode::NO_CONTENT && !is_said {
        headers.push((CONTENT_LENGTH, "0".to_owned()));
    }
    with_body(status, headers, body)
}

/// An answer with all of `bytes`.
pub(crate) fn with_bytes(status: StatusCode, headers: Vec<(HeaderName, String)>, bytes: Vec<u8>) -> Answer {
    let mut headers = headers;
    headers.push((CONTENT_LENGTH, bytes.len().to_string()));
    let body = Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync();
    with_body(status, headers, body)
}

/// An answer with a JSON document.
pub(crate) fn with_json(headers: Vec<(HeaderName, String)>, value: &serde_json::Value) -> Answer {
    let mut headers = headers;
    if !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        headers.push((CONTENT_TYPE, "application/json".to_owned()));
    }
    with_bytes(StatusCode::OK, headers, value.to_string().into_bytes())
}

/// An answer with `length` bytes of `file` from byte `from`, read while they are sent.
pub(crate) fn with_file(
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    file: File,
    from: u64,
    length: u64,
) -> Answer {
    let mut headers = headers;
    headers.push((CONTENT_LENGTH, length.to_string()));
    let start = async move {
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(CHUNK);
        file.seek(SeekFrom::Start(from)).await?;
        Ok::<_, io::Error>(stream::try_unfold((file, length), next_chunk))
    };
    let frames = stream::once(start).try_flatten().map_ok(Frame::data);
    with_body(status, headers, StreamBody::new(frames).boxed_unsync())
}

/// An answer with any body.
pub(crate) fn with_body(status: StatusCode, headers: Vec<(HeaderName, String)>, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    for (name, value) in headers {
        // What comes from users was checked to be a name, a digest or a media type before it came here.
        if let Ok(value) = value.parse() {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

async fn next_chunk(
    (mut file, left): (tokio::fs::File, u64),
) -> io::Result<Option<(Bytes, (tokio::fs::File, u64))>> {
    if left == 0 {
        return Ok(None);
    }
    let want = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
    let mut buffer = BytesMut::with_capacity(want);
    let read = (&mut file).take(want as u64).read_buf(&mut buffer).await?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((buffer.freeze(), (file, left - read as u64))))
}
