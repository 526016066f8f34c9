//! The command line of `minato registry serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use minato_registry::Mirror;
use minato_registry::server::Pattern;

use super::OutputArguments;

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Address to listen on; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Folder that everything is kept in [default: registry, in the data folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub access: AccessArguments,
    #[command(flatten)]
    pub tls: TlsArguments,
    /// Serve another registry's repositories below its name, e.g. docker.io=https://registry-1.docker.io (repeatable)
    #[arg(long, value_name = "REGISTRY=URL")]
    pub upstream: Vec<Mirror>,
    /// Never change tags like this one once they are set, e.g. v* (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub immutable_tag: Vec<Pattern>,
    /// File of rules (YAML): access, retention, immutable tags, an issuer of tokens
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How often, in seconds, the retention policy is applied and garbage is collected
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    pub collect_every: u64,
    /// How long, in seconds, a blob stays that no manifest needs: longer than any push takes
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
    pub collect_after: u64,
    /// Listen for other machines without users or without TLS
    #[arg(long)]
    pub insecure_listen: bool,
}

/// Who may do what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArguments {
    /// Users and their passwords, as `htpasswd -B` writes them; without it everybody may do everything
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
    /// Let everybody pull
    #[arg(long)]
    pub anonymous_pull: bool,
    /// Let clients change their password for a token that says what they may do
    #[arg(long, requires = "htpasswd")]
    pub tokens: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArguments {
    /// Certificate (PEM) with its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RetainArguments {
    /// File of rules (YAML) with `retention`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Folder of the registry [default: registry, in the data folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Only tell
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: OutputArguments,
}
