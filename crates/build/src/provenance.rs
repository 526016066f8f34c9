//! Where an image came from: an in-toto statement with a SLSA v1 provenance predicate, of what the builder knows.
//!
//! The same build of the same files gives the same statement: no time and no machine is in it. Values of build arguments
//! and labels are in the full one only, since people put secrets there; secrets and SSH agents appear by their ids.
//!
//! `buildType` [`BUILD_TYPE`] means: `externalParameters.configSource` is the Dockerfile, `externalParameters.request` what
//! was asked for, `resolvedDependencies` the images that stages start or copy from.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minato_oci::{Digest, Platform, Reference};
use serde_json::{Map, Value, json};

use crate::request::Request;
use crate::{Built, StepReport};

/// What the parameters of a statement mean.
pub const BUILD_TYPE: &str = "https://minato.dev/provenance/dockerfile/v1";
/// The media type of a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// The predicate's type.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

const BUILDER: &str = "https://minato.dev/builder/v1";

/// How much a statement tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Detail {
    /// Nothing that could hold a secret.
    #[default]
    Min,
    /// The values of build arguments and labels, the Dockerfile, and the steps, too.
    Max,
}

/// An image that a stage started from or copied from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Material {
    /// As the Dockerfile names it.
    pub reference: Reference,
    /// The platform that was chosen.
    pub platform: Platform,
    /// The digest that its registry knows it by; of an image that was built here, its identity.
    pub digest: Digest,
}

/// The statement about `built`, which others know as the manifest `subject` under `names`.
pub fn statement(
    built: &Built,
    request: &Request,
    names: &[Reference],
    subject: &Digest,
    detail: Detail,
) -> Value {
    let platform = built.image.config.platform();
    let dependencies: Vec<Value> = built.materials.iter().map(dependency).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects(names, &platform, subject),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "configSource": config_source(request, detail),
                    "request": asked(request, &platform, detail),
                },
                "internalParameters": internal(built, detail),
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": { "id": BUILDER, "version": { "minato": env!("CARGO_PKG_VERSION") } },
            },
        },
    })
}

fn subjects(names: &[Reference], platform: &Platform, subject: &Digest) -> Value {
    let digest = json!({ "sha256": subject.hex() });
    let named = |name: &Reference| json!({ "name": package_url(name, platform), "digest": digest });
    match names {
        [] => json!([{ "name": "image", "digest": digest }]),
        names => names.iter().map(named).collect(),
    }
}

fn dependency(material: &Material) -> Value {
    json!({
        "uri": package_url(&material.reference, &material.platform),
        "digest": { "sha256": material.digest.hex() },
    })
}

/// The package URL of an image, as the type `docker` of the purl specification has it.
fn package_url(reference: &Reference, platform: &Platform) -> String {
    let version = match (reference.tag(), reference.digest()) {
        (_, Some(digest)) => digest.to_string(),
        (tag, None) => tag.unwrap_or("latest").to_owned(),
    };
    let name = reference.familiar();
    let bare = name.split('@').next().unwrap_or(&name);
    let slash = bare.rfind('/').map_or(0, |slash| slash + 1);
    let bare = bare[slash..].rfind(':').map_or(bare, |colon| &bare[..slash + colon]);
    let encode = |text: &str| text.replace('/', "%2F").replace(':', "%3A");
    format!("pkg:docker/{bare}@{}?platform={}", encode(&version), encode(&platform.to_string()))
}

fn config_source(request: &Request, detail: Detail) -> Value {
    let file = &request.dockerfile;
    let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let digest = Digest::sha256(file.text().as_bytes()).hex();
    let mut source = json!({ "path": name, "digest": { "sha256": digest } });
    if detail == Detail::Max {
        source["content"] = STANDARD.encode(file.text()).into();
    }
    source
}

fn asked(request: &Request, platform: &Platform, detail: Detail) -> Value {
    let mut asked = Map::new();
    asked.insert("platform".to_owned(), platform.to_string().into());
    if let Some(target) = &request.target {
        asked.insert("target".to_owned(), target.as_str().into());
    }
    let ids = |ids: Vec<&String>| json!(ids);
    if !request.secrets.is_empty() {
        asked.insert("secrets".to_owned(), ids(request.secrets.keys().collect()));
    }
    if !request.agents.is_empty() {
        asked.insert("ssh".to_owned(), ids(request.agents.keys().collect()));
    }
    match detail {
        Detail::Min if !request.arguments.is_empty() => {
            asked.insert("arguments".to_owned(), ids(request.arguments.keys().collect()));
        }
        Detail::Min => {}
        Detail::Max => {
            asked.insert("arguments".to_owned(), json!(request.arguments));
            asked.insert("labels".to_owned(), json!(request.labels));
        }
    }
    Value::Object(asked)
}

fn internal(built: &Built, detail: Detail) -> Value {
    let mut internal = json!({ "builderPlatform": Platform::host().to_string() });
    if detail == Detail::Max {
        let step = |step: &StepReport| step.name.to_string();
        internal["steps"] = built.steps.iter().map(step).collect::<Vec<_>>().into();
    }
    internal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_package_urls() {
        let of = |text: &str| package_url(&text.parse().unwrap(), &"linux/arm64".parse().unwrap());
        assert_eq!(of("alpine:3.20"), "pkg:docker/alpine@3.20?platform=linux%2Farm64");
        assert_eq!(of("ghcr.io/team/app"), "pkg:docker/ghcr.io/team/app@latest?platform=linux%2Farm64");
        assert_eq!(of("localhost:5000/app:1"), "pkg:docker/localhost:5000/app@1?platform=linux%2Farm64");
        let digest = Digest::sha256(b"");
        let expected = format!("pkg:docker/app@sha256%3A{}?platform=linux%2Farm64", digest.hex());
        assert_eq!(of(&format!("app@{digest}")), expected);
    }
}
