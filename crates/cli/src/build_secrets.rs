//! `--secret` and `--ssh`: what RUN steps may ask for and no image ever holds.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use minato_build::Secret;

/// As much as `BuildKit` takes.
const LARGEST: u64 = 500 << 10;
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// `id=ID[,src=FILE|,env=NAME]`; with the id alone the variable of that name, else the file.
pub fn secrets(given: &[String]) -> anyhow::Result<BTreeMap<String, Secret>> {
    let read = |text: &String| {
        let asked = Asked::parse(text).with_context(|| format!("--secret {text}"))?;
        let value = asked.value().with_context(|| format!("--secret {text}"))?;
        Ok((asked.id, Secret::new(value)))
    };
    given.iter().map(read).collect()
}

/// `ID[=SOCKET]`; without a socket the agent that `SSH_AUTH_SOCK` names.
pub fn agents(given: &[String]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let read = |text: &String| {
        let (id, socket) = match text.split_once('=') {
            Some((id, socket)) => (id, PathBuf::from(socket)),
            None => {
                let socket = std::env::var_os(AGENT_VARIABLE);
                let missing = || {
                    anyhow!(
                        "--ssh {text}: {AGENT_VARIABLE} is not set; start an agent, or give {text}=SOCKET"
                    )
                };
                (text.as_str(), PathBuf::from(socket.ok_or_else(missing)?))
            }
        };
        let kind =
            std::fs::metadata(&socket).with_context(|| format!("--ssh {text}: {}", socket.display()))?;
        if !kind.file_type().is_socket() {
            bail!(
                "--ssh {text}: {} is no agent's socket; add a key to an agent with ssh-add",
                socket.display()
            );
        }
        Ok((id.to_owned(), socket))
    };
    given.iter().map(read).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    id: String,
    file: Option<PathBuf>,
    variable: Option<String>,
}

impl Asked {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut id, mut file, mut variable) = (None, None, None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("src" | "source", value)) => file = Some(PathBuf::from(value)),
                Some(("env", value)) => variable = Some(value.to_owned()),
                // Which of the two it is shows by the field that names it.
                Some(("type", "file" | "env")) => {}
                _ => bail!("{field:?} is not understood; write id=NAME,src=FILE or id=NAME,env=VARIABLE"),
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| anyhow!("id= is missing"))?;
        if file.is_some() && variable.is_some() {
            bail!("a secret comes from a file or from a variable, not from both");
        }
        Ok(Self { id, file, variable })
    }

    fn value(&self) -> anyhow::Result<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        let variable = |name: &String| std::env::var_os(name).map(OsStringExt::into_vec);
        match (&self.file, &self.variable) {
            (Some(file), _) => read_file(file),
            (None, Some(name)) => variable(name).ok_or_else(|| anyhow!("the variable {name} is not set")),
            (None, None) => match variable(&self.id) {
                Some(value) => Ok(value),
                None => read_file(Path::new(&self.id)),
            },
        }
    }
}

fn read_file(file: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(file).with_context(|| file.display().to_string())?.len();
    if size > LARGEST {
        bail!("{} has {size} bytes; a secret has at most {LARGEST}", file.display());
    }
    std::fs::read(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_asked_for_as_with_docker() {
        let asked = |text: &str| Asked::parse(text).map_err(|error| error.to_string());
        let of = |id: &str, file: Option<&str>, variable: Option<&str>| {
            Ok(Asked {
                id: id.to_owned(),
                file: file.map(PathBuf::from),
                variable: variable.map(str::to_owned),
            })
        };
        assert_eq!(asked("id=token"), of("token", None, None));
        assert_eq!(asked("id=token,src=a/b"), of("token", Some("a/b"), None));
        assert_eq!(asked("type=file,source=/x,id=token"), of("token", Some("/x"), None));
        assert_eq!(asked("id=token,env=TOKEN"), of("token", None, Some("TOKEN")));
        assert_eq!(asked("src=a"), Err("id= is missing".to_owned()));
        assert!(asked("id=a,src=b,env=C").is_err() && asked("token").is_err());
    }

    #[test]
    fn a_missing_or_large_secret_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        std::fs::File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        for source in [folder.path().join("gone"), large] {
            let text = format!("id=a,src={}", source.display());
            let error = secrets(std::slice::from_ref(&text)).unwrap_err();
            assert!(format!("{error:#}").contains(source.to_str().unwrap()), "{error:#}");
        }
    }

    #[test]
    fn a_key_is_no_agent() {
        let key = tempfile::NamedTempFile::new().unwrap();
        let error = agents(&[format!("default={}", key.path().display())]).unwrap_err();
        assert!(error.to_string().contains("ssh-add"), "{error}");
    }
}
