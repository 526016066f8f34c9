//! The images of a deployment: ours are built, the others pulled, and Objects get what was built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use minato_build::{Builder, Built, Cancelled, PassThrough, PassedFile, RemoteSettings, Request};
use minato_oci::{Digest, Image, Platform, Reference, Store, StoreError};
use minato_resource::{Object, SourceFile};
use minato_source::{ImageBuild, Replacement, Revision};

use crate::adapter::{BuildProgress, Registries};
use crate::arguments::ImageArguments;
use crate::build_secrets;
use crate::exit::Failure;
use crate::foreign_builder::ForeignBuilder;
use crate::machine::Machine;
use crate::print::Printer;
use crate::repository::Repository;

/// Where Debian, Alpine and most others keep their certificate authorities.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Desired Objects that name the images of this revision, and what those images are.
pub struct Deployable {
    pub objects: Vec<Object>,
    /// Image as the Objects write it → its identity on this machine.
    pub images: BTreeMap<String, Digest>,
    /// The revision's name: the tag of the first image that was built, else the commit.
    pub revision: String,
}

/// Builds and pulls everything that a repository needs.
pub async fn prepare(
    machine: &Machine,
    printer: &Printer,
    repository: &Repository,
    arguments: &ImageArguments,
) -> Result<Deployable, Failure> {
    let store = machine.store()?;
    // Until it is tagged, what was built or pulled belongs to nothing.
    let _lease = store.lease()?;
    let registries = Registries::new(machine, &store, printer);
    let mut images = BTreeMap::new();
    let mut replacements = Vec::new();
    let mut revision = None;
    let ours = repository.images.iter().map(|image| (Some(&image.repository), &image.build));
    for (name, build) in ours.chain(repository.alone.iter().map(|build| (None, build))) {
        let built = build_one(machine, &registries, repository, build, arguments).await?;
        let name = match name {
            Some(name) => name.clone(),
            None => repository.application.name.as_str().parse()?,
        };
        let tag = Revision::tag(repository.revision.as_ref(), &built.id.hex());
        store.tag(&name.with_tag(&tag)?, &built.id)?;
        let image = format!("{}@{}", name.with_tag(&tag)?, built.id);
        images.insert(image.clone(), built.id);
        revision.get_or_insert(tag);
        replacements.push((Replacement { repository: name, image }, built));
    }
    let objects = objects(repository, &replacements)?;
    pull_others(&registries, &objects, &mut images).await?;
    let revision =
        revision.unwrap_or_else(|| Revision::tag(repository.revision.as_ref(), &hash_of(&objects)));
    Ok(Deployable { objects, images, revision })
}

fn objects(repository: &Repository, built: &[(Replacement, Image)]) -> Result<Vec<Object>, Failure> {
    if let (Some(_), Some((replacement, image))) = (&repository.alone, built.first()) {
        let name = &repository.application.name;
        return Ok(minato_source::dockerfile_alone(name, &replacement.image, &image.config.config)?);
    }
    let replacements: Vec<Replacement> = built.iter().map(|(replacement, _)| replacement.clone()).collect();
    let replaced = repository.objects.iter().map(|object| minato_source::substitute(object, &replacements));
    Ok(replaced.collect::<Result<_, _>>()?)
}

/// Takes away the names that `up` gave to versions of these repositories which no history needs any more, so that the
/// images can go. A tag that a person chose stays.
pub fn forget_old_versions(store: &Store, repositories: &BTreeSet<String>) -> Result<(), StoreError> {
    let needed: BTreeSet<Digest> = store.pinned()?.into_iter().flat_map(|(_, ids)| ids).collect();
    for (reference, id, _) in store.tagged()? {
        let is_ours =
            repositories.contains(&reference.name()) && reference.tag().is_some_and(Revision::is_tag);
        if is_ours && !needed.contains(&id) {
            store.untag(&reference)?;
        }
    }
    Ok(())
}

/// The repositories of images as Objects write them.
pub fn repositories<'a>(images: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let references = images.into_iter().filter_map(|image| image.parse::<Reference>().ok());
    references.map(|reference| reference.name()).collect()
}

