//! A kustomization file: its fields, typed, each directive with its place.

mod changes;
mod fields;
mod generators;
mod output;
mod read;
mod replacements;

pub(crate) use changes::{read_image, read_patch_target};
pub(crate) use fields::*;
pub(crate) use generators::read_sources;
pub(crate) use read::read;
pub(crate) use replacements::read_replacements;

/// The names under which a folder's kustomization is found.
pub(crate) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
