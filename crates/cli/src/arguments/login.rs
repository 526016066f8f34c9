//! The command line of `minato login` and `minato logout`.

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = LOGIN_HELP)]
pub struct LoginArguments {
    /// The registry: ghcr.io, docker.io, registry.example:5000
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// The user name [default with --token-stdin: token]
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// Read the password from stdin
    #[arg(long, conflicts_with = "token_stdin", requires = "username")]
    pub password_stdin: bool,
    /// Read an access token from stdin; most registries take any user name with one
    #[arg(long)]
    pub token_stdin: bool,
}

const LOGIN_HELP: &str = "\
The login is tried first, and kept where Docker keeps it: in the credential helper that config.json names, else in \
$DOCKER_CONFIG/config.json or ~/.docker/config.json. Amazon ECR needs no login: AWS credentials of the usual kinds \
(environment, profile, role) are exchanged when they are needed; without a flag, `minato login` tries just that.";

#[derive(Debug, Args)]
pub struct LogoutArguments {
    /// The registry
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
}
