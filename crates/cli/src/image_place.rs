//! Where an image is, as `copy` takes it.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use minato_oci::Reference;
use minato_registry::Place;

/// A place that images are copied from or to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImagePlace {
    /// A registry, or a folder with an OCI layout: documents are copied byte for byte.
    Documents(Place),
    /// The images of this machine.
    Local(Reference),
    /// What `docker save` writes.
    Archive { file: PathBuf, name: Option<Reference> },
}

impl FromStr for ImagePlace {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Some(rest) = text.strip_prefix("oci-layout://") {
            let (folder, name) = split_name(rest)?;
            return Ok(Self::Documents(Place::Layout { folder, name: name.map(str::to_owned) }));
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, name) = split_name(rest)?;
            let name = name.map(str::parse).transpose().with_context(|| text.to_owned())?;
            return Ok(Self::Archive { file, name });
        }
        if let Some(rest) = text.strip_prefix("local://") {
            return Ok(Self::Local(rest.parse::<Reference>()?.with_default_tag()));
        }
        let text = text.strip_prefix("docker://").unwrap_or(text);
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(anyhow!(
                "{scheme}:// is no place for images; expected REGISTRY/NAME, oci-layout://DIR, docker-archive:FILE or local://NAME"
            ));
        }
        Ok(Self::Documents(Place::Registry(text.parse()?)))
    }
}

/// `PATH[:NAME]` or `PATH@DIGEST`. A colon inside the path's last part begins the name.
fn split_name(text: &str) -> anyhow::Result<(PathBuf, Option<&str>)> {
    let (path, name) = match text.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => {
            let colon = text.find(':');
            (colon.map_or(text, |colon| &text[..colon]), colon.map(|colon| &text[colon + 1..]))
        }
    };
    if path.is_empty() || name == Some("") {
        return Err(anyhow!("{text:?}: expected PATH or PATH:NAME"));
    }
    Ok((PathBuf::from(path), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let layout = |folder: &str, name: Option<&str>| {
            ImagePlace::Documents(Place::Layout { folder: folder.into(), name: name.map(str::to_owned) })
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("oci-layout:///a/b", layout("/a/b", None)),
            ("oci-layout://b:1.2", layout("b", Some("1.2"))),
            ("oci-layout://b:ghcr.io/x/y:1", layout("b", Some("ghcr.io/x/y:1"))),
            (&format!("oci-layout://b@{digest}"), layout("b", Some(&digest))),
            ("docker-archive:/a.tar", ImagePlace::Archive { file: "/a.tar".into(), name: None }),
            (
                "docker-archive:a.tar:x:1",
                ImagePlace::Archive { file: "a.tar".into(), name: Some("x:1".parse().unwrap()) },
            ),
            ("local://x", ImagePlace::Local("x:latest".parse().unwrap())),
            ("x", ImagePlace::Documents(Place::Registry("x".parse().unwrap()))),
            ("docker://h:1/x", ImagePlace::Documents(Place::Registry("h:1/x".parse().unwrap()))),
        ] {
            assert_eq!(text.parse::<ImagePlace>().unwrap(), expected, "{text}");
        }
        for text in ["ftp://x", "oci-layout://", "docker-archive:", "oci-layout://a:", "", "local://A B"] {
            text.parse::<ImagePlace>().unwrap_err();
        }
    }
}
