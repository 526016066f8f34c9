//! What a manifest says about itself, whatever its kind: pure, and without a word about where it is kept.

use serde::Deserialize;
use serde_json::{Map, Value};

use minato_oci::media_type;

use super::content::ContentDigest;

/// What the registry must know of a manifest.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Facts {
    /// Its media type: that of the request, else its own, else OCI's image manifest.
    pub(crate) media_type: String,
    /// The manifest that it is about, which need not be there.
    pub(crate) subject: Option<ContentDigest>,
    /// `artifactType`, else the config's media type (the distribution specification's "Listing Referrers").
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: Map<String, Value>,
    /// Blobs that must be in the repository.
    pub(crate) blobs: Vec<ContentDigest>,
    /// Manifests that must be in the repository. `BuildKit` lists blobs of its cache here too.
    pub(crate) children: Vec<ContentDigest>,
}

/// Why bytes are refused as a manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("it is no JSON object of a manifest: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is of Docker's schema 1, which no digest of its bytes names; push it with a current tool")]
    Schema1,
    #[error("it has both layers and manifests, so that tools disagree on what it is")]
    Ambiguous,
    #[error("it says it is {document:?} and was sent as {declared:?}")]
    MediaType { document: String, declared: String },
}

/// Fields of OCI's and Docker's manifests that the registry acts on; the others are not its business.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: ContentDigest,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

/// Reads a manifest that was sent as `declared`.
///
/// # Errors
/// When it is none, or could be read as two different ones (CVE-2021-41190).
pub(crate) fn read(bytes: &[u8], declared: Option<&str>) -> Result<Facts, DocumentError> {
    let fields: Fields = serde_json::from_slice(bytes)?;
    if fields.schema_version == Some(1) {
        return Err(DocumentError::Schema1);
    }
    let has_content = fields.config.is_some() || fields.layers.is_some();
    if has_content && fields.manifests.is_some() {
        return Err(DocumentError::Ambiguous);
    }
    if let (Some(document), Some(declared)) = (&fields.media_type, declared)
        && document != declared
    {
        return Err(DocumentError::MediaType { document: document.clone(), declared: declared.to_owned() });
    }
    let media_type = declared.map(str::to_owned).or(fields.media_type);
    let config_type = fields.config.as_ref().map(|config| config.media_type.clone());
    let artifact_type = fields.artifact_type.or(config_type).filter(|kind| !kind.is_empty());
    let content = [fields.config.map(|config| vec![config]), fields.layers, fields.blobs];
    let content = content.into_iter().flatten().flatten();
    Ok(Facts {
        media_type: media_type.unwrap_or_else(|| media_type::MANIFEST.to_owned()),
        subject: fields.subject.map(|subject| subject.digest),
        artifact_type,
        annotations: fields.annotations.unwrap_or_default(),
        blobs: content.filter(|blob| !is_elsewhere(blob)).map(|blob| blob.digest).collect(),
        children: fields.manifests.unwrap_or_default().into_iter().map(|child| child.digest).collect(),
    })
}

/// Layers that may not be handed on stay with their owner, and are not asked for.
fn is_elsewhere(blob: &Descriptor) -> bool {
    let is_foreign = blob.media_type.contains(".nondistributable.") || blob.media_type.contains(".foreign.");
    is_foreign || blob.urls.as_ref().is_some_and(|urls| !urls.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    #[test]
    fn an_image_names_its_blobs() {
        let json = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{}","size":1}},"layers":[
                {{"mediaType":"l","digest":"{}","size":2}},
                {{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":3}}],
                "subject":{{"digest":"{}","size":4}},"annotations":{{"a":"b"}}}}"#,
            digest("a"),
            digest("b"),
            digest("c"),
            digest("d")
        );
        let facts = read(json.as_bytes(), None).unwrap();
        assert_eq!(facts.media_type, media_type::MANIFEST);
        assert_eq!(facts.artifact_type.as_deref(), Some("c"));
        assert_eq!(facts.subject, Some(digest("d").parse().unwrap()));
        assert_eq!(facts.blobs, [digest("a").parse().unwrap(), digest("b").parse().unwrap()]);
        assert_eq!(facts.annotations["a"], "b");
    }

    #[test]
    fn an_index_names_its_children() {
        let json = format!(r#"{{"artifactType":"t","manifests":[{{"digest":"{}","size":1}}]}}"#, digest("a"));
        let facts = read(json.as_bytes(), Some("application/x")).unwrap();
        assert_eq!((facts.media_type.as_str(), facts.artifact_type.as_deref()), ("application/x", Some("t")));
        assert_eq!(facts.children, [digest("a").parse().unwrap()]);
        assert!(facts.blobs.is_empty());
    }

    #[test]
    fn what_two_tools_could_read_differently_is_refused() {
        for (json, declared, expected) in [
            ("[]", None, "no JSON object"),
            ("{", None, "no JSON object"),
            (r#"{"schemaVersion":1}"#, None, "schema 1"),
            (r#"{"layers":[],"manifests":[]}"#, None, "both"),
            (r#"{"mediaType":"a"}"#, Some("b"), "sent as"),
            (r#"{"layers":[{"digest":"sha256:../x"}]}"#, None, "no JSON object"),
        ] {
            let error = read(json.as_bytes(), declared).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
        let deep = format!("{}1{}", r#"{"annotations":"#.repeat(5000), "}".repeat(5000));
        assert!(read(deep.as_bytes(), None).is_err());
    }
}