/// What the files say when nothing is built: the rendered Objects themselves.
fn hash_of(objects: &[Object]) -> String {
    let text: String = objects.iter().map(|object| object.value().to_string()).collect();
    Digest::sha256(text).hex()
}

/// The images of Objects that are not built here: from the store, else pulled.
pub async fn at_hand(
    machine: &Machine,
    printer: &Printer,
    objects: &[Object],
) -> Result<BTreeMap<String, Digest>, Failure> {
    let store = machine.store()?;
    let mut images = BTreeMap::new();
    pull_others(&Registries::new(machine, &store, printer), objects, &mut images).await?;
    Ok(images)
}

async fn pull_others(
    registries: &Registries<'_>,
    objects: &[Object],
    images: &mut BTreeMap<String, Digest>,
) -> Result<(), Failure> {
    let uses = objects.iter().flat_map(minato_source::image_uses);
    let wanted: BTreeSet<String> =
        uses.map(|image| image.text).filter(|text| !images.contains_key(text)).collect();
    for text in wanted {
        let reference: Reference = text.parse().with_context(|| format!("image {text:?}"))?;
        let id = match registries.store.resolve(&reference)? {
            Some(id) => id,
            None => registries.pull(&reference, &Platform::host()).await?.id,
        };
        images.insert(text, id);
    }
    Ok(())
}

async fn build_one(
    machine: &Machine,
    registries: &Registries<'_>,
    repository: &Repository,
    build: &ImageBuild,
    arguments: &ImageArguments,
) -> Result<Image, Failure> {
    let context = repository.tree.root().join(&build.context);
    let mut request = request(context, repository.dockerfile(build)?, arguments)?;
    request.target.clone_from(&build.target);
    let platform = std::slice::from_ref(&request.platform);
    Ok(make(machine, registries, &request, platform, arguments).await?.remove(0).image)
}

/// The image for each platform, by the builder that the command line names.
pub async fn make(
    machine: &Machine,
    registries: &Registries<'_>,
    request: &Request,
    platforms: &[Platform],
    arguments: &ImageArguments,
) -> Result<Vec<Built>, Failure> {
    let Some(engine) = arguments.builder else { return run_all(machine, registries, request, platforms) };
    let (printer, store) = (registries.printer, registries.store);
    ForeignBuilder { engine, printer, store, arguments }.build(request, platforms).await
}

/// What the command line says of a build.
pub fn request(
    context: PathBuf,
    dockerfile: Arc<SourceFile>,
    arguments: &ImageArguments,
) -> anyhow::Result<Request> {
    Ok(Request {
        ignore: ignore_file(&context, dockerfile.path())?,
        arguments: build_arguments(&arguments.build_arg)?,
        no_cache: arguments.no_cache,
        source_date_epoch: source_date_epoch()?,
        pass_through: PassThrough {
            environment: step_environment(arguments)?,
            files: authorities(arguments.build_ca.as_deref())?,
        },
        secrets: build_secrets::secrets(&arguments.secret)?,
        agents: build_secrets::agents(&arguments.ssh)?,
        remotes: remote_settings(arguments)?,
        ..Request::new(context, dockerfile)
    })
}

/// Builds for this machine.
/// Builds for each platform, on threads of its own; Ctrl-C ends it with nothing left running.
fn run_all(
    machine: &Machine,
    registries: &Registries<'_>,
    request: &Request,
    platforms: &[Platform],
) -> Result<Vec<Built>, Failure> {
    let executor = machine.executor()?;
    let progress = BuildProgress::new(registries.printer);
    let built = cancellable(|cancelled| {
        let builder = Builder {
            store: registries.store,
            cache: &machine.data().join("cache"),
            executor: &executor,
            bases: registries,
            progress: &progress,
            cancelled: cancelled.clone(),
        };
        builder.build_all(request, platforms)
    });
    built.map_err(Failure::of_build)
}

