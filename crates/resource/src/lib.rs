//! Declarative resources: text in, [`Object`]s with keys and spans out, and text again.
//!
//! The data flows one way:
//!
//! ```text
//! bytes ─► SourceFile ─► document::Node tree (spans) ─► serde_json::Value ─► Object { key, value, origin } ─► emit
//!                              │                               └── patch (JSON, merge, strategic merge)
//!                              └── Diagnostic (every mistake, with file:line:column) ──► shown by the caller
//! ```
//!
//! The crate owns the vocabulary that every parser of the project shares ([`SourceFile`], [`Span`],
//! [`Position`], [`Diagnostic`]), the reading of YAML and JSON as `kubectl` types it, and the identity of an
//! object ([`ResourceKey`]). It does not open files, does not know any kind's fields, and prints nothing.

mod diagnostic;
mod key;
mod object;
mod origin;
mod parse;
mod source_file;
mod suggestion;

pub mod document;
pub mod emit;
pub mod patch;
pub mod pointer;

pub use diagnostic::{Diagnostic, Location, Severity};
pub use key::{KeyError, ResourceKey};
pub use object::{EditError, Object, ObjectError, kind_name};
pub use origin::Origin;
pub use parse::{parse_json, parse_yaml};
pub use source_file::{Position, SourceFile, SourceFileError, Span};
pub use suggestion::nearest;
