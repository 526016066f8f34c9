//! Certificates for one registry, in the folders that Docker reads: `certs.d/HOST[:PORT]/`.
//!
//! `*.crt` are authorities to trust there; a pair `NAME.cert` and `NAME.key` is what we show there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What is shown to and trusted of one registry.
#[derive(Default)]
pub(crate) struct HostCertificates {
    /// PEM files.
    pub(crate) authorities: Vec<Vec<u8>>,
    /// Certificate and key, both PEM, in one.
    pub(crate) identity: Option<Vec<u8>>,
}

/// A client for each registry that has certificates of its own.
#[derive(Default)]
pub(crate) struct HostClients(Mutex<HashMap<String, Option<reqwest::Client>>>);

impl HostClients {
    /// The client for `host`, made by `make` when it is first needed; `None` where none is needed.
    ///
    /// # Errors
    /// What `make` says.
    pub(crate) fn get<E>(
        &self,
        host: &str,
        make: impl FnOnce() -> Result<Option<reqwest::Client>, E>,
    ) -> Result<Option<reqwest::Client>, E> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = known.get(host) {
            return Ok(client.clone());
        }
        let made = make()?;
        known.insert(host.to_owned(), made.clone());
        Ok(made)
    }
}

/// What the first of `folders` that knows `host` has for it.
///
/// # Errors
/// When a file can't be read, or a certificate has no key beside it.
pub(crate) fn read(folders: &[PathBuf], host: &str) -> io::Result<Option<HostCertificates>> {
    // A host name can't leave the folder.
    if host.is_empty() || host.contains('/') || host.starts_with('.') {
        return Ok(None);
    }
    let folder = folders.iter().map(|folder| folder.join(host)).find(|folder| folder.is_dir());
    folder.map(|folder| read_folder(&folder)).transpose()
}

fn read_folder(folder: &Path) -> io::Result<HostCertificates> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    names.sort();
    let mut found = HostCertificates::default();
    for path in names {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.push(named(&path, fs::read(&path))?),
            Some("cert") if found.identity.is_none() => {
                let key = path.with_extension("key");
                let mut pem = named(&path, fs::read(&path))?;
                pem.push(b'\n');
                pem.extend(named(&key, fs::read(&key))?);
                found.identity = Some(pem);
            }
            _ => {}
        }
    }
    Ok(found)
}

fn named<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_found_by_host_and_port() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("here:5000");
        fs::create_dir(&own).unwrap();
        for (name, content) in
            [("ca.crt", "one"), ("more.crt", "two"), ("client.cert", "c"), ("client.key", "k")]
        {
            fs::write(own.join(name), content).unwrap();
        }
        let folders = [place.path().join("absent"), place.path().to_owned()];
        let found = read(&folders, "here:5000").unwrap().unwrap();
        assert_eq!(found.authorities, [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(found.identity.unwrap(), b"c\nk");
        for other in ["here", "here:5001", "..", ".", "", "here:5000/.."] {
            assert!(read(&folders, other).unwrap().is_none(), "{other}");
        }
        fs::remove_file(own.join("client.key")).unwrap();
        assert!(read(&folders, "here:5000").err().unwrap().to_string().contains("client.key"));
    }
}