/// Does work that takes its time; Ctrl-C asks it to end.
pub fn cancellable<T>(work: impl FnOnce(&Cancelled) -> T) -> T {
    let cancelled = Cancelled::default();
    let asked = cancelled.clone();
    let interrupt = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.cancel();
        }
    });
    let done = tokio::task::block_in_place(|| work(&cancelled));
    interrupt.abort();
    done
}

/// How servers are reached that a Dockerfile or a build context names. The secrets are called as `BuildKit` calls them.
pub fn remote_settings(arguments: &ImageArguments) -> anyhow::Result<RemoteSettings> {
    let bundle = arguments
        .build_ca
        .as_deref()
        .map(|bundle| std::fs::read(bundle).with_context(|| format!("--build-ca {}", bundle.display())));
    let mut secrets = build_secrets::secrets(&arguments.secret)?;
    Ok(RemoteSettings {
        authorities: bundle.transpose()?.into_iter().collect(),
        git_token: secrets.remove("GIT_AUTH_TOKEN"),
        git_header: secrets.remove("GIT_AUTH_HEADER"),
    })
}

/// What `--build-arg` gives.
pub fn build_arguments(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    named_values(given, "--build-arg")
}

/// `<Dockerfile>.dockerignore`, else the context's.
pub fn ignore_file(context: &Path, dockerfile: &Path) -> anyhow::Result<Option<Arc<SourceFile>>> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    let candidates = [PathBuf::from(own), context.join(".dockerignore")];
    let Some(path) = candidates.iter().find(|path| path.is_file()) else { return Ok(None) };
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Some(Arc::new(SourceFile::from_bytes(path, bytes)?)))
}

/// `NAME=value`, or `NAME` for the value that the environment has.
fn named_values(given: &[String], flag: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => {
            let value = std::env::var(text)
                .map_err(|_| anyhow!("{flag} {text}: no value, and the environment has none"))?;
            Ok((text.clone(), value))
        }
    };
    given.iter().map(pair).collect()
}

fn source_date_epoch() -> anyhow::Result<Option<i64>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let text = text.to_string_lossy();
    let seconds =
        text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text}: expected seconds since 1970"))?;
    Ok(Some(seconds))
}

/// The bundle stands where the tools of common base images look for one.
fn authorities(bundle: Option<&Path>) -> anyhow::Result<Vec<PassedFile>> {
    let Some(bundle) = bundle else { return Ok(Vec::new()) };
    let source = bundle.canonicalize().with_context(|| format!("--build-ca {}", bundle.display()))?;
    let targets = [BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    Ok(targets.map(|target| PassedFile { source: source.clone(), target: target.into() }).into())
}

/// Variables of RUN steps: those given, and for a bundle the ones by which programs that don't look for it find it.
fn step_environment(arguments: &ImageArguments) -> anyhow::Result<BTreeMap<String, String>> {
    let mut environment = named_values(&arguments.build_env, "--build-env")?;
    if arguments.build_ca.is_some() {
        for name in ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"] {
            environment.entry(name.to_owned()).or_insert_with(|| BUNDLE.to_owned());
        }
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says so and ends")]

    use minato_oci::ImageConfig;

    use super::*;

    #[test]
    fn old_versions_lose_their_names_and_chosen_tags_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let image = |author: &str| {
            let config = ImageConfig { author: Some(author.to_owned()), ..ImageConfig::default() };
            store.save_image(&config).unwrap().id
        };
        let (old, needed) = (image("old"), image("needed"));
        store.pin("shop", &[needed]).unwrap();
        for (reference, id) in [
            ("shop:0123456789ab", old),
            ("shop:0123456789ac", needed),
            ("shop:release", old),
            ("other:0123456789ab", old),
        ] {
            store.tag(&reference.parse().unwrap(), &id).unwrap();
        }
        let written = [format!("shop:0123456789ac@{needed}"), "not an image".to_owned()];
        forget_old_versions(&store, &repositories(&written)).unwrap();
        let left = store.tagged().unwrap();
        let left: Vec<String> = left.iter().map(|(reference, ..)| reference.familiar()).collect();
        assert_eq!(left, ["other:0123456789ab", "shop:0123456789ac", "shop:release"]);
    }
}
