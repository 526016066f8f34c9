//! What becomes of a build: `--output` and its short forms, understood once.
//!
//! ```text
//!  --output, --push, --load ─ parse ─► BuildOutputs ─ write ─► store, registries, files, stdout
//! ```

mod answer;
mod root_folder;
mod write;

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use minato_oci::export::{Annotation, ExportOptions, MediaTypes};
use minato_oci::layer::{Compression, Encoding};
use minato_oci::{Platform, Reference};

use crate::arguments::{BuildOutputArguments, Output};
use crate::attestation::Attestations;
use crate::build_cache::{CacheFrom, CacheTo};
use crate::fields::Fields;

pub use answer::Answer;
pub use write::Outlet;

/// Everything that a build is to give.
pub struct BuildOutputs {
    pub targets: Vec<Target>,
    /// How the answer is printed.
    pub format: Output,
    /// What is built for.
    pub platforms: Vec<Platform>,
    pub cache_from: Vec<CacheFrom>,
    pub cache_to: Vec<CacheTo>,
    pub attestations: Attestations,
}

/// One `--output`.
pub struct Target {
    pub kind: Kind,
    /// What it is called, where that is not what `--tag` says.
    pub names: Vec<Reference>,
    /// Whether it is pushed without a tag.
    pub by_digest: bool,
    pub options: ExportOptions,
}

/// Where an image goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Into the store, under its names; from there to their registries.
    Image { push: bool },
    /// An OCI layout in an archive; one that `docker load` takes, too.
    Archive { place: Place, docker: bool },
    /// An OCI layout in a folder.
    Layout(PathBuf),
    /// The files of its root file system.
    RootFolder(PathBuf),
    /// The same in a tar.
    RootTar(Place),
    /// Nowhere: the cache is all that was wanted.
    Nowhere,
}

/// A file, or standard output.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Stdout,
    File(PathBuf),
}

