//! Mirrors: other places to ask for a registry's images first.

use std::str::FromStr;

use reqwest::Url;

/// A place to ask before a registry: `docker.io=http://127.0.0.1:5000`.
///
/// The mirror has the same repositories under the same names, below an optional path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirror {
    registry: String,
    url: Url,
}

/// Why a text is not a mirror.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("mirror {text:?} {reason}; write REGISTRY=URL, docker.io=http://127.0.0.1:5000 for example")]
pub struct MirrorError {
    text: String,
    reason: &'static str,
}

impl Mirror {
    /// The registry that is mirrored, as a reference names it.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Where the mirror is.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn base(&self) -> &Url {
        &self.url
    }
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let wrong = |reason| MirrorError { text: text.to_owned(), reason };
        let (registry, url) = text.split_once('=').ok_or_else(|| wrong("has no \"=\""))?;
        let reference = format!("{registry}/image").parse::<minato_oci::Reference>();
        let registry = match reference {
            Ok(reference)
                if reference.repository() == "image"
                    || matches!(registry, "docker.io" | "index.docker.io") =>
            {
                reference.registry().to_owned()
            }
            _ => return Err(wrong("does not start with a registry")),
        };
        let mut url: Url = url.parse().map_err(|_| wrong("has no valid URL after \"=\""))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("has a URL that is neither http:// nor https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("has credentials in its URL; put them into Docker's config.json"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or fragment in its URL"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { registry, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read() {
        for (text, registry, url) in [
            ("docker.io=http://127.0.0.1:5000", "docker.io", "http://127.0.0.1:5000/"),
            ("index.docker.io=http://127.0.0.1:5000/", "docker.io", "http://127.0.0.1:5000/"),
            ("ghcr.io=https://mirror.example/proxy/ghcr/", "ghcr.io", "https://mirror.example/proxy/ghcr"),
            ("localhost:5000=http://[::1]:6000", "localhost:5000", "http://[::1]:6000/"),
        ] {
            let mirror: Mirror = text.parse().unwrap();
            assert_eq!((mirror.registry(), mirror.url()), (registry, url));
        }
    }

    #[test]
    fn malformed_mirrors_are_refused() {
        for (text, expected) in [
            ("http://127.0.0.1:5000", "has no \"=\""),
            ("=http://127.0.0.1:5000", "start with a registry"),
            ("library=http://127.0.0.1:5000", "start with a registry"),
            ("docker.io=127.0.0.1:5000", "URL"),
            ("docker.io=ftp://127.0.0.1", "neither"),
            ("docker.io=http://user:pass@127.0.0.1", "credentials"),
            ("docker.io=http://127.0.0.1?ns=x", "query"),
        ] {
            let error = text.parse::<Mirror>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
