//! Images that were built, brought to where they were asked for.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use minato_build::{Built, Request};
use minato_oci::export::{Annotation, Artifact, Attached, Documents, Export};
use minato_oci::layer::write_merged_tar;
use minato_oci::layout::{self, ArchiveForm, Item};
use minato_oci::{Descriptor, Image, Platform, Reference, Store};
use minato_registry::PushError;

use super::{Answer, BuildOutputs, Kind, Place, Target, root_folder};
use crate::adapter::PullProgress;
use crate::attestation::Attestations;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

const BUFFER: usize = 256 << 10;

/// What writing outputs needs around it.
pub struct Outlet<'a> {
    pub machine: &'a Machine,
    pub printer: &'a Printer,
    pub store: &'a Store,
    pub request: &'a Request,
    /// One for each platform.
    pub built: &'a [Built],
    pub images: &'a [Image],
    /// Remarks on every export.
    pub annotations: &'a [Annotation],
    /// What `--tag` says.
    pub references: &'a [Reference],
}

impl Outlet<'_> {
    /// Brings the images to every target, in the order in which they were given.
    pub async fn write_all(&self, outputs: &BuildOutputs) -> Result<Answer, Failure> {
        let named = if outputs.names_images() { self.references.to_vec() } else { Vec::new() };
        let mut answer = Answer::new(self.images, named);
        for target in &outputs.targets {
            self.write(target, &outputs.attestations, &mut answer).await?;
        }
        Ok(answer)
    }

    async fn write(
        &self,
        target: &Target,
        attestations: &Attestations,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        match &target.kind {
            Kind::Nowhere => {}
            Kind::Image { push } => {
                self.tag(self.names(target))?;
                if *push {
                    self.push(target, attestations, answer).await?;
                }
            }
            Kind::RootFolder(folder) => self.root_folders(folder)?,
            Kind::RootTar(place) => self.root_tar(place)?,
            Kind::Layout(folder) => self.layout(target, attestations, answer, |items| {
                layout::write_folder(self.store, items, folder).map_err(Into::into)
            })?,
            Kind::Archive { place, docker } => {
                let form = if *docker { ArchiveForm::Docker } else { ArchiveForm::Oci };
                // `docker load` knows nothing of them.
                let none = Attestations::default();
                let attestations = if *docker { &none } else { attestations };
                self.layout(target, attestations, answer, |items| {
                    to(place, |out| Ok(layout::write_archive(self.store, items, form, out).map(drop)?))
                })?;
            }
        }
        Ok(())
    }

    fn names<'t>(&'t self, target: &'t Target) -> &'t [Reference] {
        if target.names.is_empty() { self.references } else { &target.names }
    }

    /// The first image that runs here is what the tag means without a platform.
    fn tag(&self, names: &[Reference]) -> anyhow::Result<()> {
        let host = Platform::host();
        let here = self.images.iter().position(|image| host.rank(&image.config.platform()).is_some());
        let mut ids: Vec<_> = self.images.iter().map(|image| image.id).collect();
        ids.swap(0, here.unwrap_or(0));
        for name in names {
            self.store.tag_all(name, &ids[0], &ids[1..])?;
            self.printer.line(&format!("{} is {}", name.familiar(), ids[0]));
        }
        Ok(())
    }

    fn export(&self, target: &Target) -> anyhow::Result<Export> {
        let mut options = target.options.clone();
        options.annotations.extend_from_slice(self.annotations);
        Ok(Export::plan(self.store, self.images, options)?)
    }

    async fn push(
        &self,
        target: &Target,
        attestations: &Attestations,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let export = self.export(target)?;
        let client = self.machine.registry_client()?;
        for name in self.names(target) {
            let progress = PullProgress::new(self.printer, "push", name);
            let pushed = match target.by_digest {
                true => client.push_by_digest(&export, name, self.store, &progress).await,
                false => client.push_export(&export, name, self.store, &progress).await,
            };
            progress.end(pushed.is_ok());
            let pushed = pushed.map_err(refused)?;
            for (subject, artifact) in self.artifacts(target, attestations, &pushed.documents)? {
                client.attach(name, &subject, &artifact, &()).await.map_err(refused)?;
            }
            answer.exported(&pushed.documents.root().descriptor);
            answer.pushed.push(pushed.reference);
        }
        Ok(())
    }

    fn layout(
        &self,
        target: &Target,
        attestations: &Attestations,
        answer: &mut Answer,
        write: impl FnOnce(&[Item<'_>]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| {
            let packed = self.export(target)?.pack(self.store)?;
            let artifacts = self.artifacts(target, attestations, &packed.documents)?;
            let attached: Vec<Attached> =
                artifacts.iter().map(|(subject, artifact)| artifact.attached_to(subject)).collect();
            write(&[Item { packed: &packed, names: self.names(target), attached: &attached }])?;
            answer.exported(&packed.root().descriptor);
            Ok(())
        })
    }

    /// What is attached to the manifest of each platform.
    fn artifacts(
        &self,
        target: &Target,
        attestations: &Attestations,
        documents: &Documents,
    ) -> anyhow::Result<Vec<(Descriptor, Artifact)>> {
        let mut all = Vec::new();
        for manifest in documents.manifests.iter().filter(|_| !attestations.is_empty()) {
            let subject = &manifest.descriptor;
            // An export has its platforms in an order of its own.
            let is_of = |built: &&Built| Some(built.image.config.platform()) == subject.platform;
            let built = self.built.iter().find(is_of).unwrap_or(&self.built[0]);
            let names = self.names(target);
            let artifacts = attestations.artifacts(self.store, self.request, built, names, subject)?;
            all.extend(artifacts.into_iter().map(|artifact| (subject.clone(), artifact)));
        }
        Ok(all)
    }

    /// Of several platforms each has a folder of its own, named as buildx names it.
    fn root_folders(&self, folder: &Path) -> anyhow::Result<()> {
        for image in self.images {
            let own = image.config.platform().to_string().replace('/', "_");
            let folder = if self.images.len() > 1 { folder.join(own) } else { folder.to_owned() };
            let written = tokio::task::block_in_place(|| root_folder::write(self.store, image, &folder));
            written.with_context(|| format!("--output {}", folder.display()))?;
        }
        Ok(())
    }

    fn root_tar(&self, place: &Place) -> anyhow::Result<()> {
        let [image] = self.images else {
            return Err(anyhow!("type=tar holds one platform; use type=local or type=oci for several"));
        };
        let layers = self.store.image_layers(image)?;
        let trees: Vec<_> = layers.into_iter().map(|layer| layer.path).collect();
        tokio::task::block_in_place(|| to(place, |out| Ok(write_merged_tar(&trees, out).map(drop)?)))
    }
}

/// Writes to a file that appears when it is whole, or to standard output, which must be no terminal.
fn to(place: &Place, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let Place::File(path) = place else {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(anyhow!("an archive is not written to a terminal; name a file with dest="));
        }
        let mut out = BufWriter::with_capacity(BUFFER, stdout.lock());
        write(&mut out)?;
        return Ok(out.flush()?);
    };
    let wrote = || -> anyhow::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let permissions = std::fs::Permissions::from_mode(0o666);
        let file =
            tempfile::Builder::new().prefix(".minato-").permissions(permissions).tempfile_in(folder)?;
        let mut out = BufWriter::with_capacity(BUFFER, File::try_clone(file.as_file())?);
        write(&mut out)?;
        out.flush()?;
        file.persist(path)?;
        Ok(())
    };
    wrote().with_context(|| path.display().to_string())
}

/// What a registry refuses is an answer; that it can't be reached is none.
fn refused(error: PushError) -> Failure {
    match error {
        PushError::Request(ref request) if request.is_refusal() => Failure::Refused(error.into()),
        other => Failure::Error(other.into()),
    }
}
