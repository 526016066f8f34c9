//! Which builder makes an image.

use std::fmt;

use clap::ValueEnum;

/// An engine that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The daemon that the docker client knows
    Docker,
    /// The buildkitd that buildctl knows (BUILDKIT_HOST)
    Buildkit,
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineName::Docker => "docker",
            EngineName::Buildkit => "buildkit",
        })
    }
}
