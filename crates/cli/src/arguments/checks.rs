//! What `build` does in place of building, in buildx's words.

use clap::{Args, ValueEnum};

/// What is asked of the Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Call {
    /// Make the image
    #[default]
    Build,
    /// Only say what the build checks find; exit code 1 when they find something
    Check,
}

#[derive(Debug, Clone, Default, Args)]
pub struct CallArguments {
    /// What to do with the Dockerfile
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    call: Call,
    /// Only say what the build checks find (--call=check)
    #[arg(long)]
    check: bool,
}

impl CallArguments {
    /// Whether nothing is built.
    pub fn only_checks(&self) -> bool {
        self.check || self.call == Call::Check
    }
}
