//! The command line of `minato registry`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

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
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Address to listen on; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Folder that everything is kept in [default: registry, in the data folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}
