//! Copies from and to the images of this machine, and archives: by way of the store.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, anyhow};
use minato_oci::export::{Export, ExportOptions, Packed};
use minato_oci::layout::{self, ArchiveForm, Item, Selection};
use minato_oci::{Digest, Image, Platform, Reference, Store};
use minato_registry::Place;

use super::{failure, name_of};
use crate::adapter::PullProgress;
use crate::arguments::CopyArguments;
use crate::exit::Failure;
use crate::image_place::ImagePlace;
use crate::machine::Machine;
use crate::print::Printer;

/// Tells the digest of what the target names now: of a local image its identity, elsewhere of its manifest or index.
pub async fn copy(
    machine: &Machine,
    printer: &Printer,
    arguments: &CopyArguments,
    source: &ImagePlace,
    target: &ImagePlace,
    platform: Option<Platform>,
) -> Result<Digest, Failure> {
    let store = machine.store()?;
    // Nothing that is on its way is taken for garbage.
    let _lease = store.lease().map_err(anyhow::Error::from)?;
    let transfer = Transfer { machine, printer, arguments, store, platform };
    let (images, names) = transfer.take(source).await?;
    let name = name_of(target).or_else(|| names.into_iter().next());
    transfer.bring(&images, target, name).await
}

struct Transfer<'a> {
    machine: &'a Machine,
    printer: &'a Printer,
    arguments: &'a CopyArguments,
    store: Store,
    platform: Option<Platform>,
}

impl Transfer<'_> {
    /// The images in the store, and what they were called where they come from.
    async fn take(&self, source: &ImagePlace) -> Result<(Vec<Image>, Vec<Reference>), Failure> {
        match source {
            ImagePlace::Local(reference) => Ok((self.local(reference)?, vec![reference.clone()])),
            ImagePlace::Archive { file, name } => self.read(file, name.as_ref().map(ToString::to_string)),
            ImagePlace::Documents(Place::Layout { folder, name }) => self.read(folder, name.clone()),
            ImagePlace::Documents(Place::Registry(reference)) => {
                let progress = PullProgress::new(self.printer, "pull", reference);
                let client = self.machine.registry_client()?;
                let pulled = client.pull(reference, &self.platform(), &self.store, &progress).await;
                progress.end(pulled.is_ok());
                Ok((vec![pulled.map_err(anyhow::Error::from)?], vec![reference.clone()]))
            }
        }
    }

    fn local(&self, reference: &Reference) -> anyhow::Result<Vec<Image>> {
        let missing =
            || anyhow!("{}: not on this machine (`minato images` lists what is here)", reference.familiar());
        if let Some(platform) = &self.platform {
            let image = self.store.resolve_for(reference, platform)?;
            return Ok(vec![image.ok_or_else(missing)?]);
        }
        let mut images = Vec::new();
        for id in self.store.tagged_images(reference)? {
            images.push(self.store.image(&id)?.ok_or_else(missing)?);
        }
        if images.is_empty() { Err(missing()) } else { Ok(images) }
    }

    fn read(&self, path: &Path, name: Option<String>) -> Result<(Vec<Image>, Vec<Reference>), Failure> {
        let selection = Selection { name, platform: self.platform(), ..Selection::only() };
        let loaded = layout::read(&self.store, path, &selection).map_err(anyhow::Error::from)?;
        Ok((vec![loaded.image], loaded.names))
    }

    async fn bring(
        &self,
        images: &[Image],
        target: &ImagePlace,
        name: Option<Reference>,
    ) -> Result<Digest, Failure> {
        match target {
            ImagePlace::Local(reference) => Ok(self.tag(images, reference)?),
            ImagePlace::Archive { file, .. } => Ok(self.write_archive(images, file, name)?),
            ImagePlace::Documents(Place::Layout { folder, .. }) => {
                let packed = self.pack(images)?;
                let names: Vec<Reference> = name.into_iter().collect();
                let written = layout::write_folder(&self.store, &[Item::new(&packed, &names)], folder);
                written.map_err(anyhow::Error::from)?;
                Ok(packed.root().descriptor.digest)
            }
            ImagePlace::Documents(Place::Registry(reference)) => self.push(images, reference).await,
        }
    }

    fn tag(&self, images: &[Image], reference: &Reference) -> anyhow::Result<Digest> {
        let [first, others @ ..] = images else { return Err(anyhow!("there is no image")) };
        let others: Vec<Digest> = others.iter().map(|image| image.id).collect();
        let more = self.arguments.tag.iter().map(|tag| reference.with_tag(tag));
        for reference in std::iter::once(Ok(reference.clone())).chain(more) {
            self.store.tag_all(&reference?, &first.id, &others)?;
        }
        Ok(first.id)
    }

    fn write_archive(
        &self,
        images: &[Image],
        file: &Path,
        name: Option<Reference>,
    ) -> anyhow::Result<Digest> {
        let packed = self.pack(images)?;
        let names: Vec<Reference> = name.into_iter().collect();
        let shown = || file.display().to_string();
        // Beside its place until it is whole.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let whole = file.with_extension("part");
        std::fs::create_dir_all(folder).with_context(shown)?;
        let out = std::io::BufWriter::new(File::create(&whole).with_context(shown)?);
        let written =
            layout::write_archive(&self.store, &[Item::new(&packed, &names)], ArchiveForm::Docker, out)
                .map_err(anyhow::Error::from)
                .and_then(|out| Ok(out.into_inner().map_err(std::io::IntoInnerError::into_error)?))
                .and_then(|_| Ok(std::fs::rename(&whole, file)?));
        if written.is_err() {
            let _ = std::fs::remove_file(&whole);
        }
        written.with_context(shown)?;
        Ok(packed.root().descriptor.digest)
    }

    async fn push(&self, images: &[Image], reference: &Reference) -> Result<Digest, Failure> {
        let export = self.plan(images)?;
        let client = self.machine.registry_client()?;
        let more = self.arguments.tag.iter().map(|tag| reference.with_tag(tag));
        let mut digest = None;
        for reference in std::iter::once(Ok(reference.clone())).chain(more) {
            let reference = reference.map_err(anyhow::Error::from)?;
            let progress = PullProgress::new(self.printer, "push", &reference);
            let pushed = client.push_export(&export, &reference, &self.store, &progress).await;
            progress.end(pushed.is_ok());
            digest = Some(pushed.map_err(|error| failure(error.into()))?.digest);
        }
        Ok(digest.expect("a push has at least one reference"))
    }

    fn pack(&self, images: &[Image]) -> anyhow::Result<Packed> {
        Ok(self.plan(images)?.pack(&self.store)?)
    }

    fn plan(&self, images: &[Image]) -> anyhow::Result<Export> {
        let encoding = self.arguments.compression.encoding().context("--compression-level")?;
        let options = ExportOptions { encoding, ..ExportOptions::default() };
        Ok(Export::plan(&self.store, images, options)?)
    }

    fn platform(&self) -> Platform {
        self.platform.clone().unwrap_or_else(Platform::host)
    }
}
