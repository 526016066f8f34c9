//! Annotations of an export, as `docker buildx build --annotation` takes them.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::Platform;

/// One remark, and on which documents it stands: `[LEVEL[PLATFORM],…:]KEY=VALUE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    /// Where it goes; on the manifests when nothing is said.
    pub targets: Vec<AnnotationTarget>,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A kind of document, of one platform or of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnotationTarget {
    /// The kind.
    pub level: Level,
    /// Only this platform's.
    pub platform: Option<Platform>,
}

/// What an annotation stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// The manifest of a platform.
    Manifest,
    /// The descriptor of a platform's manifest, in an index.
    ManifestDescriptor,
    /// The index.
    Index,
    /// The descriptor of the index, in a layout.
    IndexDescriptor,
}

/// Why a text is no annotation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "annotation {text:?}: {reason}; expected [LEVEL[PLATFORM],…:]KEY=VALUE, LEVEL one of manifest, manifest-descriptor, index, index-descriptor"
)]
pub struct AnnotationError {
    text: String,
    reason: &'static str,
}

impl Annotation {
    /// An annotation of the manifests of `platform`.
    pub fn of_manifest(platform: Platform, key: impl Into<String>, value: impl Into<String>) -> Self {
        let target = AnnotationTarget { level: Level::Manifest, platform: Some(platform) };
        Self { targets: vec![target], key: key.into(), value: value.into() }
    }

    /// Whether it stands on documents of this level and platform.
    pub(super) fn is_for(&self, level: Level, platform: Option<&Platform>) -> bool {
        let fits = |target: &AnnotationTarget| {
            let same_platform = target.platform.as_ref().is_none_or(|wanted| Some(wanted) == platform);
            target.level == level && same_platform
        };
        self.targets.iter().any(fits)
    }
}

/// Those of `annotations` that stand on this level and platform; the last of one key counts.
pub(super) fn chosen(
    annotations: &[Annotation],
    level: Level,
    platform: Option<&Platform>,
) -> BTreeMap<String, String> {
    let chosen = annotations.iter().filter(|annotation| annotation.is_for(level, platform));
    chosen.map(|annotation| (annotation.key.clone(), annotation.value.clone())).collect()
}

impl FromStr for Annotation {
    type Err = AnnotationError;

    fn from_str(text: &str) -> Result<Self, AnnotationError> {
        let refused = |reason| AnnotationError { text: text.to_owned(), reason };
        // A key may have a colon, but the levels before it have no `=`.
        let (levels, pair) = match text.split_once(':') {
            Some((levels, pair)) if !levels.contains('=') => (levels, pair),
            _ => ("manifest", text),
        };
        let (key, value) = pair.split_once('=').ok_or_else(|| refused("it has no ="))?;
        if key.is_empty() {
            return Err(refused("its key is empty"));
        }
        let targets = levels.split(',').map(|level| level.parse().map_err(refused));
        let targets = targets.collect::<Result<_, _>>()?;
        Ok(Self { targets, key: key.to_owned(), value: value.to_owned() })
    }
}

impl FromStr for AnnotationTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (level, platform) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((level, platform)) => (level, Some(platform)),
            None => (text, None),
        };
        let level = match level {
            "manifest" => Level::Manifest,
            "manifest-descriptor" => Level::ManifestDescriptor,
            "index" => Level::Index,
            "index-descriptor" => Level::IndexDescriptor,
            _ => return Err("there is no such level"),
        };
        if platform.is_some() && matches!(level, Level::Index | Level::IndexDescriptor) {
            return Err("an index has no platform");
        }
        let platform = platform.map(str::parse).transpose().map_err(|_| "its platform is malformed")?;
        Ok(Self { level, platform })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Annotation>() {
            Ok(found) => {
                let target = |target: &AnnotationTarget| match &target.platform {
                    Some(platform) => format!("{:?}[{platform}]", target.level),
                    None => format!("{:?}", target.level),
                };
                let targets: Vec<String> = found.targets.iter().map(target).collect();
                format!("{} {} {}", targets.join(","), found.key, found.value)
            }
            Err(error) => error.reason.to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn annotations_are_read_as_buildx_reads_them() {
        check("a=b", "Manifest a b");
        check("org.example/url=http://x:1/?a=b", "Manifest org.example/url http://x:1/?a=b");
        check("index,manifest:a=b", "Index,Manifest a b");
        check("manifest[linux/arm64/v8]:a=", "Manifest[linux/arm64] a ");
        check("manifest-descriptor[linux/amd64]:a=b:c", "ManifestDescriptor[linux/amd64] a b:c");
        check("index-descriptor:a=b", "IndexDescriptor a b");
        check("layer:a=b", "there is no such level");
        check("index[linux/amd64]:a=b", "an index has no platform");
        check("manifest[linux]:a=b", "its platform is malformed");
        check("a", "it has no =");
        check("=b", "its key is empty");
    }
}
