//! `--builder docker|buildkit`: the same request to an engine that is there already, and its image into the store.
//!
//! ```text
//! Request ─ words ─► docker build --iidfile, docker save ─┐
//!                  ► buildctl build --output type=docker ─┴► archive ─► Store: from here on an image like any other
//! ```
//!
//! What only the own builder can do is refused before anything starts. Layers are as that engine makes them: their times,
//! and so their digests, differ from build to build.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow};
use minato_build::{Built, Request, StepNetwork, Surroundings};
use minato_oci::layout::{self, Selection};
use minato_oci::{Platform, Store};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::arguments::{EngineName, ImageArguments};
use crate::exit::Failure;
use crate::print::Printer;

/// How many of an engine's last lines say why it failed.
const LAST_LINES: usize = 12;

/// An engine, asked for one build.
pub struct ForeignBuilder<'a> {
    pub engine: EngineName,
    pub printer: &'a Printer,
    pub store: &'a Store,
    /// As typed: secrets and agents are named to the engine in the same words.
    pub arguments: &'a ImageArguments,
}

impl ForeignBuilder<'_> {
    /// Builds once for each platform. Dropping this ends the engine's client.
    ///
    /// What can't be asked (no program, no daemon, a flag that it has not) is a [`Failure::Error`]; a build that fails there is
    /// [`Failure::Refused`].
    pub async fn build(&self, request: &Request, platforms: &[Platform]) -> Result<Vec<Built>, Failure> {
        self.refuse_what_it_has_not(request)?;
        self.ask_for_daemon().await?;
        let folder = tempfile::tempdir().context("a folder for the image")?;
        let mut built = Vec::new();
        for platform in platforms {
            let archive = match self.engine {
                EngineName::Docker => self.with_docker(request, platform, folder.path()).await?,
                EngineName::Buildkit => self.with_buildkit(request, platform, folder.path()).await?,
            };
            let selection = Selection { platform: platform.clone(), ..Selection::only() };
            let loaded = tokio::task::block_in_place(|| layout::read(self.store, &archive, &selection));
            let image = loaded.with_context(|| format!("the image that {} made", self.program()))?.image;
            built.push(Built::elsewhere(image));
        }
        Ok(built)
    }

    fn program(&self) -> &'static str {
        match self.engine {
            EngineName::Docker => "docker",
            EngineName::Buildkit => "buildctl",
        }
    }

    fn refuse_what_it_has_not(&self, request: &Request) -> anyhow::Result<()> {
        let own = [
            ("--build-ca", self.arguments.build_ca.is_some()),
            ("--build-env", !self.arguments.build_env.is_empty()),
            ("--build-context", !request.contexts.is_empty()),
            ("--network=none", request.network != StepNetwork::Host),
            ("--add-host, --shm-size or --ulimit", request.surroundings != Surroundings::default()),
            ("--allow security.insecure", request.allow_insecure),
        ];
        match own.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(anyhow!("{flag} is only for Minato's own builder; leave it or --builder out"))
            }
            None => Ok(()),
        }
    }

    /// A client without its daemon would fail in the middle, with words of its own.
    async fn ask_for_daemon(&self) -> anyhow::Result<()> {
        let question: &[&str] = match self.engine {
            EngineName::Docker => &["version", "--format", "{{.Server.Version}}"],
            EngineName::Buildkit => &["debug", "workers"],
        };
        let output = self.command(question).output().await.map_err(|error| self.cannot_start(&error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim();
        let variable = if self.engine == EngineName::Docker { "DOCKER_HOST" } else { "BUILDKIT_HOST" };
        Err(anyhow!(
            "--builder {}: no daemon answers ({said}); start it, or name it with {variable}",
            self.engine
        ))
    }

    fn cannot_start(&self, error: &std::io::Error) -> anyhow::Error {
        let program = self.program();
        anyhow!(
            "--builder {}: {program}: {error}; put {program} on the PATH, or leave --builder out",
            self.engine
        )
    }

    /// The daemon of docker keeps the image; nothing there gets a name.
    async fn with_docker(
        &self,
        request: &Request,
        platform: &Platform,
        folder: &Path,
    ) -> Result<PathBuf, Failure> {
        let (identity, archive) = (folder.join("identity"), folder.join("image.tar"));
        let mut words = vec!["build".to_owned(), format!("--iidfile={}", shown(&identity)?)];
        words.extend(docker_words(request, platform)?);
        self.hand_secrets(&mut words);
        words.push(shown(&request.context)?);
        self.run(&words).await?;
        let identity = std::fs::read_to_string(&identity).context("the image that docker made")?;
        self.run(&["save".to_owned(), format!("--output={}", shown(&archive)?), identity.trim().to_owned()])
            .await?;
        Ok(archive)
    }

    async fn with_buildkit(
        &self,
        request: &Request,
        platform: &Platform,
        folder: &Path,
    ) -> Result<PathBuf, Failure> {
        let archive = folder.join("image.tar");
        let mut words = vec!["build".to_owned(), "--progress=plain".to_owned()];
        words.push(format!("--output=type=docker,dest={}", shown(&archive)?));
        words.extend(buildctl_words(request, platform)?);
        self.hand_secrets(&mut words);
        self.run(&words).await?;
        Ok(archive)
    }

    fn hand_secrets(&self, words: &mut Vec<String>) {
        words.extend(self.arguments.secret.iter().map(|secret| format!("--secret={secret}")));
        words.extend(self.arguments.ssh.iter().map(|agent| format!("--ssh={agent}")));
    }

    fn command(&self, words: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(self.program());
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        // Docker's own switch where its client is older than its builder.
        command.env("DOCKER_BUILDKIT", "1").env("BUILDKIT_PROGRESS", "plain");
        command
    }

    /// Runs the client and shows what it says.
    async fn run(&self, words: &[String]) -> Result<(), Failure> {
        let mut command = self.command(words);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.cannot_start(&error))?;
        let stderr = child.stderr.take().expect("it is a pipe");
        let mut lines = BufReader::new(stderr).lines();
        let mut last: Vec<String> = Vec::new();
        while let Some(line) = lines.next_line().await.context("what the engine says")? {
            self.printer.line(&line);
            last.push(line);
            if last.len() > LAST_LINES {
                last.remove(0);
            }
        }
        let status = child.wait().await.context("the engine's client")?;
        if status.success() {
            return Ok(());
        }
        let reason = last.iter().rev().find(|line| line.contains("ERROR") || line.contains("error:"));
        let reason = reason.map_or("", |line| line.trim());
        Err(Failure::Refused(anyhow!("{} {} failed ({status}): {reason}", self.program(), words[0])))
    }
}

