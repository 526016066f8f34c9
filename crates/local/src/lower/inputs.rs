//! What lowering looks at besides the Object itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minato_oci::{Digest, Image};
use minato_resource::Object;
use minato_sync::{ApplicationName, SecretReference, SecretValue, is_mark};

/// The namespace of Objects that don't say one.
pub const DEFAULT_NAMESPACE: &str = "default";

/// What lowering looks at besides the Object itself.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The Application that owns everything.
    pub application: &'a ApplicationName,
    /// Every desired Object: ConfigMaps, Secrets and task definitions that others refer to.
    pub objects: &'a [Object],
    /// Secret values that no Object holds (see [`crate::lower::uses`]).
    pub secrets: &'a BTreeMap<SecretReference, SecretValue>,
    /// Images by the reference that the Objects write.
    pub images: &'a BTreeMap<String, Image>,
    /// The user's choices.
    pub options: &'a Options,
}

/// The user's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Run although something that the documents ask for can't be enforced here.
    pub insecure: bool,
    /// How long the first replica of a new revision must stay ready before it gets traffic, where the Object has
    /// no annotation `minato.dev/soak-seconds`.
    pub soak_seconds: u32,
    /// Folder for what PersistentVolumeClaims ask for.
    pub volumes: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { insecure: false, soak_seconds: 10, volumes: PathBuf::from("/var/lib/minato/volumes") }
    }
}

/// The Object's namespace, or [`DEFAULT_NAMESPACE`].
pub fn namespace_of(object: &Object) -> &str {
    if object.namespace().is_empty() { DEFAULT_NAMESPACE } else { object.namespace() }
}

/// The entries of a ConfigMap or Secret.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

impl Inputs<'_> {
    /// The entries of a ConfigMap.
    pub(crate) fn config_map(&self, namespace: &str, name: &str) -> Option<Entries> {
        let object = self.find("ConfigMap", namespace, name)?;
        let mut entries = texts(object, "/data");
        entries.extend(decoded(object, "/binaryData"));
        Some(entries)
    }

    /// The entries of a Secret, from an Object, else from the values that `minato.yaml` gives.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Option<Entries> {
        if let Some(object) = self.find("Secret", namespace, name) {
            let mut entries = decoded(object, "/data");
            entries.extend(texts(object, "/stringData"));
            return Some(entries);
        }
        let given = self.secrets.iter().filter(|(reference, _)| {
            reference.namespace == namespace && reference.name == name && reference.key.is_some()
        });
        let entries: Entries = given
            .filter_map(|(reference, value)| Some((reference.key.clone()?, value.expose().to_vec())))
            .collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// A secret that is one value, by the identifier that the document writes.
    pub(crate) fn secret_value(&self, identifier: &str) -> Option<&SecretValue> {
        let reference = SecretReference { namespace: String::new(), name: identifier.to_owned(), key: None };
        self.secrets.get(&reference)
    }

    /// The ConfigMap or Secret of that name.
    pub(super) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| {
            object.key().is("", kind) && namespace_of(object) == namespace && object.name() == name
        })
    }

    /// The identity of the image behind a reference.
    pub fn image_id(&self, reference: &str) -> Option<Digest> {
        self.images.get(reference).map(|image| image.id)
    }
}

fn texts(object: &Object, pointer: &str) -> Entries {
    let entries = object.text_map(pointer).into_iter();
    entries.map(|(key, text)| (key.to_owned(), text.as_bytes().to_vec())).collect()
}

/// What is not base64 is left out; the Object that holds it has an error of its own.
fn decoded(object: &Object, pointer: &str) -> Entries {
    let entries = object.text_map(pointer).into_iter();
    entries.filter_map(|(key, text)| Some((key.to_owned(), decode(text)?))).collect()
}

/// Base64 as Kubernetes takes it, line breaks included. A value that was taken out stands for itself, so that
/// remembered Objects can be compared.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if is_mark(text) {
        return Some(text.as_bytes().to_vec());
    }
    let compact: String = text.chars().filter(|character| !matches!(character, '\n' | '\r')).collect();
    BASE64.decode(compact).ok()
}
