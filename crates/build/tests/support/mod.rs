//! A context to fill, a store and a cache to build into, and steps that are functions.
#![allow(dead_code, missing_docs, clippy::unwrap_used)] // Each test program uses a part of it.

pub mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_build::{
    BuildError, Builder, Built, Cancelled, Executor, FakeExecutor, Offline, Recorder, Request,
};
use minato_oci::Store;
use minato_resource::SourceFile;

pub struct Workshop {
    folder: tempfile::TempDir,
    pub store: Store,
    pub executor: Box<dyn Executor>,
    pub progress: Recorder,
}

impl Workshop {
    pub fn new() -> Self {
        Self::with(FakeExecutor::default())
    }

    pub fn with(executor: impl Executor + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("context")).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store, executor: Box::new(executor), progress: Recorder::default() }
    }

    pub fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    pub fn write(&self, path: &str, content: &str) -> &Self {
        let place = self.context().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, content).unwrap();
        self
    }

    pub fn request(&self, dockerfile: &str) -> Request {
        let file = SourceFile::new("Dockerfile", dockerfile);
        let mut request = Request::new(self.context(), Arc::new(file));
        let ignore = self.context().join(".dockerignore");
        if let Ok(text) = std::fs::read_to_string(&ignore) {
            request.ignore = Some(Arc::new(SourceFile::new(".dockerignore", text)));
        }
        request
    }

    pub fn build(&self, dockerfile: &str) -> Result<Built, BuildError> {
        self.build_request(&self.request(dockerfile))
    }

    pub fn build_request(&self, request: &Request) -> Result<Built, BuildError> {
        let builder = Builder {
            store: &self.store,
            cache: &self.cache(),
            executor: self.executor.as_ref(),
            bases: &Offline::default(),
            progress: &self.progress,
            cancelled: Cancelled::default(),
        };
        builder.build(request)
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The real places of the image's layers, lowest first.
    pub fn layers(&self, built: &Built) -> Vec<PathBuf> {
        let layers = self.store.image_layers(&built.image).unwrap();
        layers.into_iter().map(|layer| layer.path).collect()
    }
}

/// `c` for a step from the cache, `.` for one that was done.
pub fn steps(built: &Built) -> String {
    built.steps.iter().map(|step| if step.cached { 'c' } else { '.' }).collect()
}
