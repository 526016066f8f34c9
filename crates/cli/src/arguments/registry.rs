//! The command line of `minato registry`.

use clap::{Args, Subcommand};

use super::{OutputArguments, RetainArguments, ServeArguments};

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
    /// Show what a name in a registry stands for
    Inspect(InspectArguments),
    /// List a registry's repositories
    List(ListArguments),
    /// List a repository's tags
    Tags(ListTagsArguments),
    /// List what is said about an image: SBOMs, provenance, signatures
    Referrers(ReferrersArguments),
    /// Delete a tag or, by digest, a manifest
    Delete(DeleteImageArguments),
}

#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The image
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
    /// Show the image for this platform, and not the index that it is in
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Print the manifest or index as it is, byte for byte
    #[arg(long, conflicts_with = "output")]
    pub raw: bool,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// The registry
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct ListTagsArguments {
    /// The repository
    #[arg(value_name = "NAME")]
    pub repository: String,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct ReferrersArguments {
    /// The image; by tag, what it stands for now
    #[arg(value_name = "REFERENCE")]
    pub reference: String,
    /// Only those of this type
    #[arg(long, value_name = "TYPE")]
    pub artifact_type: Option<String>,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct DeleteImageArguments {
    /// The images, each with a tag or a digest
    #[arg(required = true, value_name = "REFERENCE")]
    pub references: Vec<String>,
    /// Also what an index needs, and with a tag the manifest that other tags name
    #[arg(long)]
    pub force: bool,
}
