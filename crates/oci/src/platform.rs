//! Operating system and processor of an image, named as Go names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Platform {
    /// The processor by Go's name: `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// The operating system: `linux`.
    pub os: String,
    /// The version of the processor, where the architecture has several: `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("platform {0:?} is not os/architecture[/variant], linux/amd64 for example")]
pub struct PlatformError(String);

impl Platform {
    /// The platform of containers on this machine. Containers are Linux, wherever the program was built.
    pub fn host() -> Self {
        normalised("linux", std::env::consts::ARCH, None)
    }

    /// How well an image made for `offered` runs on `self`: lower is better, `None` is not at all.
    ///
    /// An older ARM variant runs on a newer processor, never the other way round.
    pub fn rank(&self, offered: &Self) -> Option<u32> {
        let offered = normalised(&offered.os, &offered.architecture, offered.variant.as_deref());
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let (wanted, offered) = (self.variant_number(), offered.variant_number());
        wanted.checked_sub(offered)
    }

    fn variant_number(&self) -> u32 {
        let default = match self.architecture.as_str() {
            "arm64" => 8,
            "arm" => 7,
            _ => 1,
        };
        let number = |text: &str| text.strip_prefix('v').unwrap_or(text).parse().ok();
        self.variant.as_deref().and_then(number).unwrap_or(default)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let fits = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        match parts.as_slice() {
            parts if !parts.iter().all(fits) => Err(PlatformError(text.to_owned())),
            [os, architecture] => Ok(normalised(os, architecture, None)),
            [os, architecture, variant] => Ok(normalised(os, architecture, Some(variant))),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

/// Folds the kernel's and Rust's names into Go's and drops a variant that is the architecture's only one.
fn normalised(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
    let (os, architecture) = (os.to_ascii_lowercase(), architecture.to_ascii_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant) {
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant.filter(|v| *v != "v1")),
        ("aarch64" | "arm64", variant) => ("arm64", variant.filter(|v| !matches!(*v, "v8" | "8"))),
        ("armhf", _) => ("arm", Some("v7")),
        ("armel", _) => ("arm", Some("v6")),
        ("arm", None) => ("arm", Some("v7")),
        ("x86" | "i386" | "i686", _) => ("386", None),
        ("powerpc64", _) if cfg!(target_endian = "little") => ("ppc64le", None),
        (other, variant) => (other, variant),
    };
    Platform { os, architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(wanted: &str, offered: &str) -> Option<u32> {
        wanted.parse::<Platform>().unwrap().rank(&offered.parse().unwrap())
    }

    #[test]
    fn names_of_other_tools_become_gos() {
        for (text, expected) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/aarch64/v8", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/i386", "linux/386"),
            ("linux/s390x", "linux/s390x"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn malformed_platforms_are_refused() {
        for text in ["", "linux", "linux/", "linux/amd64/v1/x", "linux/am d64", "../etc"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_older_variant_runs_on_a_newer_processor_only() {
        assert_eq!(rank("linux/arm/v7", "linux/arm/v7"), Some(0));
        assert_eq!(rank("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64", "linux/amd64/v3"), None);
        assert_eq!(rank("linux/amd64", "linux/arm64"), None);
        assert_eq!(rank("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
    }
}
