//! Digests as a registry gets them: SHA-256 and, other than this machine's images, SHA-512 (the OCI image
//! specification's "Registered algorithms").

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

/// A digest algorithm that a registry verifies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Hex digits of a digest.
    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// `sha256:…` or `sha512:…` with the right number of lower-case hex digits, and so safe as a file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ContentDigest {
    algorithm: Algorithm,
    hex: String,
}

/// Why a text is no digest that a registry takes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("digest {0:?} is not sha256: or sha512: with its number of lower-case hex digits")]
pub(crate) struct ContentDigestError(String);

impl ContentDigest {
    pub(crate) fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for ContentDigest {
    type Err = ContentDigestError;

    fn from_str(text: &str) -> Result<Self, ContentDigestError> {
        let refused = || ContentDigestError(text.chars().take(160).collect());
        let (name, hex) = text.split_once(':').ok_or_else(refused)?;
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        let algorithm = algorithm.ok_or_else(refused)?;
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != algorithm.digits() || !hex.bytes().all(is_digit) {
            return Err(refused());
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for ContentDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ContentDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes under one algorithm.
#[derive(Clone, Debug)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> ContentDigest {
        let algorithm = self.algorithm();
        let hex = match self {
            Self::Sha256(state) => hex::encode(state.finalize()),
            Self::Sha512(state) => hex::encode(state.finalize()),
        };
        ContentDigest { algorithm, hex }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_are_known() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(ContentDigest::of(Algorithm::Sha256, b""), empty.parse().unwrap());
        let long = ContentDigest::of(Algorithm::Sha512, b"abc").to_string();
        assert!(long.starts_with("sha512:ddaf35a193617aba"), "{long}");
        assert_eq!(long.parse::<ContentDigest>().unwrap().to_string(), long);
    }

    #[test]
    fn what_could_be_another_file_is_refused() {
        let digits = "a".repeat(64);
        for text in [
            String::new(),
            digits.clone(),
            format!("md5:{digits}"),
            format!("sha512:{digits}"),
            format!("sha256:{}", digits.to_uppercase()),
            format!("sha256:{digits}a"),
            format!("sha256:../{}", &digits[3..]),
            format!("sha256:{}é", &digits[2..]),
        ] {
            assert!(text.parse::<ContentDigest>().is_err(), "{text}");
        }
    }
}
