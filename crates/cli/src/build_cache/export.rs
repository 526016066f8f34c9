//! The cache of a build, written where other machines find it.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use minato_build::Built;
use minato_build::cache_exchange::{
    ARTIFACT_TYPE, CONFIG_TYPE, CacheRecords, INLINE_ANNOTATION, UsedCache, UsedMount,
};
use minato_oci::export::{Annotation, Document, Packed};
use minato_oci::layout::{self, Item};
use minato_oci::{Descriptor, Digest, Manifest, Reference, Store, StoreError, media_type};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{CachePlace, CacheTo};
use crate::adapter::PullProgress;
use crate::machine::Machine;
use crate::print::Printer;

/// Writes the cache of the builds of one export to where each of `targets` says.
pub async fn export(
    machine: &Machine,
    store: &Store,
    printer: &Printer,
    targets: &[CacheTo],
    built: &[Built],
) -> anyhow::Result<()> {
    for target in targets {
        let written = write(machine, store, printer, target, built).await;
        match written.with_context(|| format!("cache {}", target.place)) {
            Err(error) if target.ignore_error => printer.warning(&format!("{error:#}")),
            result => result?,
        }
    }
    Ok(())
}

/// For `type=inline`: what the manifest of each image says of its own layers.
pub fn inline(targets: &[CacheTo], built: &[Built]) -> Vec<Annotation> {
    if targets.iter().all(|target| target.place != CachePlace::Inline) {
        return Vec::new();
    }
    let annotation = |built: &Built| {
        let config = &built.image.config;
        let records = built.used_cache.inline(&config.rootfs.diff_ids);
        let json = String::from_utf8_lossy(&records.to_json()).into_owned();
        Annotation::of_manifest(config.platform(), INLINE_ANNOTATION, json)
    };
    built.iter().map(annotation).collect()
}

async fn write(
    machine: &Machine,
    store: &Store,
    printer: &Printer,
    target: &CacheTo,
    built: &[Built],
) -> anyhow::Result<()> {
    if target.place == CachePlace::Inline {
        return Ok(());
    }
    let packed = tokio::task::block_in_place(|| pack(store, target, built))?;
    match &target.place {
        CachePlace::Inline => Ok(()),
        CachePlace::Folder(folder, name) => {
            tokio::task::block_in_place(|| replace_folder(store, &packed, folder, name))
        }
        CachePlace::Registry(reference) => {
            let client = machine.registry_client()?;
            let progress = PullProgress::new(printer, "cache to", reference);
            let pushed = client.push_packed(&packed, reference, store, &progress).await;
            progress.end(pushed.is_ok());
            Ok(pushed.map(drop)?)
        }
    }
}

/// The cache's manifest, config and layers.
fn pack(store: &Store, target: &CacheTo, built: &[Built]) -> anyhow::Result<Packed> {
    let mut used = UsedCache::default();
    built.iter().for_each(|built| used.extend(&built.used_cache));
    let of_images: Vec<Digest> =
        built.iter().flat_map(|built| built.image.config.rootfs.diff_ids.clone()).collect();
    let mut records = used.records(target.mode, &of_images);
    let mut layers = Vec::new();
    for diff_id in &records.layers {
        let layer = store.layer(diff_id)?.ok_or(StoreError::NoLayer(*diff_id))?;
        layers.push(store.export_layer(&layer, target.encoding)?);
    }
    for mount in used.mounts.iter().filter(|_| target.mounts) {
        layers.push(pack_mount(store, target, mount, &mut records)?);
    }
    let config = records.to_json();
    let config = Descriptor::new(CONFIG_TYPE, store.put_blob(&config)?, config.len() as u64);
    let manifest = manifest(config.clone(), layers.clone());
    layers.push(config);
    Ok(Packed::of_document(manifest, layers))
}

/// The folder of a cache mount, which no step changes meanwhile.
fn pack_mount(
    store: &Store,
    target: &CacheTo,
    mount: &UsedMount,
    records: &mut CacheRecords,
) -> anyhow::Result<Descriptor> {
    let lock = fs::File::open(mount.path.with_extension("lock"))?;
    lock.lock()?;
    let (diff_id, blob) = store.pack_tree(&mount.path, target.encoding)?;
    records.add_mount(&mount.name, diff_id);
    Ok(blob)
}

fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Document {
    let mut other = serde_json::Map::new();
    other.insert("artifactType".to_owned(), ARTIFACT_TYPE.into());
    let manifest = Manifest {
        media_type: media_type::MANIFEST.to_owned(),
        config,
        layers,
        annotations: Default::default(),
        other,
    };
    Document::of(media_type::MANIFEST, &manifest)
}

/// The new cache takes the place of the old one when it is whole.
fn replace_folder(store: &Store, packed: &Packed, folder: &Path, name: &str) -> anyhow::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let staged = tempfile::Builder::new().prefix(".minato-cache-").tempdir_in(parent)?;
    let new = staged.path().join("new");
    let names = [format!("cache:{name}").parse::<Reference>()?];
    layout::write_folder(store, &[Item::new(packed, &names)], &new)?;
    // One step where there is an old one, which then goes with the staging folder.
    match renameat_with(CWD, &new, CWD, folder, RenameFlags::EXCHANGE) {
        Err(Errno::NOENT) => Ok(fs::rename(&new, folder)?),
        exchanged => Ok(exchanged.map_err(io::Error::from)?),
    }
}
