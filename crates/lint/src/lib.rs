//! Rules for the files of a container project: Dockerfiles, Kubernetes objects, ECS task definitions.
//!
//! ```text
//! Input { builds, objects } ─ subject ─► Dockerfile | Pod | Task ─ RULES ─► findings
//!                                                                             │ allow: comments, annotations, --allow
//!                                                                             ▼
//!                                                            Vec<Diagnostic>, by file and line
//! ```
//!
//! [`RULES`] is the table; each rule says what it looks at, and one file under `rules` says why something is a finding. A
//! rule is in the table when it is certain: what can't be known from the files (the user of a foreign base image, the
//! environment it sets) is not guessed. [`BUILD_CHECKS`] is the table of `BuildKit`'s checks, under its names.
//!
//! What this crate does not do: it parses nothing, reads no file, asks no registry, and does not check whether a document
//! is *valid*; the parsers' diagnostics say that.

mod allow;
mod build_check;
mod check;
mod rule;
mod rules;
mod scope;
mod subject;

pub use build_check::{BUILD_CHECKS, BuildCheck};
pub use check::{BaseImage, BaseImages, Build, CheckedStages, Input, NoBaseImages, build_checks, check};
pub use rule::{RULES, Rule};
