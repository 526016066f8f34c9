//! The client and its settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use minato_oci::layer::Limits;
use minato_oci::{Platform, Reference};

use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, endpoints, origin};
use crate::mirror::Mirror;
use crate::progress::{Event, Progress};
use crate::resolve::{self, ResolveError, Resolved};
use crate::transport::{Settings, Transport};

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Places to ask before a registry, in this order.
    pub mirrors: Vec<Mirror>,
    /// Registries that speak HTTP without TLS. Those on this machine need not be named.
    pub plain_http: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// PEM files of certificate authorities to trust beside the system's.
    pub certificates: Vec<PathBuf>,
    /// Folders with certificates for single registries, as Docker's `/etc/docker/certs.d`: below each one folder
    /// `HOST[:PORT]`; the first that has it counts.
    pub certificate_folders: Vec<PathBuf>,
    /// How often a failed request is made again.
    pub retries: u32,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Layers that are downloaded at the same time.
    pub parallel: usize,
    /// What a layer may hold.
    pub limits: Limits,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For an answer to begin, and for more of it to come.
    pub stall: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            plain_http: Vec::new(),
            credentials: Credentials::default(),
            certificates: Vec::new(),
            certificate_folders: Vec::new(),
            retries: 4,
            timeouts: Timeouts { connect: Duration::from_secs(10), stall: Duration::from_secs(30) },
            parallel: 4,
            limits: Limits::default(),
        }
    }
}

/// A client of registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    mirrors: Vec<Mirror>,
    plain_http: Vec<String>,
    pub(crate) parallel: usize,
    pub(crate) limits: Limits,
}

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate file can't be read.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A certificate is malformed, or TLS can't be set up.
    #[error("connections can't be set up: {0}; check the certificate files")]
    Setup(String),
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// When a certificate can't be used.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| ClientError::Certificate { path: path.clone(), source })
        };
        let settings = Settings {
            credentials: options.credentials,
            certificates: options.certificates.iter().map(read).collect::<Result<_, _>>()?,
            certificate_folders: options.certificate_folders,
            retries: options.retries,
            connect: options.timeouts.connect,
            stall: options.timeouts.stall,
        };
        let transport = Transport::new(settings).map_err(|error| ClientError::Setup(error.to_string()))?;
        Ok(Self {
            transport: Arc::new(transport),
            mirrors: options.mirrors,
            plain_http: options.plain_http,
            parallel: options.parallel.max(1),
            limits: options.limits,
        })
    }

    /// The manifest that `reference` means for `platform`.
    ///
    /// # Errors
    /// When no place has it, or what it has is refused.
    pub async fn resolve(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Resolved, ResolveError> {
        self.resolve_telling(reference, platform, &()).await
    }

    pub(crate) async fn resolve_telling(
        &self,
        reference: &Reference,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Resolved, ResolveError> {
        let ask = async |endpoint: &Endpoint| {
            resolve::resolve(&self.transport, endpoint, reference, platform, progress).await
        };
        self.ask_in_turn(reference, progress, ask).await
    }

    /// Where `reference` is written.
    pub(crate) fn origin(&self, reference: &Reference) -> Endpoint {
        origin(reference, &self.mirrors, &self.plain_http).expect("a reference has a registry")
    }

    /// What the first place has that can help; the last place's error when none can.
    pub(crate) async fn ask_in_turn<T, E: std::fmt::Display>(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
        ask: impl AsyncFn(&Endpoint) -> Result<T, E>,
    ) -> Result<T, E> {
        let endpoints = endpoints(reference, &self.mirrors, &self.plain_http);
        let (registry, mirrors) = endpoints.split_last().expect("a reference has a registry");
        for mirror in mirrors {
            match ask(mirror).await {
                Ok(found) => return Ok(found),
                Err(error) => {
                    let reason = error.to_string();
                    progress.event(Event::MirrorFailed { url: mirror.base.as_str(), reason: &reason });
                }
            }
        }
        ask(registry).await
    }
}
