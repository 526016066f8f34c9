//! Under which names a secret is looked for.

use minato_sync::SecretReference;

/// The names of a reference, the one to recommend first: in a file `SECRET/KEY` (with the namespace before it to tell
/// two apart), or the identifier as it is written; in the environment, and as a second choice in a file, the same in
/// the form that environment variables have: `SECRET_KEY`.
pub(super) fn of(reference: &SecretReference, environment: bool) -> Vec<String> {
    let mut written = Vec::new();
    match &reference.key {
        Some(key) => {
            if !reference.namespace.is_empty() {
                written.push(format!("{}/{}/{key}", reference.namespace, reference.name));
            }
            written.push(format!("{}/{key}", reference.name));
        }
        None => {
            written.push(reference.name.clone());
            written.extend(name_in_arn(&reference.name));
        }
    }
    let shortest = written.last().cloned().unwrap_or_default();
    let variables: Vec<String> = written.iter().map(|name| variable(name)).collect();
    let mut names = if environment { Vec::new() } else { written };
    names.extend(variables);
    // What the message recommends is the shortest that is exact.
    let recommended = match (&reference.key, environment) {
        (_, true) => variable(&shortest),
        (Some(_), false) => shortest,
        (None, false) => reference.name.clone(),
    };
    names.retain(|name| *name != recommended);
    names.insert(0, recommended);
    names.dedup();
    names
}

/// What stands before the keys of a secret.
pub(super) fn prefixes(namespace: &str, name: &str, environment: bool) -> Vec<String> {
    match (environment, namespace) {
        (false, "") => vec![format!("{name}/")],
        (false, _) => vec![format!("{namespace}/{name}/"), format!("{name}/")],
        (true, "") => vec![variable(&format!("{name}_"))],
        (true, _) => vec![variable(&format!("{namespace}_{name}_")), variable(&format!("{name}_"))],
    }
}

/// `myapp/database-url` in `arn:aws:secretsmanager:REGION:ACCOUNT:secret:myapp/database-url-AbCdEf`, whose last six
/// characters Secrets Manager adds, and in `arn:aws:ssm:REGION:ACCOUNT:parameter/myapp/database-url`.
fn name_in_arn(arn: &str) -> Option<String> {
    let mut parts = arn.split(':');
    if parts.next() != Some("arn") {
        return None;
    }
    let service = parts.nth(1)?;
    let resource = parts.nth(2)?;
    match (service, resource) {
        ("secretsmanager", "secret") => {
            let name = parts.next()?;
            let suffix = name.rsplit_once('-').filter(|(_, suffix)| suffix.len() == 6);
            Some(suffix.map_or(name, |(name, _)| name).to_owned())
        }
        ("ssm", parameter) => parameter.strip_prefix("parameter/").map(str::to_owned),
        _ => None,
    }
}

/// Upper case, with `_` for what a variable's name cannot have.
fn variable(name: &str) -> String {
    let upper = name.chars().map(|character| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' => character.to_ascii_uppercase(),
        _ => '_',
    });
    upper.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(namespace: &str, name: &str, key: Option<&str>, environment: bool) -> Vec<String> {
        let key = key.map(str::to_owned);
        of(&SecretReference { namespace: namespace.to_owned(), name: name.to_owned(), key }, environment)
    }

    #[test]
    fn a_secrets_key() {
        assert_eq!(names("", "db", Some("url"), false), ["db/url", "DB_URL"]);
        assert_eq!(names("web", "db", Some("url"), false), ["db/url", "web/db/url", "WEB_DB_URL", "DB_URL"]);
        assert_eq!(names("web", "db-1", Some("tls.key"), true), ["DB_1_TLS_KEY", "WEB_DB_1_TLS_KEY"]);
    }

    #[test]
    fn an_arn() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:myapp/database-url-AbCdEf";
        assert_eq!(names("", arn, None, false)[..2], [arn, "myapp/database-url"]);
        assert_eq!(names("", arn, None, true)[0], "MYAPP_DATABASE_URL");
        let parameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/myapp/url";
        assert_eq!(names("", parameter, None, true)[0], "MYAPP_URL");
        assert_eq!(names("", "/myapp/url", None, false)[0], "/myapp/url");
    }
}
