//! The key under which a step's layer is remembered.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A digest of everything that decides a layer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Builds a key of named parts. Names and lengths are hashed too, so that no two lists of parts give the same bytes.
pub(crate) struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// `kind` says what the key is for; change it when the same parts come to mean something else.
    pub(crate) fn new(kind: &str) -> Self {
        Self(Sha256::new()).text("kind", kind)
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.part(name.as_bytes());
        self.part(value.as_bytes());
        self
    }

    pub(crate) fn list(mut self, name: &str, values: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        self.part(name.as_bytes());
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.0.update((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| self.part(value.as_bytes()));
        self
    }

    pub(crate) fn finish(self) -> Key {
        Key(self.0.finalize().into())
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_can_not_run_into_each_other() {
        let key = |name: &str, values: &[&str]| KeyBuilder::new("t").list(name, values).finish();
        assert_eq!(key("a", &["b"]), key("a", &["b"]));
        assert_ne!(key("a", &["b", "c"]), key("a", &["bc"]));
        assert_ne!(key("a", &["b"]), key("ab", &[]));
        assert_ne!(key("a", &[]), key("a", &[""]));
    }
}
