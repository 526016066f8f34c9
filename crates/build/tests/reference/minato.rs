//! The builder under test, with a store of its own.

use std::fs::File;
use std::path::{Path, PathBuf};

use minato_build::{Builder, Cancelled, ContainerExecutor, Offline, Recorder, Request, Secret};
use minato_oci::layer::{Compression, Limits};
use minato_oci::{Image, ImageConfig, Store};
use minato_runtime::Engine;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::cases::{Case, read};

pub struct Minato {
    store: Store,
    executor: ContainerExecutor,
    folder: PathBuf,
}

impl Minato {
    pub fn new(folder: &Path) -> Self {
        let store = Store::open(&folder.join("store")).unwrap();
        let executor = ContainerExecutor::new(&folder.join("run"), Engine::Embedded).unwrap();
        Self { store, executor, folder: folder.to_owned() }
    }

    pub fn build(&self, case: &Case, context: &Path) -> Result<Image, String> {
        let mut request = Request::new(context.to_owned(), read(&case.dockerfile()));
        request.ignore = case.ignore(context);
        request.arguments = case.arguments();
        request.target = case.target();
        request.labels = case.labels();
        let secrets = case.secrets().into_iter();
        request.secrets = secrets.map(|(id, value)| (id, Secret::new(value.into_bytes()))).collect();
        let progress = Recorder::default();
        let builder = Builder {
            store: &self.store,
            cache: &self.folder.join("cache"),
            executor: &self.executor,
            bases: &Offline::default(),
            progress: &progress,
            cancelled: Cancelled::default(),
        };
        let first =
            builder.build(&request).map_err(|error| format!("{error}\n{}", progress.lines().join("\n")))?;
        let again = builder.build(&request).map_err(|error| format!("the second time: {error}"))?;
        let missed: Vec<String> =
            again.steps.iter().filter(|step| !step.cached).map(|step| step.name.to_string()).collect();
        match missed.is_empty() && first.image.id == again.image.id {
            true => Ok(first.image),
            false => Err(format!("the second build was not all from the cache: {missed:?}")),
        }
    }

    /// Takes an image that `docker save` wrote and `tar` unpacked.
    pub fn import(&self, saved: &Path) -> Image {
        let manifest: serde_json::Value = json(&saved.join("manifest.json"));
        let path = |value: &serde_json::Value| saved.join(value.as_str().expect("a path"));
        let config = std::fs::read(path(&manifest[0]["Config"])).unwrap();
        let parsed: ImageConfig = serde_json::from_slice(&config).unwrap();
        let layers = manifest[0]["Layers"].as_array().map_or(&[][..], Vec::as_slice);
        for (layer, diff_id) in layers.iter().zip(&parsed.rootfs.diff_ids) {
            let archive = File::open(path(layer)).unwrap();
            self.store.unpack_layer(archive, Compression::None, diff_id, Limits::default()).unwrap();
        }
        self.store.save_image_json(&config).unwrap()
    }

    pub fn tag(&self, name: &str, image: &Image) {
        self.store.tag(&name.parse().unwrap(), &image.id).unwrap();
    }

    /// The image's root file system, until it is dropped.
    pub fn mount(&self, image: &Image) -> Mounted {
        let folder = tempfile::tempdir_in(&self.folder).unwrap();
        let layers = self.store.image_layers(image).unwrap();
        let mut lowers: Vec<PathBuf> = Vec::new();
        // Two empty folders at the bottom: one folder alone is no overlay. Overlayfs takes no folder twice.
        let empty = ["empty-1", "empty-2"].map(|name| self.folder.join(name));
        empty.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        for lower in layers.into_iter().rev().map(|layer| layer.path).chain(empty) {
            if !lowers.contains(&lower) {
                lowers.push(lower);
            }
        }
        let lowers: Vec<String> = lowers.iter().map(|lower| lower.display().to_string()).collect();
        let options = std::ffi::CString::new(format!("lowerdir={}", lowers.join(":"))).unwrap();
        mount("overlay", folder.path(), "overlay", MountFlags::RDONLY, options.as_c_str()).unwrap();
        Mounted(folder)
    }
}

fn json(place: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(place).unwrap()).unwrap()
}

pub struct Mounted(tempfile::TempDir);

impl Mounted {
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}
