//! The addresses that ADD and build contexts take, and what they say of a Git repository.
//!
//! ```text
//! https://HOST/PATH                    a file
//! https://HOST/PATH.git[#REF[:DIR]]    a repository; also git://HOST/PATH, ssh://HOST/PATH, USER@HOST:PATH
//!     ?ref= branch= tag= subdir= checksum= commit= keep-git-dir= submodules=
//! ```
//!
//! The rules are `BuildKit`'s (its `dfgitutil` package).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;

/// The longest address that is read, in bytes.
const MAX_LENGTH: usize = 8192;

/// Something that lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A file.
    Http(HttpAddress),
    /// A tree of a Git repository.
    Git(GitAddress),
}

/// A file that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress(Url);

/// A tree of a Git repository.
#[derive(Clone, PartialEq, Eq)]
pub struct GitAddress {
    /// As `git` takes it, without credentials.
    pub(super) repository: String,
    /// The one protocol that `git` may speak for it: `https`, `http`, `ssh` or `git`.
    pub(super) protocol: &'static str,
    /// `user:password` of an HTTP address.
    credentials: Option<String>,
    /// Branch, tag, full reference or commit; the default branch when absent.
    pub(super) reference: Option<String>,
    /// The folder of the repository that is meant; clean, relative, not empty.
    pub(super) folder: Option<String>,
    /// What the commit's name must begin with.
    pub(super) checksum: Option<String>,
    /// `keep-git-dir`, where the address says it.
    pub(super) keep_git_folder: Option<bool>,
    /// `submodules`, where the address says it.
    pub(super) submodules: Option<bool>,
}

/// A text that names nothing that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {message}")]
pub struct AddressError {
    address: String,
    message: String,
}

impl Remote {
    /// Reads a source of ADD; `None` when it is a path.
    ///
    /// # Errors
    /// It looks like an address and means nothing.
    pub fn parse(text: &str) -> Option<Result<Self, AddressError>> {
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let fail = |message: String| AddressError { address: without_credentials(text), message };
        if ["http://", "https://", "git://", "ssh://"].iter().any(|scheme| lower.starts_with(scheme)) {
            return Some(of_url(text).map_err(fail));
        }
        let (user, rest) = text.split_once('@')?;
        let (host, path) = rest.split_once(':')?;
        let is_name = |name: &str, others: &str| {
            !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || others.contains(it))
        };
        (is_name(user, "-_") && is_name(host, "-_.") && !path.is_empty())
            .then(|| of_host(user, host, path).map_err(fail))
    }

    /// Reads a build context, where `github.com/…` means a repository as well.
    ///
    /// # Errors
    /// As [`Remote::parse`].
    pub fn parse_context(text: &str) -> Option<Result<Self, AddressError>> {
        if !text.starts_with("github.com/") {
            return Self::parse(text);
        }
        let (path, rest) = match text.find(['#', '?']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        Self::parse(&format!("https://{path}.git{rest}"))
    }
}

/// Takes user and password out of an address, for messages.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{}", &rest[authority.len()..]),
        None => text.to_owned(),
    }
}

fn of_url(text: &str) -> Result<Remote, String> {
    if text.len() > MAX_LENGTH || text.chars().any(char::is_control) {
        return Err("the address is too long or holds control characters".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("this is no address: {error}"))?;
    if url.host_str().is_none_or(|host| host.is_empty() || host.starts_with('-')) {
        return Err("the address names no host".to_owned());
    }
    let protocol = match url.scheme() {
        "http" | "https" if !url.path().ends_with(".git") => return Ok(Remote::Http(HttpAddress::new(url))),
        "http" => "http",
        "https" => "https",
        "git" => "git",
        _ => "ssh",
    };
    let mut bare = url.clone();
    bare.set_fragment(None);
    bare.set_query(None);
    let mut credentials = None;
    if protocol.starts_with("http") && !(url.username().is_empty() && url.password().is_none()) {
        let decoded = |text: &str| percent_decoded(text);
        credentials =
            Some(format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default())));
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
    }
    let mut git = GitAddress::new(bare.to_string(), protocol);
    git.credentials = credentials;
    git.take(&percent_decoded(url.fragment().unwrap_or_default()), &url)?;
    Ok(Remote::Git(git))
}

/// `user@host:path`
fn of_host(user: &str, host: &str, path: &str) -> Result<Remote, String> {
    if path.len() > MAX_LENGTH
        || path.chars().any(char::is_control)
        || host.starts_with('-')
        || user.starts_with('-')
    {
        return Err("the address is too long or holds what no address does".to_owned());
    }
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = Url::parse(&format!("ssh://host/?{query}")).map_err(|error| error.to_string())?;
    let mut git = GitAddress::new(format!("{user}@{host}:{path}"), "ssh");
    git.take(fragment, &query)?;
    Ok(Remote::Git(git))
}

impl HttpAddress {
    fn new(mut url: Url) -> Self {
        url.set_fragment(None);
        Self(url)
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// The last name of the path, if it has one that can name a file.
    pub(super) fn file_name(&self) -> Option<String> {
        let path = percent_decoded(self.0.path());
        path.rsplit('/').find(|name| !name.is_empty()).and_then(file_name)
    }
}

/// A name that a file may have here.
pub(super) fn file_name(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name != "." && name != ".." && name.len() <= 255;
    (fits && !name.contains(['/', '\0'])).then(|| name.to_owned())
}

impl std::fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&without_credentials(self.0.as_str()))
    }
}

