//! Random kustomizations.

pub mod case;
mod chance;
mod features;
mod objects;

pub use features::names;
