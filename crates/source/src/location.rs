//! `spec.source.repoURL`: where a repository is, and how that is said without its credentials.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The longest address that is read, in bytes.
const MAX_LENGTH: usize = 4096;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine: a repository, or plain files. Absolute, unless the base was not.
    Folder(PathBuf),
    /// A repository that is asked over the network.
    Remote(Remote),
}

/// A repository that is asked over the network.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// As `git` takes it, without credentials.
    address: String,
    /// The one protocol that `git` may speak for it: `https`, `http` or `ssh`.
    protocol: &'static str,
    /// `user:password` of an HTTP address, percent-decoded.
    credentials: Option<String>,
}

/// An address that names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LocationError(&'static str);

const FORMS: &str = "write https://HOST/PATH, ssh://HOST/PATH, user@HOST:PATH, file:///FOLDER, or a folder";

impl Location {
    /// Reads a `repoURL`. A folder is relative to `base`.
    ///
    /// # Errors
    /// It could be taken for an option, its protocol is none that is spoken, or it is empty.
    pub(crate) fn parse(text: &str, base: &Path) -> Result<Location, LocationError> {
        let error = |message| Err(LocationError(message));
        if text.is_empty() {
            return error("`repoURL` is empty; write https://HOST/PATH, or a folder");
        }
        if text.starts_with('-') {
            return error("`repoURL` must not begin with `-`; a folder of that name is written ./-NAME");
        }
        if text.len() > MAX_LENGTH || text.chars().any(char::is_control) {
            return error("`repoURL` is too long or holds control characters");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return by_scheme(scheme, rest, text);
        }
        if text.contains("::") {
            return error(
                "`repoURL` names a helper program (NAME::ADDRESS), which is not run; write its https:// address",
            );
        }
        // As `git` tells them apart: a colon before the first slash is a host's.
        match text.split('/').next() {
            Some(first) if first.contains(':') => ssh(text, first),
            _ => Ok(Location::Folder(base.join(text))),
        }
    }
}

fn by_scheme(scheme: &str, rest: &str, text: &str) -> Result<Location, LocationError> {
    match scheme.to_ascii_lowercase().as_str() {
        "https" => http(rest, "https"),
        "http" => http(rest, "http"),
        "ssh" => ssh(text, rest.split('/').next().unwrap_or_default()),
        "file" => {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(LocationError("`file://` is followed by an absolute path: file:///FOLDER"));
            }
            Ok(Location::Folder(PathBuf::from(percent_decoded(path))))
        }
        "oci" => {
            Err(LocationError("OCI sources are not read yet; name a Git repository that holds the manifests"))
        }
        _ => Err(LocationError(FORMS)),
    }
}

fn http(rest: &str, protocol: &'static str) -> Result<Location, LocationError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (credentials, host) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(percent_decoded(credentials)), host),
        None => (None, authority),
    };
    if host.is_empty() || host.starts_with('-') {
        return Err(LocationError(FORMS));
    }
    let address = format!("{protocol}://{host}{path}");
    Ok(Location::Remote(Remote { address, protocol, credentials }))
}

/// `ssh` takes its host as an argument, so that nothing in it may look like an option.
fn ssh(text: &str, authority: &str) -> Result<Location, LocationError> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with('-') || host.starts_with(':') || authority.starts_with('-') {
        return Err(LocationError(FORMS));
    }
    Ok(Location::Remote(Remote { address: text.to_owned(), protocol: "ssh", credentials: None }))
}

impl Remote {
    /// As `git` takes it, without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The one protocol that `git` may speak for it.
    pub(crate) fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The HTTP header that carries the address's credentials.
    pub(crate) fn authorization(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let pair = if credentials.contains(':') { credentials.clone() } else { format!("{credentials}:") };
        Some(format!("Authorization: Basic {}", BASE64.encode(pair)))
    }

    /// A text of somebody else's with everything that is a credential taken out.
    pub(crate) fn without_credentials(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let Some(credentials) = &self.credentials else { return text };
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let encoded = BASE64.encode(credentials);
        for secret in [credentials.as_str(), encoded.as_str(), password, user] {
            if !secret.is_empty() {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(folder) => write!(f, "{}", folder.display()),
            Location::Remote(remote) => f.write_str(&shown(&remote.address)),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.address))
    }
}

/// An SSH address may hold a password too, though `ssh` does not take it.
fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{}", &rest[end..])
        }
        None => address.to_owned(),
    }
}

/// `%41` is `A`; what is no such triple stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded =
            digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Location, LocationError> {
        Location::parse(text, Path::new("/work/argocd"))
    }

    #[test]
    fn folders_and_addresses_are_told_apart() {
        let check = |text: &str, expected: &str| {
            let location = read(text).unwrap();
            let kind = if matches!(location, Location::Folder(_)) { "folder" } else { "remote" };
            assert_eq!(format!("{kind} {location}"), expected, "{text}");
        };
        check("/srv/shop", "folder /srv/shop");
        check("..", "folder /work/argocd/..");
        check("./a:b", "folder /work/argocd/./a:b");
        check("file:///srv/my%20shop", "folder /srv/my shop");
        check("https://example.com/shop.git", "remote https://example.com/shop.git");
        check("HTTPS://example.com/shop.git", "remote https://example.com/shop.git");
        check("git@example.com:shop.git", "remote git@example.com:shop.git");
        check("ssh://git@example.com:22/shop.git", "remote ssh://git@example.com:22/shop.git");
    }

    #[test]
    fn what_could_run_a_program_is_refused() {
        let refused = [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c x",
            "git://example.com/x",
            "https://",
            "https://-x/y",
            "ssh://-oProxyCommand=x/y",
            "ssh://a@-x/y",
            "-x@host:y",
            ":path",
            "file://host/x",
            "oci://example.com/x",
            "a\nb",
            "javascript://x",
        ];
        for text in refused {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_apart_from_the_address_and_never_shown() {
        let Ok(Location::Remote(remote)) = read("https://me:hu%3Ash@example.com/shop.git") else {
            unreachable!("it is an address")
        };
        assert_eq!(remote.address(), "https://example.com/shop.git");
        assert_eq!(
            remote.authorization().unwrap(),
            format!("Authorization: Basic {}", BASE64.encode("me:hu:sh"))
        );
        assert!(!format!("{remote:?}").contains("hu"));
        assert_eq!(remote.without_credentials("fatal: me:hu:sh and hu:sh"), "fatal: *** and ***");
        assert_eq!(read("ssh://me:hush@example.com/x").unwrap().to_string(), "ssh://me@example.com/x");
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_is_not(text in ".{0,60}") {
            if let Ok(Location::Remote(remote)) = read(&text) {
                prop_assert!(!remote.address().starts_with('-'));
            }
        }

        #[test]
        fn a_password_is_never_shown(password in "[a-zA-Z0-9]{6,20}") {
            let location = read(&format!("https://me:{password}@example.com/shop")).unwrap();
            let shown = format!("{location} {location:?}");
            prop_assert!(!shown.contains(&password));
        }
    }
}
