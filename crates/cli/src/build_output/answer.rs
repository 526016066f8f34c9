//! What a build tells: on stdout, in `--metadata-file` and `--iidfile`.

use minato_oci::{Descriptor, Digest, Image, Platform, Reference};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What was built, as `-o json` shows it.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The identity on this machine: the digest of the config; of several platforms the first one's.
    id: Digest,
    references: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<PlatformAnswer>,
    /// Names with the digest that a registry has now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pushed: Vec<Reference>,
    /// The manifest or index that was exported last.
    #[serde(skip_serializing_if = "Option::is_none")]
    exported: Option<Digest>,
    #[serde(skip)]
    root: Option<Descriptor>,
}

#[derive(Debug, Serialize)]
struct PlatformAnswer {
    platform: Platform,
    id: Digest,
}

impl Answer {
    /// Of images for different platforms.
    pub fn new(images: &[Image], references: Vec<Reference>) -> Self {
        let one = |image: &Image| PlatformAnswer { platform: image.config.platform(), id: image.id };
        let platforms = if images.len() > 1 { images.iter().map(one).collect() } else { Vec::new() };
        let id = images.first().map_or_else(|| Digest::sha256(""), |image| image.id);
        Self { id, references, platforms, pushed: Vec::new(), exported: None, root: None }
    }

    /// What was written or sent.
    pub fn exported(&mut self, root: &Descriptor) {
        self.exported = Some(root.digest);
        self.root = Some(root.clone());
    }

    /// One line for scripts: the config's digest; of several platforms the index's, where there is one.
    pub fn identity(&self) -> Digest {
        match self.exported.filter(|_| !self.platforms.is_empty()) {
            Some(index) => index,
            None => self.id,
        }
    }

    /// The keys that buildx writes.
    pub fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        if self.platforms.is_empty() {
            metadata.insert("containerimage.config.digest".to_owned(), json!(self.id));
        }
        if let Some(root) = &self.root {
            metadata.insert("containerimage.descriptor".to_owned(), json!(root));
            metadata.insert("containerimage.digest".to_owned(), json!(root.digest));
        }
        let names: Vec<String> = self.references.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            metadata.insert("image.name".to_owned(), json!(names.join(",")));
        }
        Value::Object(metadata)
    }
}
