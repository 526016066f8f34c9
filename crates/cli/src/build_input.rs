//! The context and the Dockerfile of `minato build`: a folder here, or something that is brought here first.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use minato_build::{Cancelled, ContextFolder, Remote, RemoteSettings, Remotes, Request};
use minato_oci::Store;
use minato_resource::SourceFile;

use crate::arguments::BuildArguments;
use crate::images;
use crate::machine::Machine;

const DOCKERFILE: &str = "Dockerfile";
/// The largest archive that is read from standard input.
const MAX_ARCHIVE: u64 = 8 << 30;
/// The largest Dockerfile that is read from standard input or an address.
const MAX_DOCKERFILE: u64 = 4 << 20;

/// What a build starts from.
pub struct BuildInput {
    pub context: PathBuf,
    pub dockerfile: Arc<SourceFile>,
    pub ignore: Option<Arc<SourceFile>>,
    /// What the image may be called where nothing else is said.
    pub name: PathBuf,
    /// Keeps what was brought here.
    _brought: Option<ContextFolder>,
}

impl BuildInput {
    /// Finds it, or brings it here. Ctrl-C ends that.
    pub fn of(
        machine: &Machine,
        store: &Store,
        settings: &RemoteSettings,
        arguments: &BuildArguments,
    ) -> anyhow::Result<Self> {
        let file = arguments.file.as_deref();
        let context = arguments.context.as_str();
        if context == "-" {
            return Self::of_stdin(store, file);
        }
        let Some(remote) = Remote::parse_context(context) else {
            return Self::of_folder(Path::new(context), file);
        };
        let remote = remote?;
        let cache = machine.data().join("cache");
        images::cancellable(|cancelled: &Cancelled| {
            let remotes = Remotes::new(&cache, settings, cancelled);
            let name = PathBuf::from(name_of(context));
            match &remote {
                Remote::Git(address) => {
                    let brought = ContextFolder::of_repository(store, &remotes, address)?;
                    Self::of_brought(brought, file, name)
                }
                Remote::Http(address) => {
                    let place = remotes.download(address)?;
                    Self::of_download(store, &place, context, file, name)
                }
            }
        })
    }

    /// The build that is asked for, of this input.
    pub fn request(&self, arguments: &BuildArguments) -> anyhow::Result<Request> {
        let dockerfile = Arc::clone(&self.dockerfile);
        let mut request = images::request(self.context.clone(), dockerfile, &arguments.image)?;
        request.ignore.clone_from(&self.ignore);
        for text in &arguments.input.build_context {
            let (name, context) = text
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| anyhow!("--build-context {text}: expected NAME=CONTEXT"))?;
            let context = context.parse().with_context(|| format!("--build-context {text}"))?;
            request.contexts.insert(name, context);
        }
        request.pull = arguments.input.pull;
        Ok(request)
    }

    /// A folder of this machine. The Dockerfile need not lie in it; `-` is standard input.
    fn of_folder(folder: &Path, file: Option<&Path>) -> anyhow::Result<Self> {
        let place = file.map_or_else(|| folder.join(DOCKERFILE), Path::to_owned);
        let dockerfile = if place == Path::new("-") {
            let bytes = read_to_limit(std::io::stdin(), MAX_DOCKERFILE).context("standard input")?;
            SourceFile::from_bytes(DOCKERFILE, bytes)?
        } else {
            let bytes = std::fs::read(&place)
                .with_context(|| format!("{}: name the Dockerfile with --file", place.display()))?;
            SourceFile::from_bytes(&place, bytes)?
        };
        let name = folder.canonicalize().with_context(|| folder.display().to_string())?;
        Ok(Self {
            ignore: images::ignore_file(folder, &place)?,
            context: folder.to_owned(),
            dockerfile: Arc::new(dockerfile),
            name,
            _brought: None,
        })
    }

    /// An archive with the context, or the Dockerfile alone.
    fn of_stdin(store: &Store, file: Option<&Path>) -> anyhow::Result<Self> {
        if file == Some(Path::new("-")) {
            bail!("context and Dockerfile can't both be standard input");
        }
        let mut copy = tempfile::NamedTempFile::new().context("temporary file")?;
        let count = std::io::copy(&mut std::io::stdin().take(MAX_ARCHIVE + 1), copy.as_file_mut())
            .context("standard input")?;
        if count > MAX_ARCHIVE {
            bail!("standard input is larger than {} GiB", MAX_ARCHIVE >> 30);
        }
        let name = PathBuf::from("image");
        tokio::task::block_in_place(|| Self::of_download(store, copy.path(), DOCKERFILE, file, name))
    }

    /// As [`BuildInput::of_stdin`]; `shown` names the file in messages.
    fn of_download(
        store: &Store,
        place: &Path,
        shown: &str,
        file: Option<&Path>,
        name: PathBuf,
    ) -> anyhow::Result<Self> {
        if let Some(brought) = ContextFolder::of_archive(store, place)? {
            return Self::of_brought(brought, file, name);
        }
        if let Some(file) = file {
            bail!("{shown} is no archive in which {} could be", file.display());
        }
        let bytes = read_to_limit(File::open(place)?, MAX_DOCKERFILE)
            .with_context(|| format!("{shown} is no archive, and too large for a Dockerfile"))?;
        let brought = ContextFolder::of_file(store, None)?;
        Ok(Self {
            context: brought.path().to_owned(),
            dockerfile: Arc::new(SourceFile::from_bytes(shown, bytes)?),
            ignore: None,
            name,
            _brought: Some(brought),
        })
    }

    /// A folder that somebody else has filled: nothing outside it is read, whatever its links say.
    fn of_brought(brought: ContextFolder, file: Option<&Path>, name: PathBuf) -> anyhow::Result<Self> {
        let file = file.unwrap_or(Path::new(DOCKERFILE));
        let root = brought.path().canonicalize()?;
        let inside =
            |path: &Path| root.join(path).canonicalize().ok().filter(|place| place.starts_with(&root));
        let place = inside(file).ok_or_else(|| anyhow!("the build context has no {}", file.display()))?;
        let read = |place: &Path, shown: &Path| -> anyhow::Result<Arc<SourceFile>> {
            let bytes = std::fs::read(place).with_context(|| shown.display().to_string())?;
            Ok(Arc::new(SourceFile::from_bytes(shown, bytes)?))
        };
        let mut own = file.as_os_str().to_owned();
        own.push(".dockerignore");
        let candidates = [PathBuf::from(own), PathBuf::from(".dockerignore")];
        let ignore = candidates.iter().find_map(|path| Some((path, inside(path)?)));
        Ok(Self {
            context: brought.path().to_owned(),
            dockerfile: read(&place, file)?,
            ignore: ignore.map(|(shown, place)| read(&place, shown)).transpose()?,
            name,
            _brought: Some(brought),
        })
    }
}

fn read_to_limit(input: impl Read, limit: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        bail!("it is larger than {} MiB", limit >> 20);
    }
    Ok(bytes)
}

/// The last name in an address, without what follows the path and without `.git`.
fn name_of(address: &str) -> &str {
    let path = address.split(['#', '?']).next().unwrap_or_default().trim_end_matches('/');
    let name = path.rsplit(['/', ':']).next().unwrap_or_default();
    name.strip_suffix(".git").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_image() {
        for (address, name) in [
            ("https://h/a/app.git#main:x/y", "app"),
            ("git@h:me/app", "app"),
            ("github.com/me/app?ref=x", "app"),
            ("https://h/app.tgz", "app.tgz"),
        ] {
            assert_eq!(name_of(address), name, "{address}");
        }
    }
}
