//! Values that the files only refer to, from the source that `minato.yaml` names.

mod env_file;
mod names;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use minato_resource::Diagnostic;
use minato_sync::{SecretError, SecretReference, SecretSource, SecretValue};

use crate::configuration::{Configuration, SecretsFrom};
use crate::path::{PathError, RelativePath};
use crate::tree::{Tree, TreeError};

/// Why the source of secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The path leaves the tree.
    #[error("`secrets.env_file` in minato.yaml: {0}")]
    Path(#[from] PathError),
    /// The file cannot be read.
    #[error("`secrets.env_file` in minato.yaml: {0}")]
    File(#[from] TreeError),
}

/// Local secret values by name. [`fmt::Debug`] shows names only.
#[derive(Default, Clone)]
pub struct LocalSecrets {
    values: BTreeMap<String, SecretValue>,
    /// Where they come from, for messages.
    place: Place,
}

#[derive(Default, Clone, Debug)]
enum Place {
    /// `minato.yaml` names none.
    #[default]
    Nowhere,
    File(String),
    Environment,
}

impl LocalSecrets {
    /// Reads the source that `minato.yaml` names: an `.env` file of the tree, or `environment`, which is that of the
    /// command (`std::env::vars_os`, say; a name or value that is not text is left out).
    ///
    /// # Errors
    /// The file leads out of the tree or cannot be read. Lines that are wrong are among the diagnostics.
    pub fn read(
        configuration: &Configuration,
        tree: &dyn Tree,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(LocalSecrets, Vec<Diagnostic>), SecretsError> {
        match &configuration.secrets {
            None => Ok((LocalSecrets::default(), Vec::new())),
            Some(SecretsFrom::Environment) => {
                let values = environment.into_iter().map(|(name, value)| (name, SecretValue::new(value)));
                Ok((LocalSecrets { values: values.collect(), place: Place::Environment }, Vec::new()))
            }
            Some(SecretsFrom::EnvFile(path)) => {
                let path = RelativePath::parse(&path.value)?;
                let (values, diagnostics) = env_file::parse(&tree.read(&path)?);
                let place = Place::File(tree.show(&path).display().to_string());
                Ok((LocalSecrets { values, place }, diagnostics))
            }
        }
    }

    /// The value of a reference, under the first of its names that is there.
    pub fn get(&self, reference: &SecretReference) -> Option<&SecretValue> {
        names::of(reference, self.is_environment()).iter().find_map(|name| self.values.get(name))
    }

    /// The keys that are given for a Secret, for those who take all of them. In the environment they are upper case:
    /// `DB_URL` is the key `URL` of the secret `db`.
    pub fn keys(&self, namespace: &str, name: &str) -> Vec<String> {
        let prefixes = names::prefixes(namespace, name, self.is_environment());
        let key = |given: &String| {
            let key = prefixes.iter().find_map(|prefix| given.strip_prefix(prefix.as_str()))?;
            (!key.is_empty() && !key.contains('/')).then(|| key.to_owned())
        };
        let keys: std::collections::BTreeSet<String> = self.values.keys().filter_map(key).collect();
        keys.into_iter().collect()
    }

    /// How to give a value that is missing: one sentence for an error's end.
    pub fn how_to_give(&self, reference: &SecretReference) -> String {
        let names = names::of(reference, self.is_environment());
        let name = names.first().map(String::as_str).unwrap_or_default();
        match &self.place {
            Place::Nowhere => format!(
                "write a line `{name}=VALUE` into a file, keep it out of Git, and name it in minato.yaml: `secrets: {{env_file: FILE}}`"
            ),
            Place::File(file) => format!("add a line `{name}=VALUE` to {file}"),
            Place::Environment => format!("set the environment variable {name}"),
        }
    }

    fn is_environment(&self) -> bool {
        matches!(self.place, Place::Environment)
    }
}

#[async_trait]
impl SecretSource for LocalSecrets {
    async fn resolve(&self, reference: &SecretReference) -> Result<Option<SecretValue>, SecretError> {
        Ok(self.get(reference).cloned())
    }

    async fn keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, SecretError> {
        Ok(LocalSecrets::keys(self, namespace, name))
    }
}

impl fmt::Debug for LocalSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            // The whole environment is listed by nobody.
            Place::Environment => f.write_str("LocalSecrets(environment)"),
            _ => f
                .debug_tuple("LocalSecrets")
                .field(&self.place)
                .field(&self.values.keys().collect::<Vec<_>>())
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests;
