//! A kustomization file: its fields, typed, each directive with its place.

mod fields;
mod read;

pub(crate) use fields::*;
pub(crate) use read::{read, read_image, read_patch_target, read_replacements, read_sources};

/// The names under which a folder's kustomization is found.
pub(crate) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
