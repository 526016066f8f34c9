//! Files over HTTP, asked for again only when they changed.

use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minato_oci::{Digest, Digester};
use reqwest::header::{
    CONTENT_DISPOSITION, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::address::{HttpAddress, file_name};
use super::{RemoteError, Remotes, drop_unused};
use crate::executor::Cancelled;

const VERSION: u32 = 1;
const RECORD: &str = "record.json";
/// What `BuildKit` calls a file whose address has no name.
const UNNAMED: &str = "__unnamed__";
/// The largest file that is fetched, in bytes.
const MAX_BYTES: u64 = 8 << 30;
const MAX_REDIRECTS: usize = 10;
/// Contents of one address that are kept beside the newest.
const KEEP_OTHERS: Duration = Duration::from_secs(86_400);
const CONNECT: Duration = Duration::from_secs(30);
/// How long nothing may come before a transfer has failed.
const STALL: Duration = Duration::from_secs(60);
/// The waits before a request that failed is made again.
const WAITS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(1000), Duration::from_millis(3000)];
const CANCEL_CHECK: Duration = Duration::from_millis(100);

/// Why a file can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, or it broke.
    #[error("{address}: {reason}")]
    Broken {
        /// The address, without credentials.
        address: String,
        /// What happened.
        reason: String,
    },
    /// It leads elsewhere, where it is not followed.
    #[error("{address}: {reason}")]
    Redirect {
        /// The address, without credentials.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The server has another answer than the file.
    #[error("{address}: the server answered {status}")]
    Status {
        /// The address.
        address: String,
        /// Number and name.
        status: StatusCode,
    },
    /// Nothing came for too long.
    #[error("{address}: nothing came for {} s", STALL.as_secs())]
    Stalled {
        /// The address.
        address: String,
    },
    /// The file is larger than any that is fetched.
    #[error("{address}: the file is larger than {} GiB", MAX_BYTES >> 30)]
    TooLarge {
        /// The address.
        address: String,
    },
    /// The file is another one than was asked for.
    #[error("{address}: the file is {found}, and --checksum={expected} was asked for")]
    Checksum {
        /// The address.
        address: String,
        /// What `--checksum` says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The cache can't be written.
    #[error("can't write {}: {source}", place.display())]
    Write {
        /// The file or folder.
        place: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A file that was fetched, now or earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Where it stands here.
    pub(crate) place: PathBuf,
    /// What it is called.
    pub(crate) name: String,
    pub(crate) digest: Digest,
}

/// What is known of an address from the last time.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    version: u32,
    digest: Digest,
    name: Option<String>,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Remotes<'_> {
    /// Fetches a file and gives its place in the cache.
    ///
    /// # Errors
    /// It can't be had or kept.
    pub fn download(&self, address: &HttpAddress) -> Result<PathBuf, RemoteError> {
        Ok(self.file(address, None)?.place)
    }

    /// Fetches a file, unless the server says that it is the one fetched last time, or `expected` does.
    pub(crate) fn file(
        &self,
        address: &HttpAddress,
        expected: Option<&Digest>,
    ) -> Result<RemoteFile, RemoteError> {
        let slot = Slot::open(&self.folder.join("files"), address)?;
        let known = slot.known();
        if let Some(known) = known.as_ref().filter(|known| Some(&known.digest) == expected) {
            return Ok(slot.file(address, known));
        }
        let record = within(self.cancelled, async {
            let client = self.client(address)?;
            Fetch { client: &client, address, slot: &slot, known: known.as_ref() }.insist().await
        })?;
        match expected.filter(|expected| **expected != record.digest) {
            None => Ok(slot.file(address, &record)),
            Some(expected) => {
                let (address, expected) = (address.to_string(), *expected);
                Err(HttpError::Checksum { address, expected, found: record.digest }.into())
            }
        }
    }

    fn client(&self, address: &HttpAddress) -> Result<Client, HttpError> {
        let failed = |error: reqwest::Error| broken(address, &error);
        let mut builder = Client::builder()
            .user_agent(concat!("minato/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::custom(follow));
        for bundle in &self.settings.authorities {
            for certificate in reqwest::Certificate::from_pem_bundle(bundle).map_err(failed)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        // Proxies are for other machines, as Go's and curl's clients have it.
        let builder = if is_loopback(address.url()) { builder.no_proxy() } else { builder };
        builder.build().map_err(failed)
    }
}

/// The place of one address in the cache. Nobody else writes to it meanwhile.
struct Slot {
    folder: PathBuf,
    _lock: File,
}

impl Slot {
    fn open(files: &Path, address: &HttpAddress) -> Result<Self, HttpError> {
        let folder = files.join(Digest::sha256(address.url().as_str()).hex());
        if !folder.is_dir() {
            drop_unused(files, RECORD);
            fs::create_dir_all(&folder).map_err(write_error(&folder))?;
        }
        let place = folder.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&place);
        let lock = lock.and_then(|file| file.lock().map(|()| file)).map_err(write_error(&place))?;
        Ok(Self { folder, _lock: lock })
    }

    /// What a record says whose content is here. One that can't be understood is as good as none.
    fn known(&self) -> Option<Record> {
        let record: Record = serde_json::from_slice(&fs::read(self.folder.join(RECORD)).ok()?).ok()?;
        (record.version == VERSION && self.content(&record.digest).is_file()).then_some(record)
    }

    fn content(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    fn file(&self, address: &HttpAddress, record: &Record) -> RemoteFile {
        let name = address.file_name().or_else(|| record.name.as_deref().and_then(file_name));
        let name = name.unwrap_or_else(|| UNNAMED.to_owned());
        RemoteFile { place: self.content(&record.digest), name, digest: record.digest }
    }

    /// Keeps a record; contents of earlier ones go when nobody can be reading them any more.
    fn keep(&self, record: &Record) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name();
            let spared = [RECORD, "lock", &record.digest.hex()].iter().any(|kept| name == *kept);
            let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
            if !spared && age.is_some_and(|age| age > KEEP_OTHERS) {
                let _gone = fs::remove_file(entry.path());
            }
        }
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
        serde_json::to_writer(&mut file, record)?;
        file.flush()?;
        file.persist(self.folder.join(RECORD)).map(drop).map_err(|error| error.error)
    }
}

/// One file on its way.
struct Fetch<'a> {
    client: &'a Client,
    address: &'a HttpAddress,
    slot: &'a Slot,
    known: Option<&'a Record>,
}

impl Fetch<'_> {
    /// Tries again where it may help.
    async fn insist(&self) -> Result<Record, RemoteError> {
        for wait in WAITS {
            match self.once().await {
                Err(error) if is_temporary(&error) => tokio::time::sleep(wait).await,
                done => return Ok(done?),
            }
        }
        Ok(self.once().await?)
    }

    async fn once(&self) -> Result<Record, HttpError> {
        let mut request = self.client.get(self.address.url().clone());
        if let Some(known) = self.known {
            let conditions: [(HeaderName, _); 2] =
                [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)];
            for (name, value) in conditions {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let response = self.in_time(request.send()).await?;
        let record = match (response.status(), self.known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => known.clone(),
            (status, _) if status.is_success() => self.receive(response).await?,
            (status, _) => {
                return Err(HttpError::Status { address: self.address.to_string(), status });
            }
        };
        self.slot.keep(&record).map_err(write_error(&self.slot.folder))?;
        Ok(record)
    }

    async fn receive(&self, mut response: Response) -> Result<Record, HttpError> {
        let too_large = || HttpError::TooLarge { address: self.address.to_string() };
        if response.content_length().is_some_and(|length| length > MAX_BYTES) {
            return Err(too_large());
        }
        let headers = response.headers();
        let text = |name| headers.get(name).and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let (etag, last_modified, name) = (text(ETAG), text(LAST_MODIFIED), disposition(headers));
        let failed = write_error(&self.slot.folder);
        let file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.slot.folder);
        let mut file = file.map_err(&failed)?;
        let mut digester = Digester::default();
        while let Some(part) = self.in_time(response.chunk()).await? {
            digester.update(&part);
            if digester.written() > MAX_BYTES {
                return Err(too_large());
            }
            file.write_all(&part).map_err(&failed)?;
        }
        let (digest, _) = digester.finish();
        // BuildKit's mode for what comes over HTTP.
        file.as_file().set_permissions(Permissions::from_mode(0o600)).map_err(&failed)?;
        file.persist(self.slot.content(&digest)).map_err(|error| failed(error.error))?;
        Ok(Record { version: VERSION, digest, name, etag, last_modified })
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, HttpError> {
        match tokio::time::timeout(STALL, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(broken(self.address, &error)),
            Err(_) => Err(HttpError::Stalled { address: self.address.to_string() }),
        }
    }
}

/// Runs a transfer on a runtime of its own, until it ends or the build does.
fn within<T>(
    cancelled: &Cancelled,
    work: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(write_error(Path::new("asynchronous runtime")))?;
    runtime.block_on(async {
        let given_up = async {
            while !cancelled.is_set() {
                tokio::time::sleep(CANCEL_CHECK).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = given_up => Err(RemoteError::Cancelled),
        }
    })
}

/// A redirect must not lose the encryption that the request had.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let was_encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if was_encrypted && attempt.url().scheme() != "https" {
        return attempt.error("redirect from https to an unencrypted address is refused");
    }
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}

fn is_temporary(error: &HttpError) -> bool {
    match error {
        HttpError::Broken { .. } | HttpError::Stalled { .. } => true,
        HttpError::Status { status, .. } => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        _ => false,
    }
}

/// The file name that a server gives its answer.
fn disposition(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_DISPOSITION)?.to_str().ok()?;
    let name = value.split(';').find_map(|part| part.trim().strip_prefix("filename="))?;
    file_name(name.trim_matches('"'))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Everything that the error's causes say, without the address, which may have credentials.
fn broken(address: &HttpAddress, error: &reqwest::Error) -> HttpError {
    let mut reasons = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reasons.push(error.to_string());
        cause = error.source();
    }
    let reason = if reasons.is_empty() { "the transfer failed".to_owned() } else { reasons.join(": ") };
    let address = address.to_string();
    if error.is_redirect() {
        HttpError::Redirect { address, reason }
    } else {
        HttpError::Broken { address, reason }
    }
}

fn write_error(place: &Path) -> impl Fn(io::Error) -> HttpError {
    let place = place.to_owned();
    move |source| HttpError::Write { place: place.clone(), source }
}