impl GitAddress {
    fn new(repository: String, protocol: &'static str) -> Self {
        Self {
            repository,
            protocol,
            credentials: None,
            reference: None,
            folder: None,
            checksum: None,
            keep_git_folder: None,
            submodules: None,
        }
    }

    /// What stands behind `#`, and the query of `url`.
    fn take(&mut self, fragment: &str, url: &Url) -> Result<(), String> {
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        self.set_reference(reference)?;
        self.set_folder(folder)?;
        let mut seen = Vec::new();
        for (key, value) in url.query_pairs() {
            if seen.contains(&key) {
                return Err(format!("{key} stands more than once"));
            }
            self.set(&key, &value)?;
            seen.push(key);
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let is_switch = matches!(key, "keep-git-dir" | "submodules");
        if value.is_empty() && !is_switch {
            return Err(format!("{key} has no value"));
        }
        let full = |kind: &str| match value.strip_prefix(kind) {
            Some(_) => value.to_owned(),
            None => format!("{kind}{value}"),
        };
        match key {
            "ref" => self.set_reference(value),
            "tag" => self.set_reference(&full("refs/tags/")),
            "branch" => self.set_reference(&full("refs/heads/")),
            "subdir" => self.set_folder(value),
            "checksum" | "commit" => {
                self.checksum = Some(checksum(value)?);
                Ok(())
            }
            "keep-git-dir" => switch(key, value).map(|on| self.keep_git_folder = Some(on)),
            "submodules" => switch(key, value).map(|on| self.submodules = Some(on)),
            _ => Err(format!(
                "unknown {key}=; known are ref, branch, tag, subdir, checksum, commit, keep-git-dir, submodules"
            )),
        }
    }

    fn set_reference(&mut self, reference: &str) -> Result<(), String> {
        if reference.is_empty() {
            return Ok(());
        }
        let odd = |it: char| it.is_whitespace() || it.is_control() || "~^:?*[\\".contains(it);
        if reference.starts_with('-') || reference.contains("..") || reference.contains(odd) {
            return Err(format!("{reference:?} can't be the name of a branch, a tag or a commit"));
        }
        match self.reference.replace(reference.to_owned()) {
            Some(other) if other != reference => Err(format!("it names both {other} and {reference}")),
            _ => Ok(()),
        }
    }

    fn set_folder(&mut self, folder: &str) -> Result<(), String> {
        let clean = crate::tree::normalise(folder.as_ref()).to_string_lossy().into_owned();
        if clean.is_empty() {
            return Ok(());
        }
        match self.folder.replace(clean.clone()) {
            Some(other) if other != clean => Err(format!("it names both folder {other} and {clean}")),
            _ => Ok(()),
        }
    }

    /// Takes over what flags of ADD say.
    ///
    /// # Errors
    /// The address says something else.
    pub(crate) fn with_flags(
        mut self,
        commit: Option<&str>,
        keep_git_folder: Option<bool>,
    ) -> Result<Self, AddressError> {
        let address = self.to_string();
        let fail = |message: String| AddressError { address: address.clone(), message };
        if let Some(commit) = commit {
            let commit = checksum(commit).map_err(&fail)?;
            if self.checksum.as_ref().is_some_and(|own| *own != commit) {
                return Err(fail("the checksums of flag and address differ".to_owned()));
            }
            self.checksum = Some(commit);
        }
        if let Some(keep) = keep_git_folder {
            if self.keep_git_folder.is_some_and(|own| own != keep) {
                return Err(fail("--keep-git-dir and the address say different things".to_owned()));
            }
            self.keep_git_folder = Some(keep);
        }
        Ok(self)
    }

    /// Everything that decides which files a commit gives.
    pub(crate) fn describe(&self) -> String {
        let Self { repository, folder, keep_git_folder, submodules, .. } = self;
        format!("{repository} {folder:?} {keep_git_folder:?} {submodules:?}")
    }

    /// The HTTP header that carries the address's credentials.
    pub(super) fn authorization(&self) -> Option<String> {
        Some(format!("Basic {}", BASE64.encode(self.credentials.as_ref()?)))
    }

    /// A text of somebody else's with everything that is a credential taken out.
    pub(super) fn without_credentials(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let Some(credentials) = &self.credentials else { return text };
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        for secret in [credentials, &BASE64.encode(credentials), password, user] {
            if !secret.is_empty() {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

impl std::fmt::Display for GitAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(reference) = &self.reference {
            write!(f, "#{reference}")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for GitAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}:{} {:?}", self.folder.as_deref().unwrap_or_default(), self.checksum)
    }
}

/// The name of a commit, or how it begins.
fn checksum(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_hex && (7..=64).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("checksum {text:?} is no name of a commit; write its 40 hex digits in lower case"))
}

fn switch(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{key} is {value:?}, it must be true or false")),
    }
}

/// `%41` → `A`; what is no such code, or makes no text, stays.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests;
