//! Users with passwords: the file that `htpasswd -B` writes.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::Caller;

const FILE_LIMIT: u64 = 4 << 20;
/// Hashing is slow on purpose: strangers must not occupy every processor with it.
const AT_ONCE: usize = 2;
/// Longer ones are cut by bcrypt, silently.
const PASSWORD_LIMIT: usize = 72;
/// Of nobody: who asks for an unknown user waits as long as for a known one.
const NOBODY: &str = "$2b$10$yqVL0BMAqPwpK5ZO6sSQ0uJZfqmk3h8BSVMBmXnmJAvNvJF5XHXxK";

/// The users of a registry.
#[derive(Debug)]
pub(crate) struct Passwords {
    file: PathBuf,
    known: Arc<Mutex<Known>>,
    at_once: Semaphore,
    salt: [u8; 32],
}

#[derive(Debug)]
struct Known {
    /// When the file was written that this is from.
    written: Option<SystemTime>,
    hashes: HashMap<String, String>,
    /// Salted digests of what was right since then: a push asks a hundred times.
    right: HashMap<[u8; 32], String>,
}

/// Why users can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A line is none of `htpasswd -B`.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it; never has a hash in it.
        reason: &'static str,
    },
}

impl Passwords {
    pub(crate) fn open(file: &Path) -> Result<Self, PasswordError> {
        let failed = |source| PasswordError::Read { path: file.to_owned(), source };
        let mut salt = [0; 32];
        let drawn = ring::rand::SystemRandom::new().fill(&mut salt);
        drawn.map_err(|_| failed(io::Error::other("no random numbers")))?;
        Ok(Self {
            file: file.to_owned(),
            known: Arc::new(Mutex::new(Known::read(file)?)),
            at_once: Semaphore::new(AT_ONCE),
            salt,
        })
    }

    /// Who shows these credentials, base64 of `user:password`.
    pub(crate) async fn caller(&self, credentials: &str) -> Option<Caller> {
        let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        self.verify(user, password).await
    }

    /// The user, if the password is his.
    pub(crate) async fn verify(&self, user: &str, password: &str) -> Option<Caller> {
        if password.len() > PASSWORD_LIMIT {
            return None;
        }
        self.read_again();
        let key = self.key(user, password);
        let hash = {
            let known = self.known.lock().expect("no panic while locked");
            if let Some(user) = known.right.get(&key) {
                return Some(Caller::User(user.clone()));
            }
            known.hashes.get(user).cloned()
        };
        let _slot = self.at_once.acquire().await.expect("it is never closed");
        let (user, password) = (user.to_owned(), password.to_owned());
        let known = Arc::clone(&self.known);
        let verified = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(&password, hash.as_deref().unwrap_or(NOBODY)).unwrap_or(false);
            let mut known = known.lock().expect("no panic while locked");
            // The file may have changed meanwhile.
            if !is_right || hash.is_none() || known.hashes.get(&user) != hash.as_ref() {
                return None;
            }
            known.right.insert(key, user.clone());
            Some(Caller::User(user))
        });
        verified.await.ok().flatten()
    }

    /// A file that was changed is read; one that is malformed now leaves the users as they were.
    fn read_again(&self) {
        let written = written(&self.file);
        let mut known = self.known.lock().expect("no panic while locked");
        if written != known.written
            && let Ok(newer) = Known::read(&self.file)
        {
            *known = newer;
        }
    }

    fn key(&self, user: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.salt);
        digest.update((user.len() as u64).to_le_bytes());
        digest.update(user);
        digest.update(password);
        digest.finalize().into()
    }
}

impl Known {
    fn read(file: &Path) -> Result<Self, PasswordError> {
        let failed = |source| PasswordError::Read { path: file.to_owned(), source };
        let written = written(file);
        if fs::metadata(file).map_err(failed)?.len() > FILE_LIMIT {
            return Err(failed(io::Error::other(format!("it is longer than {FILE_LIMIT} bytes"))));
        }
        let text = fs::read_to_string(file).map_err(failed)?;
        let hashes = users(&text).map_err(|(line, reason)| PasswordError::Line {
            path: file.to_owned(),
            line,
            reason,
        })?;
        Ok(Self { written, hashes, right: HashMap::new() })
    }
}

fn written(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|found| found.modified()).ok()
}

/// `user:hash` in each line; the line and the reason of the first that is not.
fn users(text: &str) -> Result<HashMap<String, String>, (usize, &'static str)> {
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((user, hash)) = line.split_once(':') else {
            return Err((number, "no user:hash; write it with htpasswd -B"));
        };
        if user.is_empty() || user == "*" || user == "anonymous" {
            return Err((number, "no user can be called so"));
        }
        if !["$2y$", "$2b$", "$2a$"].iter().any(|kind| hash.starts_with(kind)) {
            return Err((number, "the hash is not bcrypt's; write it with htpasswd -B"));
        }
        if users.insert(user.to_owned(), hash.to_owned()).is_some() {
            return Err((number, "the user is there twice"));
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let found = users("# users\n\nalice:$2y$05$abc\n bob:$2b$10$def\n").unwrap();
        assert_eq!(found["alice"], "$2y$05$abc");
        assert_eq!(found["bob"], "$2b$10$def");
        for (text, expected) in [
            ("alice", (1, "no user:hash")),
            ("\nalice:{SHA}x", (2, "not bcrypt")),
            ("alice:$apr1$x", (1, "not bcrypt")),
            (":$2y$05$abc", (1, "called so")),
            ("*:$2y$05$abc", (1, "called so")),
            ("a:$2y$1\na:$2y$1", (2, "twice")),
        ] {
            let (line, reason) = users(text).unwrap_err();
            assert!(line == expected.0 && reason.contains(expected.1), "{text:?}: {line} {reason}");
        }
    }

    #[test]
    fn the_hash_of_nobody_takes_as_long_as_another() {
        assert!(!bcrypt::verify("some", NOBODY).unwrap());
    }

    #[tokio::test]
    async fn passwords_are_verified_and_a_changed_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        let line = |password: &str| format!("alice:{}\n", bcrypt::hash(password, 4).unwrap());
        std::fs::write(&file, line("one")).unwrap();
        let passwords = Passwords::open(&file).unwrap();
        let is_right = async |user: &str, password: &str| passwords.verify(user, password).await.is_some();
        assert!(is_right("alice", "one").await);
        assert!(is_right("alice", "one").await, "what was right is remembered");
        assert!(!is_right("alice", "two").await);
        assert!(!is_right("bob", "one").await);
        assert!(!is_right("alice", &"x".repeat(73)).await);

        std::fs::write(&file, line("two")).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        assert!(!is_right("alice", "one").await);
        assert!(is_right("alice", "two").await);
    }
}