/// What `docker build` is asked, but for secrets and the context.
fn docker_words(request: &Request, platform: &Platform) -> anyhow::Result<Vec<String>> {
    let mut words = vec![
        format!("--file={}", shown(request.dockerfile.path())?),
        format!("--platform={platform}"),
        // Steps of the own builder use it, too.
        "--network=host".to_owned(),
    ];
    words.extend(request.target.iter().map(|target| format!("--target={target}")));
    words.extend(arguments(request).map(|(name, value)| format!("--build-arg={name}={value}")));
    words.extend(request.labels.iter().map(|(name, value)| format!("--label={name}={value}")));
    words.extend(request.no_cache.then(|| "--no-cache".to_owned()));
    words.extend(request.pull.then(|| "--pull".to_owned()));
    Ok(words)
}

/// What `buildctl build` is asked, but for the output and secrets.
fn buildctl_words(request: &Request, platform: &Platform) -> anyhow::Result<Vec<String>> {
    let dockerfile = request.dockerfile.path();
    let folder = dockerfile.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = dockerfile.file_name().context("the Dockerfile has no name")?;
    let mut words = vec![
        "--frontend=dockerfile.v0".to_owned(),
        format!("--local=context={}", shown(&request.context)?),
        format!("--local=dockerfile={}", shown(folder.unwrap_or(Path::new(".")))?),
        format!("--opt=filename={}", shown(Path::new(name))?),
        format!("--opt=platform={platform}"),
    ];
    words.extend(request.target.iter().map(|target| format!("--opt=target={target}")));
    words.extend(arguments(request).map(|(name, value)| format!("--opt=build-arg:{name}={value}")));
    words.extend(request.labels.iter().map(|(name, value)| format!("--opt=label:{name}={value}")));
    words.extend(request.no_cache.then(|| "--no-cache".to_owned()));
    words.extend(request.pull.then(|| "--opt=image-resolve-mode=pull".to_owned()));
    Ok(words)
}

/// `--build-arg`, and the time that the environment sets for all images.
fn arguments(request: &Request) -> impl Iterator<Item = (String, String)> {
    let epoch =
        request.source_date_epoch.map(|seconds| ("SOURCE_DATE_EPOCH".to_owned(), seconds.to_string()));
    let given = request.arguments.iter().map(|(name, value)| (name.clone(), value.clone()));
    epoch.into_iter().filter(|(name, _)| !request.arguments.contains_key(name)).chain(given)
}

fn shown(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| anyhow!("{}: the path is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minato_resource::SourceFile;

    use super::*;

    #[test]
    fn a_request_keeps_its_meaning_in_the_words_of_each_engine() {
        let file = Arc::new(SourceFile::new("docker/app.Dockerfile", "FROM scratch\n"));
        let mut request = Request::new(PathBuf::from("."), file);
        request.target = Some("last".to_owned());
        request.arguments.insert("A".to_owned(), "1=2".to_owned());
        request.labels.insert("l".to_owned(), "v w".to_owned());
        request.source_date_epoch = Some(7);
        (request.no_cache, request.pull) = (true, true);
        let platform = "linux/arm64".parse().unwrap();
        assert_eq!(
            docker_words(&request, &platform).unwrap(),
            [
                "--file=docker/app.Dockerfile",
                "--platform=linux/arm64",
                "--network=host",
                "--target=last",
                "--build-arg=SOURCE_DATE_EPOCH=7",
                "--build-arg=A=1=2",
                "--label=l=v w",
                "--no-cache",
                "--pull"
            ]
        );
        assert_eq!(
            buildctl_words(&request, &platform).unwrap(),
            [
                "--frontend=dockerfile.v0",
                "--local=context=.",
                "--local=dockerfile=docker",
                "--opt=filename=app.Dockerfile",
                "--opt=platform=linux/arm64",
                "--opt=target=last",
                "--opt=build-arg:SOURCE_DATE_EPOCH=7",
                "--opt=build-arg:A=1=2",
                "--opt=label:l=v w",
                "--no-cache",
                "--opt=image-resolve-mode=pull"
            ]
        );
    }
}
