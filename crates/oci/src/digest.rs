//! Content digests, as the OCI image specification's "Digests" section defines them.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The digest of some bytes: `sha256:<64 hex digits>`.
///
/// The specification registers sha512 as well; no registry uses it, and it is refused by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DigestError {
    /// There is no `algorithm:` before the hex digits.
    #[error("digest {0:?} has no algorithm; write sha256:<64 hex digits>")]
    NoAlgorithm(String),
    /// The algorithm is not sha256.
    #[error("digest algorithm {0:?} is not supported; use sha256")]
    Algorithm(String),
    /// Too many or too few digits, or something that is no lower-case hex digit.
    #[error("digest {0:?} is not 64 lower-case hex digits after its algorithm")]
    Hex(String),
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// The hex digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hex digits, as tools print an image's identity.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, digits) =
            text.split_once(':').ok_or_else(|| DigestError::NoAlgorithm(text.to_owned()))?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(algorithm.to_owned()));
        }
        let mut bytes = [0; 32];
        // Two spellings of one digest would be two file names: upper case is refused, as the specification asks.
        let lower = !digits.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) if lower => Ok(Self(bytes)),
            _ => Err(DigestError::Hex(text.to_owned())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

crate::text::serde_as_text!(Digest);

/// Hashes what is written to it and counts the bytes.
#[derive(Clone, Debug, Default)]
pub struct Digester {
    state: Sha256,
    written: u64,
}

impl Digester {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.written += bytes.len() as u64;
    }

    /// Bytes seen so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The digest, and how many bytes went into it.
    pub fn finish(self) -> (Digest, u64) {
        (Digest(self.state.finalize().into()), self.written)
    }
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digest_of_nothing_is_the_published_one() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        assert_eq!(Digester::default().finish(), (EMPTY.parse().unwrap(), 0));
    }

    #[test]
    fn malformed_digests_are_refused() {
        for (text, expected) in [
            ("", "no algorithm"),
            ("e3b0", "no algorithm"),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", "not supported"),
            ("sha256:", "64 lower-case hex"),
            ("sha256:e3b0", "64 lower-case hex"),
            (&EMPTY.replace("e3b0", "E3B0"), "64 lower-case hex"),
            (&EMPTY.replace("e3b0", "../."), "64 lower-case hex"),
            (&format!("{EMPTY}00"), "64 lower-case hex"),
            ("sha512:00", "not supported"),
        ] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
