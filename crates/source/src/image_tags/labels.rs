//! The labels of the OCI image specification's "Pre-Defined Annotation Keys".

use super::facts::Facts;

/// In the order in which metadata-action writes them. The time is the commit's, so that two builds of it are equal.
pub(super) fn labels(facts: &Facts, version: Option<&str>) -> Vec<(String, String)> {
    let repository = &facts.repository;
    let created = facts.committed.map(|time| time.to_string());
    let values = [
        ("created", created.as_deref()),
        ("description", repository.description.as_deref()),
        ("licenses", repository.license.as_deref()),
        ("revision", facts.commit.as_deref()),
        ("source", repository.url.as_deref()),
        ("title", repository.name.as_deref()),
        ("url", repository.url.as_deref()),
        ("version", version),
    ];
    let label = |(key, value): (&str, Option<&str>)| {
        Some((format!("org.opencontainers.image.{key}"), value.filter(|value| !value.is_empty())?.to_owned()))
    };
    values.into_iter().filter_map(label).collect()
}
