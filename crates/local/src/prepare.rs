//! What lowering needs from outside, fetched once for each set of desired Objects: secret values and images.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minato_oci::{Image, Store};
use minato_resource::Object;
use minato_sync::{ApplicationName, Context, SecretError, SecretReference, SecretSource, SecretValue};

use crate::lower::{Inputs, Options, Use, namespace_of, uses};

/// Everything that the Objects of one [`Context`] refer to.
#[derive(Debug)]
pub(crate) struct Prepared {
    application: ApplicationName,
    objects: Arc<[Object]>,
    secrets: BTreeMap<SecretReference, SecretValue>,
    images: BTreeMap<String, Image>,
}

impl Prepared {
    /// Fetches it. What is not there is left out: lowering says so at its line.
    pub(crate) async fn fetch(
        context: &Context,
        store: &Store,
        source: &dyn SecretSource,
    ) -> Result<Self, PrepareError> {
        let mut images = BTreeMap::new();
        for (reference, id) in context.images.iter() {
            let image = store.image(id).map_err(|error| PrepareError::Image(error.to_string()))?;
            images.extend(image.map(|image| (reference.clone(), image)));
        }
        Ok(Self {
            application: context.owner.application.clone(),
            objects: Arc::clone(&context.desired),
            secrets: fetch_secrets(&context.desired, source).await?,
            images,
        })
    }

    /// Whether it was fetched for these very Objects and images.
    pub(crate) fn is_for(&self, context: &Context) -> bool {
        Arc::ptr_eq(&self.objects, &context.desired)
            && self.application == context.owner.application
            && self.images.len() == context.images.len()
            && self.images.iter().all(|(reference, image)| context.images.get(reference) == Some(&image.id))
    }

    /// As lowering takes it.
    pub(crate) fn inputs<'a>(&'a self, options: &'a Options) -> Inputs<'a> {
        Inputs {
            application: &self.application,
            objects: &self.objects,
            secrets: &self.secrets,
            images: &self.images,
            options,
        }
    }
}

/// What could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the image store: {0}")]
    Image(String),
}

/// Values of secrets that no Object holds.
async fn fetch_secrets(
    objects: &[Object],
    source: &dyn SecretSource,
) -> Result<BTreeMap<SecretReference, SecretValue>, SecretError> {
    let mut wanted: BTreeSet<SecretReference> = BTreeSet::new();
    for object in objects {
        let namespace = namespace_of(object);
        for used in uses(object, objects) {
            match used {
                Use::SecretKey(name, key) if !holds(objects, namespace, &name) => {
                    wanted.insert(reference(namespace, &name, Some(key)));
                }
                Use::Secret(name) if !holds(objects, namespace, &name) => {
                    let keys = source.keys(namespace, &name).await?;
                    wanted.extend(keys.into_iter().map(|key| reference(namespace, &name, Some(key))));
                }
                Use::SecretValue(identifier) => {
                    wanted.insert(reference("", &identifier, None));
                }
                _ => {}
            }
        }
    }
    let mut values = BTreeMap::new();
    for reference in wanted {
        let value = fetch_one(&reference, source).await?;
        values.extend(value.map(|value| (reference, value)));
    }
    Ok(values)
}

/// A Secrets Manager identifier may name one key of a JSON secret (`arn:…:secret:NAME:KEY:STAGE:VERSION`, ECS
/// developer guide); then the secret itself may be what is given.
async fn fetch_one(
    reference: &SecretReference,
    source: &dyn SecretSource,
) -> Result<Option<SecretValue>, SecretError> {
    if let Some(value) = source.resolve(reference).await? {
        return Ok(Some(value));
    }
    let Some((secret, key)) = json_key(&reference.name).filter(|_| reference.key.is_none()) else {
        return Ok(None);
    };
    let whole = SecretReference { name: secret, ..reference.clone() };
    let Some(value) = source.resolve(&whole).await? else { return Ok(None) };
    let document: Option<serde_json::Value> = serde_json::from_slice(value.expose()).ok();
    let part = document.as_ref().and_then(|document| document.get(&key));
    Ok(part.map(|part| match part {
        serde_json::Value::String(text) => SecretValue::new(text.as_bytes()),
        other => SecretValue::new(other.to_string()),
    }))
}

/// (secret, key) of an identifier with a key.
fn json_key(identifier: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = identifier.split(':').collect();
    let is_secret = parts.first() == Some(&"arn") && parts.get(2) == Some(&"secretsmanager");
    let key = parts.get(7).filter(|key| is_secret && !key.is_empty())?;
    Some((parts[..7].join(":"), (*key).to_owned()))
}

fn holds(objects: &[Object], namespace: &str, name: &str) -> bool {
    objects.iter().any(|object| {
        object.key().is("", "Secret") && namespace_of(object) == namespace && object.name() == name
    })
}

fn reference(namespace: &str, name: &str, key: Option<String>) -> SecretReference {
    SecretReference { namespace: namespace.to_owned(), name: name.to_owned(), key }
}

#[cfg(test)]
mod tests {
    use super::json_key;

    #[test]
    fn an_identifier_may_name_a_key_of_the_secret() {
        let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-AbCdEf";
        let split = json_key(&format!("{secret}:password::"));
        assert_eq!(split, Some((secret.to_owned(), "password".to_owned())));
        assert_eq!(json_key(secret), None);
        assert_eq!(json_key(&format!("{secret}:::")), None);
        assert_eq!(json_key("arn:aws:ssm:eu-central-1:1:parameter/a:b:c:d"), None);
    }
}
