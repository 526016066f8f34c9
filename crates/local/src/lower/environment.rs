//! The environment of a container: the image's, then `envFrom`, then `env`, later ones winning.

use minato_sync::field::Field;
use minato_workload::spec::{EnvValue, EnvVar, Secret};

use super::expand::expand;
use super::pod::Scope;
use super::pod_field;

/// Variables in order, each name once.
#[derive(Debug, Default)]
pub(super) struct Environment(Vec<(String, EnvValue)>);

impl Environment {
    /// Sets a variable, at its old place when it is there.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.put(name, EnvValue::Text(Secret::new(value)));
    }

    /// As [`Environment::set`], with any value.
    pub(super) fn put(&mut self, name: &str, value: EnvValue) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The value of a variable; none for what only a replica knows.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        match self.0.iter().find(|(known, _)| known == name)? {
            (_, EnvValue::Text(text)) => Some(text.reveal().to_owned()),
            (_, EnvValue::ReplicaName | EnvValue::ReplicaAddress) => None,
        }
    }

    /// Sets `NAME=VALUE` texts, as an image's config has them.
    pub(super) fn set_all(&mut self, entries: &[String]) {
        for (name, value) in entries.iter().filter_map(|entry| entry.split_once('=')) {
            self.set(name, value.to_owned());
        }
    }

    /// As the supervisor takes them.
    pub(super) fn into_variables(self) -> Vec<EnvVar> {
        self.0.into_iter().map(|(name, value)| EnvVar { name, value }).collect()
    }
}

/// Reads `envFrom` and `env` of a container. The result does not hold the image's variables, because `$(NAME)` does
/// not see them in Kubernetes.
pub(super) fn lower(container: &Field, scope: &Scope) -> Environment {
    let mut environment = Environment::default();
    for from in container.get("envFrom").items() {
        from_all(&from, scope, &mut environment);
    }
    for variable in container.get("env").items() {
        let Some(name) = variable.get("name").required_text() else { continue };
        if name.is_empty() || name.contains(['=', '\0']) {
            variable.get("name").error("variable-name", "this can't name a variable");
            continue;
        }
        if let Some(own) = pod_field::of_replica(&variable.get("valueFrom").get("fieldRef").get("fieldPath"))
        {
            environment.put(name, own);
            continue;
        }
        if let Some(value) = value(&variable, container, scope, &environment) {
            environment.set(name, value);
        }
    }
    environment
}

/// `envFrom`: every key of a ConfigMap or Secret.
fn from_all(from: &Field, scope: &Scope, environment: &mut Environment) {
    let prefix = from.get("prefix").text().unwrap_or("");
    let (config_map, secret) = (from.get("configMapRef"), from.get("secretRef"));
    let entries = if config_map.is_present() {
        scope.config_map(&config_map)
    } else if secret.is_present() {
        scope.secret(&secret, "name")
    } else {
        from.error("env-from", "an item of `envFrom` must have `configMapRef` or `secretRef`");
        return;
    };
    for (key, bytes) in entries.unwrap_or_default() {
        let name = format!("{prefix}{key}");
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') && !name.contains('=') => environment.set(&name, text),
            _ => {
                from.warning("env-from", format!("{key:?} is not text, so it is left out of the environment"))
            }
        }
    }
}

fn value(variable: &Field, container: &Field, scope: &Scope, environment: &Environment) -> Option<String> {
    let (value, from) = (variable.get("value"), variable.get("valueFrom"));
    if value.is_present() && from.is_present() {
        from.error("env-value", "a variable has either `value` or `valueFrom`, not both");
        return None;
    }
    if !from.is_present() {
        let text = value.text().unwrap_or("");
        refuse_nul(&value, text);
        return Some(expand(text, &|name| environment.get(name)));
    }
    let (config_map, secret) = (from.get("configMapKeyRef"), from.get("secretKeyRef"));
    let (field, resource) = (from.get("fieldRef"), from.get("resourceFieldRef"));
    if config_map.is_present() {
        return text_of(&config_map, scope.config_map_key(&config_map)?);
    }
    if secret.is_present() {
        return text_of(&secret, scope.secret_key(&secret)?);
    }
    if field.is_present() {
        return pod_field::value(&field.get("fieldPath"), scope);
    }
    if resource.is_present() {
        return pod_field::resource(&resource, container, scope);
    }
    from.error("env-value", "this `valueFrom` has no source that is known here");
    None
}

/// A variable or argument ends at its first NUL byte, so it can hold none.
pub(super) fn refuse_nul(field: &Field, text: &str) {
    if text.contains('\0') {
        field.error("wrong-value", "the text holds a NUL byte");
    }
}

fn text_of(field: &Field, bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    if text.is_none() {
        field.error("env-value", "the value is not text, so it can't be a variable; mount it as a file");
    }
    text
}
