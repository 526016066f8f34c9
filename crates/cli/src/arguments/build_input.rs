//! What goes into `minato build`, in the words of `docker buildx build`.

use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct BuildInputArguments {
    /// What a name in FROM, COPY --from and mounts means (repeatable): a folder, docker-image://REFERENCE,
    /// oci-layout://FOLDER[:TAG], or the address of a Git repository or archive
    #[arg(long, value_name = "NAME=CONTEXT")]
    pub build_context: Vec<String>,
    /// Ask the registries for base images even where this machine has them
    #[arg(long)]
    pub pull: bool,
    /// Network of RUN steps that say nothing themselves
    #[arg(long, value_enum, value_name = "NETWORK", default_value_t)]
    pub network: BuildNetwork,
    /// Name and address that RUN steps know (repeatable); host-gateway is this machine
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Size of /dev/shm in RUN steps: bytes, or with k, m or g [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Resource limit of RUN steps, nofile=1024:2048 for example (repeatable)
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Let RUN steps do this, security.insecure for example (repeatable)
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BuildNetwork {
    #[default]
    Default,
    Host,
    None,
}
