//! What a build is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use minato_oci::Platform;
use minato_resource::SourceFile;

use crate::cache_exchange::ImportedCache;
use crate::contexts::Contexts;
use crate::executor::{StepNetwork, Surroundings};
use crate::remote::RemoteSettings;

/// One build: a Dockerfile, the folder it copies from, and what the command line says.
#[derive(Clone, Debug)]
pub struct Request {
    /// The folder that COPY and ADD read.
    pub context: PathBuf,
    /// The Dockerfile's text and where it was found; need not lie in the context.
    pub dockerfile: Arc<SourceFile>,
    /// `<Dockerfile>.dockerignore` if it exists, else the context's `.dockerignore`, else nothing is ignored.
    pub ignore: Option<Arc<SourceFile>>,
    /// The stage to build, by name or number; the last one when absent.
    pub target: Option<String>,
    /// `--build-arg`. The proxy arguments reach RUN even where no ARG declares them, and never the cache key.
    pub arguments: BTreeMap<String, String>,
    /// Labels added to those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// The platform of the image.
    pub platform: Platform,
    /// Run every step again, whatever the cache knows.
    pub no_cache: bool,
    /// Ask the registries for base images even where the store has them.
    pub pull: bool,
    /// Seconds since 1970 for `created` and the files of new layers, as `SOURCE_DATE_EPOCH` says.
    pub source_date_epoch: Option<i64>,
    /// Seconds since 1970 for `created` of the image and its history, the commit's time for example. Files keep out
    /// of it, so that a new commit does not change the layers that it did not touch.
    pub created: Option<i64>,
    /// What RUN steps see and the image does not.
    pub pass_through: PassThrough,
    /// What `RUN --mount=type=secret` may ask for, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of SSH agents that `RUN --mount=type=ssh` may ask for, by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// Caches of other machines, asked in this order for what this machine's does not know.
    pub cache_imports: Vec<ImportedCache>,
    /// The network of RUN steps that say nothing themselves.
    pub network: StepNetwork,
    /// What RUN steps have around them.
    pub surroundings: Surroundings,
    /// Whether `RUN --security=insecure` is done.
    pub allow_insecure: bool,
    /// `--build-context`: what names mean instead of stages and images.
    pub contexts: Contexts,
    /// How the servers are reached that ADD and build contexts name.
    pub remotes: RemoteSettings,
}

impl Request {
    /// A build with nothing but the defaults.
    pub fn new(context: PathBuf, dockerfile: Arc<SourceFile>) -> Self {
        Self {
            context,
            dockerfile,
            ignore: None,
            target: None,
            arguments: BTreeMap::new(),
            labels: BTreeMap::new(),
            platform: Platform::host(),
            no_cache: false,
            pull: false,
            source_date_epoch: None,
            created: None,
            pass_through: PassThrough::default(),
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
            cache_imports: Vec::new(),
            network: StepNetwork::default(),
            surroundings: Surroundings::default(),
            allow_insecure: false,
            contexts: Contexts::default(),
            remotes: RemoteSettings::default(),
        }
    }
}

/// A value that is never printed, never part of a key and never part of a layer.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Its value.
    pub fn new(value: Vec<u8>) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What RUN steps see while they run. None of it reaches the image, its history or a cache key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassThrough {
    /// Variables such as `HTTPS_PROXY` or `NODE_EXTRA_CA_CERTS`. What the Dockerfile sets wins.
    pub environment: BTreeMap<String, String>,
    /// Files of this machine, mounted read-only: a CA bundle, say.
    pub files: Vec<PassedFile>,
}

/// A file of this machine that RUN steps can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedFile {
    /// The file here.
    pub source: PathBuf,
    /// Its absolute path in the step.
    pub target: PathBuf,
}
