//! `--cache-from` and `--cache-to`: the build cache of other machines, understood once.
//!
//! ```text
//!  --cache-from ─► folder, registry ─► ImportedCache ─► build ─► UsedCache ─► folder, registry, image ◄─ --cache-to
//! ```
//!
//! The form is described in [`minato_build::cache_exchange`].

mod export;
mod import;

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use minato_build::cache_exchange::CacheMode;
use minato_oci::Reference;
use minato_oci::layer::{Compression, Encoding};

use crate::fields::Fields;

pub use export::{export, inline};
pub use import::import;

/// One `--cache-from`.
#[derive(Debug, PartialEq, Eq)]
pub struct CacheFrom(CachePlace);

/// One `--cache-to`.
#[derive(Debug, PartialEq, Eq)]
pub struct CacheTo {
    pub place: CachePlace,
    mode: CacheMode,
    encoding: Encoding,
    /// Whether the files of `RUN --mount=type=cache` go along.
    mounts: bool,
    ignore_error: bool,
}

/// Where a cache is.
#[derive(Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// A folder with an OCI layout, and the name in it.
    Folder(PathBuf, String),
    Registry(Reference),
    /// The image that is built.
    Inline,
}

const DEFAULT_NAME: &str = "latest";

impl std::fmt::Display for CachePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder, _) => write!(f, "{}", folder.display()),
            Self::Registry(reference) => write!(f, "{reference}"),
            Self::Inline => f.write_str("inline"),
        }
    }
}

impl CacheFrom {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let parsed = || -> anyhow::Result<Self> {
            let Some(mut fields) = Fields::parse(text)? else { return Ok(Self(registry(text)?)) };
            let place = place(&mut fields, "src")?;
            fields.nothing_left()?;
            match place {
                CachePlace::Inline => bail!("name the image that has it: type=registry,ref=IMAGE"),
                place => Ok(Self(place)),
            }
        };
        parsed().with_context(|| format!("--cache-from {text}"))
    }
}

impl CacheTo {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Self::parsed(text).with_context(|| format!("--cache-to {text}"))
    }

    fn parsed(text: &str) -> anyhow::Result<Self> {
        let mut fields = match Fields::parse(text)? {
            Some(fields) => fields,
            None => Fields::parse(&format!("type=registry,ref={text}"))?.unwrap_or_default(),
        };
        let place = place(&mut fields, "dest")?;
        let mode = match fields.take("mode").as_deref() {
            None | Some("min") => CacheMode::Min,
            Some("max") if place == CachePlace::Inline => {
                bail!("mode=max needs a cache of its own: an image has its own layers only")
            }
            Some("max") => CacheMode::Max,
            Some(other) => bail!("mode={other} is neither min nor max"),
        };
        for (key, reason) in [
            ("image-manifest", "a cache is always an image manifest, which every registry takes"),
            ("oci-mediatypes", "a cache has OCI's media types"),
        ] {
            if fields.take_flag(key)? == Some(false) {
                bail!("{key}=false: {reason}");
            }
        }
        let mounts = fields.take_flag("mounts")?.unwrap_or(false);
        if mounts && place == CachePlace::Inline {
            bail!("mounts=true needs a cache of its own");
        }
        let encoding = encoding(&mut fields)?;
        let ignore_error = fields.take_flag("ignore-error")?.unwrap_or(false);
        // Layers that came compressed keep their bytes: they are the base's, which a cache has not.
        fields.take_flag("force-compression")?;
        fields.nothing_left()?;
        Ok(Self { place, mode, encoding, mounts, ignore_error })
    }
}

fn encoding(fields: &mut Fields) -> anyhow::Result<Encoding> {
    let method = match fields.take("compression").as_deref() {
        None | Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        Some("uncompressed" | "none") => Compression::None,
        Some(other) => bail!("compression={other} is not one of gzip, zstd, uncompressed"),
    };
    let level = fields.take("compression-level").map(|text| text.parse().context("compression-level"));
    Ok(Encoding::new(method, level.transpose()?)?)
}

fn place(fields: &mut Fields, folder: &str) -> anyhow::Result<CachePlace> {
    let kind = fields.take("type").ok_or_else(|| anyhow!("it has no type="))?;
    match kind.as_str() {
        "registry" => registry(&fields.take("ref").ok_or_else(|| anyhow!("type=registry needs ref=IMAGE"))?),
        "local" => {
            let path = fields.take(folder).ok_or_else(|| anyhow!("type=local needs {folder}=DIR"))?;
            let name = fields.take("tag").unwrap_or_else(|| DEFAULT_NAME.to_owned());
            Ok(CachePlace::Folder(PathBuf::from(path), name))
        }
        "inline" => Ok(CachePlace::Inline),
        "gha" | "s3" | "azblob" => bail!(
            "type={kind} is not supported; use type=registry, or type=local and keep the folder between runs (actions/cache does)"
        ),
        other => bail!("type={other} is not one of registry, local, inline"),
    }
}

fn registry(text: &str) -> anyhow::Result<CachePlace> {
    Ok(CachePlace::Registry(text.parse::<Reference>()?.with_default_tag()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_as_buildx_names_them() {
        let from = |text| format!("{}", CacheFrom::parse(text).unwrap().0);
        assert_eq!(from("team/app:cache"), "docker.io/team/app:cache");
        assert_eq!(from("type=registry,ref=team/app"), "docker.io/team/app:latest");
        assert_eq!(from("type=local,src=/tmp/c"), "/tmp/c");
        let to = CacheTo::parse("type=local,dest=c,mode=max,mounts=true,compression=zstd").unwrap();
        assert_eq!(
            (to.place, to.mode, to.mounts),
            (CachePlace::Folder("c".into(), "latest".into()), CacheMode::Max, true)
        );
        CacheTo::parse("type=registry,ref=a,image-manifest=true,oci-mediatypes=true").unwrap();
    }

    #[test]
    fn mistakes_are_said() {
        let refused = |text: &str, expected: &str| {
            let error = format!("{:#}", CacheTo::parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        };
        refused("type=gha", "type=gha is not supported; use type=registry");
        refused("type=s3,bucket=x", "type=s3 is not supported");
        refused("type=local", "type=local needs dest=DIR");
        refused("type=inline,mode=max", "needs a cache of its own");
        refused("type=registry,ref=a,image-manifest=false", "always an image manifest");
        refused("type=registry,ref=a,mode=most", "is neither min nor max");
        refused("type=registry,ref=a,mod=max", "mod= means nothing here");
        assert!(CacheFrom::parse("type=inline").is_err());
    }
}
