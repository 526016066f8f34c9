//! The command line of `minato registry`.

use clap::{Args, Subcommand};

use super::{RetainArguments, ServeArguments};

#[derive(Debug, Args)]
pub struct RegistryArguments {
    #[command(subcommand)]
    pub verb: RegistryVerb,
}

/// What to do with registries. One file per verb under `verb/registry/`.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub enum RegistryVerb {
    /// Serve a registry: the OCI distribution API over a folder
    Serve(ServeArguments),
    /// Let go of what the retention policy does not keep, in a registry that may be serving
    Retain(RetainArguments),
}
