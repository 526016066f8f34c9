//! Which image is ours: the one that this repository builds.

use minato_oci::Reference;
use minato_resource::{Diagnostic, Object};

use crate::configuration::{Configuration, ImageBuild};
use crate::images::image_uses;

/// An image that is built here, under the repository that the manifests use for it.
#[derive(Debug, Clone, PartialEq)]
pub struct OurImage {
    /// Registry and repository; tag and digest come with the build.
    pub repository: Reference,
    /// How it is built.
    pub build: ImageBuild,
}

/// Why it is not clear which image is ours.
#[derive(Debug, thiserror::Error)]
pub enum OursError {
    /// Several repositories could be meant.
    #[error(
        "the manifests use {} images, and any of them could be the one that {dockerfile} builds: {}; say which in minato.yaml:\n\
         version: 1\nimages:\n- name: {}",
        candidates.len(), candidates.join(", "), candidates[0]
    )]
    Ambiguous {
        /// The Dockerfile.
        dockerfile: String,
        /// Repositories, at least two.
        candidates: Vec<String>,
    },
}

/// The images that are built here: those of `minato.yaml`, else the only repository of the manifests that need not
/// come from a registry, built by the Dockerfile of the root. Official images (`redis`) and images pinned by digest
/// always come from a registry. Empty when the manifests use no image, or all theirs are of that sort.
///
/// A name in `minato.yaml` that no manifest uses is warned of.
///
/// # Errors
/// Several repositories are left.
pub fn our_images(
    configuration: &Configuration,
    objects: &[Object],
    dockerfile: Option<&ImageBuild>,
) -> Result<(Vec<OurImage>, Vec<Diagnostic>), OursError> {
    let used = repositories(objects);
    if !configuration.images.is_empty() {
        return Ok(configured(configuration, &used));
    }
    let Some(build) = dockerfile else { return Ok((Vec::new(), Vec::new())) };
    let candidates: Vec<&Used> = match used.as_slice() {
        // The only one is ours even if it has the name of an official image.
        [only] if !only.pinned => vec![only],
        _ => used.iter().filter(|used| !used.pinned && !is_official(&used.repository)).collect(),
    };
    match candidates.as_slice() {
        [] => Ok((Vec::new(), Vec::new())),
        [one] => {
            let image = OurImage { repository: one.repository.clone(), build: build.clone() };
            Ok((vec![image], Vec::new()))
        }
        several => Err(OursError::Ambiguous {
            dockerfile: build.dockerfile.clone(),
            candidates: several.iter().map(|used| name_only(&used.repository)).collect(),
        }),
    }
}

/// A repository that the manifests use.
struct Used {
    repository: Reference,
    /// Every use says a digest.
    pinned: bool,
}

/// Each repository once, in the order of the manifests.
fn repositories(objects: &[Object]) -> Vec<Used> {
    let mut found: Vec<Used> = Vec::new();
    for reference in objects.iter().flat_map(image_uses).filter_map(|image| image.reference()) {
        let pinned = reference.digest().is_some();
        match found.iter_mut().find(|used| used.repository.name() == reference.name()) {
            Some(used) => used.pinned &= pinned,
            None => found.push(Used { repository: reference, pinned }),
        }
    }
    found
}

fn configured(configuration: &Configuration, used: &[Used]) -> (Vec<OurImage>, Vec<Diagnostic>) {
    let (mut images, mut diagnostics) = (Vec::new(), Vec::new());
    for build in &configuration.images {
        let Some(name) = &build.name else { continue };
        let is_used = used.iter().any(|used| used.repository.name() == name.value.name());
        if !is_used
            && !used.is_empty()
            && let Some(file) = &configuration.file
        {
            let message = format!("no manifest uses the image `{}`", name_only(&name.value));
            let names: Vec<String> = used.iter().map(|used| name_only(&used.repository)).collect();
            let hint = format!("the manifests use {}", names.join(", "));
            diagnostics.push(Diagnostic::warning("unused-image", message, file, name.span).with_hint(hint));
        }
        images.push(OurImage { repository: name.value.clone(), build: build.clone() });
    }
    (images, diagnostics)
}

fn is_official(repository: &Reference) -> bool {
    repository.registry() == "docker.io" && repository.repository().starts_with("library/")
}

/// The repository as people write it.
pub(crate) fn name_only(reference: &Reference) -> String {
    let familiar = reference.familiar();
    let without_digest = familiar.split_once('@').map_or(familiar.as_str(), |(name, _)| name);
    match without_digest.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => without_digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_resource::SourceFile;
    use serde_json::json;
    use std::sync::Arc;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn ours(images: &[&str], configuration: &str) -> String {
        let containers: Vec<_> = images.iter().map(|image| json!({"image": image})).collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers}});
        let objects = [Object::from_value(pod).unwrap()];
        let (configuration, _) =
            Configuration::parse(&Arc::new(SourceFile::new("minato.yaml", configuration)));
        match our_images(&configuration, &objects, Some(&ImageBuild::in_folder("."))) {
            Ok((images, diagnostics)) => {
                let names = images.iter().map(|image| name_only(&image.repository));
                names.chain(diagnostics.iter().map(ToString::to_string)).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_only_repository_is_ours() {
        assert_eq!(ours(&["ghcr.io/x/web:1", "ghcr.io/x/web:2"], ""), "ghcr.io/x/web");
        assert_eq!(ours(&["localhost:5000/web"], ""), "localhost:5000/web");
        assert_eq!(ours(&["web"], ""), "web");
        assert_eq!(ours(&[], ""), "");
    }

    #[test]
    fn images_that_must_be_pulled_are_not_ours() {
        assert_eq!(ours(&["redis:7", "ghcr.io/x/web:1"], ""), "ghcr.io/x/web");
        let pinned = format!("ghcr.io/x/proxy@{DIGEST}");
        assert_eq!(ours(&[&pinned, "ghcr.io/x/web:1"], ""), "ghcr.io/x/web");
        assert_eq!(ours(&["redis:7", "postgres:16"], ""), "");
        assert_eq!(ours(&[&pinned], ""), "");
    }

    #[test]
    fn several_are_listed_with_what_to_write() {
        assert_eq!(
            ours(&["ghcr.io/x/web:1", "ghcr.io/x/worker:1", "redis"], ""),
            "the manifests use 2 images, and any of them could be the one that Dockerfile builds: ghcr.io/x/web, \
             ghcr.io/x/worker; say which in minato.yaml:\nversion: 1\nimages:\n- name: ghcr.io/x/web"
        );
    }

    #[test]
    fn minato_yaml_decides() {
        let configuration = "version: 1\nimages: [{name: ghcr.io/x/worker}]\n";
        assert_eq!(ours(&["ghcr.io/x/web:1", "ghcr.io/x/worker:1"], configuration), "ghcr.io/x/worker");
        assert_eq!(
            ours(&["ghcr.io/x/web:1"], configuration),
            "ghcr.io/x/worker; minato.yaml:2:17: warning[unused-image]: no manifest uses the image `ghcr.io/x/worker`"
        );
    }
}
