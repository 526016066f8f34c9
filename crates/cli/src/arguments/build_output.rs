//! What comes out of `minato build`, in the words of `docker buildx build`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct BuildOutputArguments {
    /// Where the image goes (repeatable): DIR (its files), - (a tar of them on stdout),
    /// type=image|registry|oci|docker|local|tar|cacheonly[,dest=PATH][,name=REFERENCE][,push=true][,push-by-digest=true]
    /// [,compression=gzip|zstd|uncompressed][,compression-level=N][,force-compression=true]
    /// [,oci-mediatypes=false][,tar=false]; or how the answer is printed: json, yaml, table
    #[arg(short, long, value_name = "OUTPUT")]
    pub output: Vec<String>,
    /// Send the image to its registry, too: short for --output type=registry
    #[arg(long)]
    pub push: bool,
    /// Keep the image on this machine, which is what happens without any --output
    #[arg(long)]
    pub load: bool,
    /// Build for this platform, linux/arm64 for example (repeatable, comma-separated) [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Remark on the image's documents (repeatable)
    #[arg(long, value_name = "[LEVEL[PLATFORM],…:]KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Cache of another machine (repeatable): type=registry,ref=IMAGE (an image with an inline cache, too) or
    /// type=local,src=DIR
    #[arg(long, value_name = "CACHE", conflicts_with = "builder")]
    pub cache_from: Vec<String>,
    /// Write the cache for other machines (repeatable): type=registry,ref=IMAGE, type=local,dest=DIR or type=inline
    /// [,mode=min|max][,mounts=true][,compression=gzip|zstd|uncompressed][,ignore-error=true]
    #[arg(long, value_name = "CACHE", conflicts_with = "builder")]
    pub cache_to: Vec<String>,
    /// Attach where the image came from (SLSA v1) to what is pushed or written as type=oci: true or mode=min, mode=max
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "true", require_equals = true, conflicts_with = "builder")]
    pub provenance: Option<String>,
    /// Attach a bill of materials (SPDX or CycloneDX JSON): generator=PROGRAM, which gets the folder of an OCI layout and
    /// prints it, or file=PATH
    #[arg(long, value_name = "SOURCE", conflicts_with = "builder")]
    pub sbom: Option<String>,
    /// The same two in one flag (repeatable): type=provenance[,mode=max], type=sbom,generator=PROGRAM
    #[arg(long, value_name = "KIND", conflicts_with = "builder")]
    pub attest: Vec<String>,
    /// Write the digests of what was built as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write the image's identity
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Say nothing but the image's identity and what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}
