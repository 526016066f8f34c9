//! A cache of another machine, opened before a build.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use minato_build::FetchError;
use minato_build::cache_exchange::{
    ARTIFACT_TYPE, CONFIG_TYPE, CacheRecords, INLINE_ANNOTATION, ImportedCache, LayerSource,
};
use minato_oci::layer::Limits;
use minato_oci::layout::Contents;
use minato_oci::{
    Descriptor, Digest, ImageConfig, Layer, Manifest, ManifestDocument, Platform, Reference, Store,
};
use minato_registry::Client;
use tokio::runtime::Handle;

use super::{CacheFrom, CachePlace};
use crate::machine::Machine;
use crate::print::Printer;

const CONFIG_LIMIT: u64 = 32 << 20;

/// The caches that are there. One that is not costs time only, and is said.
pub async fn import(
    machine: &Machine,
    store: &Store,
    printer: &Printer,
    from: &[CacheFrom],
    platforms: &[Platform],
) -> anyhow::Result<Vec<ImportedCache>> {
    let mut caches = Vec::new();
    for CacheFrom(place) in from {
        for opened in open(machine, store, place, platforms).await? {
            match opened {
                Ok(cache) => caches.push(cache),
                Err(error) => printer.warning(&format!("cache {place}: {error:#}; building without it")),
            }
        }
    }
    Ok(caches)
}

type Opened = anyhow::Result<ImportedCache>;

async fn open(
    machine: &Machine,
    store: &Store,
    place: &CachePlace,
    platforms: &[Platform],
) -> anyhow::Result<Vec<Opened>> {
    match place {
        CachePlace::Inline => Ok(Vec::new()),
        CachePlace::Folder(folder, name) => Ok(vec![of_folder(store, folder, name)]),
        CachePlace::Registry(reference) => {
            let client = machine.registry_client()?;
            let registry = Registry { client, reference: reference.clone(), store: store.clone() };
            Ok(of_registry(&Arc::new(registry), platforms).await)
        }
    }
}

fn of_folder(store: &Store, folder: &Path, name: &str) -> Opened {
    let contents = Contents::open(folder)?;
    let document = contents.document(Some(name))?;
    let ManifestDocument::Manifest(manifest) = ManifestDocument::parse(&document.bytes, None)? else {
        return Err(anyhow!("it is an index, and no cache"));
    };
    let config = contents.read_blob(checked(&manifest)?, CONFIG_LIMIT)?;
    let records = CacheRecords::parse(&config, None)?;
    let source = Folder { contents, store: store.clone() };
    cache(&folder.display().to_string(), records, manifest.layers, source)
}

/// The cache itself, or those of the images of an index.
async fn of_registry(registry: &Arc<Registry>, platforms: &[Platform]) -> Vec<Opened> {
    match registry.client.document(&registry.reference, &()).await {
        Err(error) => vec![Err(error.into())],
        Ok(found) => match found.document {
            ManifestDocument::Manifest(manifest) => vec![of_manifest(registry, *manifest).await],
            ManifestDocument::Index(index) => {
                let mut opened = Vec::new();
                for platform in platforms {
                    let Some(entry) = index.select(platform) else { continue };
                    let reference = registry.reference.with_digest(entry.digest);
                    opened.push(match registry.client.resolve(&reference, platform).await {
                        Ok(resolved) => of_manifest(registry, resolved.manifest).await,
                        Err(error) => Err(error.into()),
                    });
                }
                opened
            }
        },
    }
}

async fn of_manifest(registry: &Arc<Registry>, manifest: Manifest) -> Opened {
    let name = registry.reference.familiar();
    let config = |descriptor: Descriptor| async move {
        registry.client.blob(&registry.reference, &descriptor, CONFIG_LIMIT, &()).await
    };
    let records = match manifest.annotations.get(INLINE_ANNOTATION) {
        Some(inline) => {
            let image: ImageConfig = serde_json::from_slice(&config(manifest.config.clone()).await?)?;
            CacheRecords::parse(inline.as_bytes(), Some(&image.rootfs.diff_ids))?
        }
        None => CacheRecords::parse(&config(checked(&manifest)?.clone()).await?, None)?,
    };
    cache(&name, records, manifest.layers, Shared(registry.clone(), Handle::current()))
}

/// The config of a manifest that says it is a cache.
fn checked(manifest: &Manifest) -> anyhow::Result<&Descriptor> {
    let kind = manifest.other.get("artifactType").and_then(|kind| kind.as_str());
    if kind != Some(ARTIFACT_TYPE) || manifest.config.media_type != CONFIG_TYPE {
        return Err(anyhow!("it is no cache of minato"));
    }
    Ok(&manifest.config)
}

fn cache(
    name: &str,
    records: CacheRecords,
    layers: Vec<Descriptor>,
    source: impl LayerSource + 'static,
) -> Opened {
    let cache = ImportedCache::new(name, records, layers, source);
    cache.ok_or_else(|| anyhow!("its config and its manifest have different numbers of layers"))
}

struct Folder {
    contents: Contents,
    store: Store,
}

impl LayerSource for Folder {
    fn fetch(&self, blob: &Descriptor, diff_id: &Digest) -> Result<Layer, FetchError> {
        let layer = self.contents.layer(&self.store, blob, diff_id, Limits::default());
        layer.map_err(|error| FetchError(error.into()))
    }
}

struct Registry {
    client: Client,
    reference: Reference,
    store: Store,
}

struct Shared(Arc<Registry>, Handle);

impl LayerSource for Shared {
    fn fetch(&self, blob: &Descriptor, diff_id: &Digest) -> Result<Layer, FetchError> {
        let Shared(registry, handle) = self;
        let Registry { client, reference, store } = &**registry;
        let layer = handle.block_on(client.layer(reference, blob, diff_id, store, &()));
        layer.map_err(|error| FetchError(error.into()))
    }
}