impl BuildOutputs {
    /// Reads what was typed.
    pub fn of(arguments: &BuildOutputArguments) -> anyhow::Result<Self> {
        let annotations = arguments.annotation.iter().map(|text| text.parse::<Annotation>());
        let annotations = annotations.collect::<Result<Vec<_>, _>>().context("--annotation")?;
        let (mut targets, mut format) = (Vec::new(), Output::Table);
        for text in &arguments.output {
            match text.as_str() {
                "json" => format = Output::Json,
                "yaml" => format = Output::Yaml,
                "table" => format = Output::Table,
                _ => targets.push(target(text).with_context(|| format!("--output {text}"))?),
            }
        }
        add_short_forms(&mut targets, arguments)?;
        for target in &mut targets {
            target.options.annotations.splice(0..0, annotations.iter().cloned());
        }
        let to_stdout = |target: &&Target| {
            matches!(target.kind, Kind::Archive { place: Place::Stdout, .. } | Kind::RootTar(Place::Stdout))
        };
        if targets.iter().filter(to_stdout).count() > 1 {
            bail!("--output: only one of several outputs can go to standard output");
        }
        let cache_from = arguments.cache_from.iter().map(|text| CacheFrom::parse(text));
        let cache_to = arguments.cache_to.iter().map(|text| CacheTo::parse(text));
        let (provenance, sbom) = (arguments.provenance.as_deref(), arguments.sbom.as_deref());
        let attestations = Attestations::parse(provenance, sbom, &arguments.attest)?;
        if !attestations.is_empty() && !targets.iter().any(Target::carries_attestations) {
            bail!(
                "provenance and SBOM are attached to what is pushed or written as type=oci, and nothing is"
            );
        }
        Ok(Self {
            attestations,
            targets,
            format,
            platforms: platforms(arguments)?,
            cache_from: cache_from.collect::<anyhow::Result<_>>()?,
            cache_to: cache_to.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Whether standard output belongs to an archive.
    pub fn takes_stdout(&self) -> bool {
        let takes = |target: &Target| {
            matches!(target.kind, Kind::Archive { place: Place::Stdout, .. } | Kind::RootTar(Place::Stdout))
        };
        self.targets.iter().any(takes)
    }

    /// Whether the image itself is wanted, and not only its files.
    pub fn names_images(&self) -> bool {
        self.targets.iter().any(|target| matches!(target.kind, Kind::Image { .. }))
    }
}

/// `--push` and `--load`, and what happens when nothing was said.
fn add_short_forms(targets: &mut Vec<Target>, arguments: &BuildOutputArguments) -> anyhow::Result<()> {
    if arguments.push {
        let image = targets.iter().position(|target| matches!(target.kind, Kind::Image { .. }));
        match image {
            Some(image) => targets[image].kind = Kind::Image { push: true },
            None if targets.is_empty() => targets.push(Target::of(Kind::Image { push: true })),
            None => bail!("--push means --output type=registry, and another --output was given; name both"),
        }
    }
    let is_kept = targets.iter().any(|target| matches!(target.kind, Kind::Image { .. }));
    if targets.is_empty() || (arguments.load && !is_kept) {
        targets.push(Target::of(Kind::Image { push: false }));
    }
    Ok(())
}

impl Target {
    fn carries_attestations(&self) -> bool {
        matches!(
            self.kind,
            Kind::Image { push: true } | Kind::Layout(_) | Kind::Archive { docker: false, .. }
        )
    }

    fn of(kind: Kind) -> Self {
        Self { kind, names: Vec::new(), by_digest: false, options: ExportOptions::default() }
    }
}

fn platforms(arguments: &BuildOutputArguments) -> anyhow::Result<Vec<Platform>> {
    let mut platforms = Vec::new();
    for text in &arguments.platform {
        let platform: Platform = text.trim().parse().context("--platform")?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.is_empty() {
        platforms.push(Platform::host());
    }
    Ok(platforms)
}

/// One `--output`: comma-separated fields, or a path, as buildx reads it.
fn target(text: &str) -> anyhow::Result<Target> {
    if text == "-" {
        return Ok(Target::of(Kind::RootTar(Place::Stdout)));
    }
    let mut fields = match Fields::parse(text)? {
        Some(fields) => fields,
        None => return Ok(Target::of(Kind::RootFolder(PathBuf::from(text)))),
    };
    let kind = fields.take("type").ok_or_else(|| anyhow!("it has no type="))?;
    let destination = fields.take("dest").or_else(|| fields.take("destination"));
    let push = fields.take_flag("push")?;
    let as_archive = fields.take_flag("tar")?.unwrap_or(true);
    let kind = kind_of(&kind, destination, push, as_archive)?;
    let by_digest = fields.take_flag("push-by-digest")?.unwrap_or(false);
    // Here a name is always printed with its registry and digest.
    fields.take_flag("name-canonical")?;
    if by_digest && kind != (Kind::Image { push: true }) {
        bail!("push-by-digest is for type=image,push=true");
    }
    let names = fields.take("name").unwrap_or_default();
    let names = names.split(',').filter(|name| !name.is_empty());
    let names = names.map(|name| Ok(name.trim().parse::<Reference>().context("name")?.with_default_tag()));
    let names = names.collect::<anyhow::Result<_>>()?;
    let options = export_options(&mut fields, &kind)?;
    fields.nothing_left()?;
    Ok(Target { kind, names, by_digest, options })
}

fn kind_of(
    kind: &str,
    destination: Option<String>,
    push: Option<bool>,
    as_archive: bool,
) -> anyhow::Result<Kind> {
    let path = |what: &str| match destination.as_deref() {
        None | Some("" | "-") => bail!("type={what} needs dest=PATH"),
        Some(path) => Ok(PathBuf::from(path)),
    };
    let place = |what: &str| match destination.as_deref() {
        Some("-") => Ok(Place::Stdout),
        _ => path(what).map(Place::File).context("dest=- writes to standard output"),
    };
    let kind = match (kind, as_archive) {
        ("image", _) => Kind::Image { push: push.unwrap_or(false) },
        ("registry", _) => Kind::Image { push: push.unwrap_or(true) },
        // Without a place buildx hands it to Docker; here the store is what runs images.
        ("docker", true) if destination.is_none() => Kind::Image { push: false },
        ("docker", true) => Kind::Archive { place: place("docker")?, docker: true },
        ("oci", true) => Kind::Archive { place: place("oci")?, docker: false },
        ("oci" | "docker", false) => Kind::Layout(path("oci")?),
        ("local", _) => Kind::RootFolder(path("local")?),
        ("tar", _) => Kind::RootTar(place("tar")?),
        ("cacheonly", _) => Kind::Nowhere,
        (other, _) => {
            bail!("type={other} is not one of image, registry, oci, docker, local, tar, cacheonly")
        }
    };
    if push.is_some() && !matches!(kind, Kind::Image { .. }) {
        bail!("push is for type=image");
    }
    Ok(kind)
}

fn export_options(fields: &mut Fields, kind: &Kind) -> anyhow::Result<ExportOptions> {
    let given = fields.take("compression");
    let force = fields.take_flag("force-compression")?;
    // Every version of Docker reads uncompressed layers.
    let is_docker = matches!(kind, Kind::Archive { docker: true, .. }) && given.is_none();
    let compression = match given.as_deref() {
        None if is_docker => Compression::None,
        None | Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        Some("uncompressed" | "none") => Compression::None,
        Some("estargz") => bail!("compression=estargz is not supported; use gzip or zstd"),
        Some(other) => bail!("compression={other} is not one of gzip, zstd, uncompressed"),
    };
    let level = fields
        .take("compression-level")
        .map(|text| text.parse::<u32>().with_context(|| format!("compression-level={text} is not a number")));
    let encoding = Encoding::new(compression, level.transpose()?)?;
    let is_oci = fields.take_flag("oci-mediatypes")?.unwrap_or(true);
    let media_types = if is_oci { MediaTypes::Oci } else { MediaTypes::Docker };
    // Files of new layers have one time anyhow, which SOURCE_DATE_EPOCH sets; those of bases keep theirs.
    fields.take_flag("rewrite-timestamp")?;
    let annotations = fields.take_annotations()?;
    Ok(ExportOptions { encoding, force: force.unwrap_or(is_docker), media_types, annotations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(output: &[&str], push: bool, load: bool) -> Result<Vec<Kind>, String> {
        let output = output.iter().map(|&text| text.to_owned()).collect();
        let arguments = BuildOutputArguments { output, push, load, ..Default::default() };
        let outputs = BuildOutputs::of(&arguments).map_err(|error| format!("{error:#}"))?;
        Ok(outputs.targets.into_iter().map(|target| target.kind).collect())
    }

    fn check(output: &[&str], expected: Kind) {
        assert_eq!(kinds(output, false, false).unwrap(), [expected], "{output:?}");
    }

    fn refused(output: &[&str], expected: &str) {
        let error = kinds(output, false, false).unwrap_err();
        assert!(error.contains(expected), "{output:?}: {error}");
    }

    #[test]
    fn outputs_mean_what_buildx_means() {
        check(&[], Kind::Image { push: false });
        check(&["json"], Kind::Image { push: false });
        check(&["type=image,push=true"], Kind::Image { push: true });
        check(&["type=registry"], Kind::Image { push: true });
        check(&["type=docker"], Kind::Image { push: false });
        let archive = |place, docker| Kind::Archive { place, docker };
        check(&["type=docker,dest=a.tar"], archive(Place::File("a.tar".into()), true));
        check(&["type=oci,dest=-"], archive(Place::Stdout, false));
        check(&["type=oci,dest=out,tar=false"], Kind::Layout("out".into()));
        check(&["type=local,dest=out"], Kind::RootFolder("out".into()));
        check(&["./out"], Kind::RootFolder("./out".into()));
        check(&["-"], Kind::RootTar(Place::Stdout));
        check(&["type=tar,dest=out.tar"], Kind::RootTar(Place::File("out.tar".into())));
        check(&["type=cacheonly"], Kind::Nowhere);
    }

    #[test]
    fn push_and_load_add_to_what_was_asked() {
        assert_eq!(kinds(&[], true, false).unwrap(), [Kind::Image { push: true }]);
        assert_eq!(kinds(&["type=image"], true, false).unwrap(), [Kind::Image { push: true }]);
        let both = kinds(&["out"], false, true).unwrap();
        assert_eq!(both, [Kind::RootFolder("out".into()), Kind::Image { push: false }]);
        assert!(kinds(&["out"], true, false).unwrap_err().contains("name both"));
    }

    #[test]
    fn mistakes_are_said() {
        refused(&["type=oci"], "type=oci needs dest=PATH");
        refused(&["type=squashfs"], "is not one of image, registry");
        refused(&["dest=out"], "it has no type=");
        refused(&["type=image,compresion=zstd"], "compresion");
        refused(&["type=image,compression=lz4"], "is not one of gzip, zstd, uncompressed");
        refused(&["type=image,compression=zstd,compression-level=30"], "1 to 22");
        refused(&["type=image,push=maybe"], "push=maybe is neither true nor false");
        refused(&["type=tar,dest=-", "type=oci,dest=-"], "only one of several outputs");
        refused(&["type=image,push-by-digest=true"], "push-by-digest is for type=image,push=true");
        refused(&["type=tar,dest=x,push=true"], "push is for type=image");
    }
}
