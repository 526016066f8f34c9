//! The command line of `minato copy`.

use clap::Args;

use super::OutputArguments;
use super::transfer::CompressionArguments;

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct CopyArguments {
    /// The image, or with --all-tags the repository
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Where it goes; without a tag it gets the source's
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Only the image for this platform [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// One more tag at the target (repeatable)
    #[arg(short, long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Every tag of the source's repository
    #[arg(long, conflicts_with = "tag")]
    pub all_tags: bool,
    /// Also what is said about the image: SBOMs, provenance, signatures
    #[arg(long)]
    pub referrers: bool,
    #[command(flatten)]
    pub compression: CompressionArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

const PLACES: &str = "\
Places: REGISTRY/NAME:TAG (also @DIGEST); oci-layout://DIR[:TAG]; docker-archive:FILE[:NAME:TAG]; local://NAME:TAG for the \
images of this machine. Between registries nothing touches the disk, and what the target has is not sent.";
