//! `plain-secret`: what stands in an image's history, a manifest or a task definition can be read by too many.
//!
//! No message ever holds a value.

use minato_dockerfile::{Instruction, Word};
use serde_json::Value;

use crate::build_check::is_secret_name as is_told_by_build_checks;
use crate::rule::Finding;
use crate::subject::{Container, Dockerfile, Pod, Task};

/// Words that make a name a secret's, alone or as a part between underscores.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "pword",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "privatekey",
];

/// Kinds of keys that are secret; a key of another kind may be anything.
const SECRET_KEYS: [&str; 7] = ["api", "access", "secret", "private", "signing", "encryption", "master"];

/// Last words of names that say something *about* a secret.
const ABOUT: [&str; 16] = [
    "file", "path", "dir", "name", "id", "url", "uri", "endpoint", "ttl", "expiry", "expires", "length",
    "type", "arn", "header", "issuer",
];

/// How values begin that are secrets whatever their name is.
const SECRET_VALUES: [&str; 10] =
    ["ghp_", "gho_", "github_pat_", "glpat-", "AKIA", "sk_live_", "xoxb-", "xoxp-", "npm_", "-----BEGIN"];

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let dockerfile = subject.build.dockerfile;
    let mut findings = Vec::new();
    let stages =
        dockerfile.stages.iter().flat_map(|stage| &stage.instructions).map(|statement| &statement.value);
    for definition in dockerfile.global_args.iter().flat_map(|arg| &arg.value.definitions) {
        findings.extend(finding("ARG", &definition.name, definition.default.as_ref()));
    }
    for instruction in stages {
        match instruction {
            Instruction::Arg(arg) => {
                let untold = arg.definitions.iter().filter(|it| !is_told_by_build_checks(&it.name.raw));
                findings.extend(untold.filter_map(|it| finding("ARG", &it.name, it.default.as_ref())));
            }
            Instruction::Env(env) => {
                let untold = env.pairs.iter().filter(|it| !is_told_by_build_checks(&it.name.raw));
                let with_value = untold.filter(|it| !unquoted(&it.value.raw).is_empty());
                findings.extend(with_value.filter_map(|it| finding("ENV", &it.name, Some(&it.value))));
            }
            _ => {}
        }
    }
    findings
}

fn finding(instruction: &str, name: &Word, value: Option<&Word>) -> Option<Finding> {
    let text = value.map_or("", |value| unquoted(&value.raw));
    let secret = if value.is_some() { is_secret(&name.raw, text) } else { is_secret_name(&name.raw) };
    let message = format!("{instruction} {} looks like a secret; it stays readable in the image", name.raw);
    let hint = "use RUN --mount=type=secret,id=NAME while building, or set it when the container starts";
    secret.then(|| Finding::at(name.span, message, hint))
}

fn unquoted(value: &str) -> &str {
    value.trim_matches(['"', '\''])
}

pub(crate) fn in_pod(pod: &Pod<'_>) -> Vec<Finding> {
    let hint = "keep it in a Secret and use valueFrom: {secretKeyRef: {name: SECRET, key: KEY}}";
    pod.containers().iter().flat_map(|container| in_variables(container, "env", hint)).collect()
}

pub(crate) fn in_task(task: &Task<'_>) -> Vec<Finding> {
    let hint = "keep it in Secrets Manager or Parameter Store and name its ARN under \"secrets\"";
    task.containers().iter().flat_map(|container| in_variables(container, "environment", hint)).collect()
}

fn in_variables(container: &Container<'_>, field: &str, hint: &str) -> Vec<Finding> {
    let variables = container.value.get(field).and_then(Value::as_array).into_iter().flatten().enumerate();
    let secrets = variables.filter_map(|(index, variable)| {
        let name = variable.get("name").and_then(Value::as_str)?;
        let value = variable.get("value").and_then(Value::as_str)?;
        let message = format!("the variable {name} looks like a secret in plain text");
        is_secret(name, value)
            .then(|| Finding::of(format!("{}/{field}/{index}/value", container.pointer), message, hint))
    });
    secrets.collect()
}

fn is_secret(name: &str, value: &str) -> bool {
    is_secret_value(value) || (is_secret_name(name) && could_be_secret(value))
}

/// Whether a name is a secret's: `DB_PASSWORD`, `githubToken`, `API_KEY`; not `TOKEN_URL` or `CACHE_KEY`.
fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if ABOUT.contains(&last.as_str()) || words.iter().any(|word| word == "public") {
        return false;
    }
    let key = words.windows(2).any(|pair| pair[1] == "key" && SECRET_KEYS.contains(&pair[0].as_str()));
    key || words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// The words of `DB_PASSWORD`, `db-password` or `dbPassword`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    let mut lower_before = false;
    for character in name.chars() {
        if !character.is_alphanumeric() {
            open = false;
        } else {
            if !open || (lower_before && character.is_uppercase()) {
                words.push(String::new());
            }
            open = true;
            if let Some(word) = words.last_mut() {
                word.extend(character.to_lowercase());
            }
        }
        lower_before = character.is_lowercase();
    }
    words
}

/// Switches, numbers and references to other variables are no secrets themselves.
fn could_be_secret(value: &str) -> bool {
    let switch =
        matches!(value.to_lowercase().as_str(), "" | "true" | "false" | "yes" | "no" | "none" | "null");
    let number = value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() < 6;
    let reference = value.starts_with("$(") && value.ends_with(')');
    !(switch || number || reference)
}

/// Known beginnings of tokens, and addresses with a password: `postgres://user:password@host`.
fn is_secret_value(value: &str) -> bool {
    let token = SECRET_VALUES.iter().any(|start| value.starts_with(start) && value.len() >= start.len() + 8);
    let password = value.split_once("://").and_then(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
    });
    token || password.is_some_and(|password| !password.is_empty() && !password.starts_with(['$', '<', '{']))
}
