//! The command line of the verbs that move images between registries and this machine.

use clap::{Args, ValueEnum};
use minato_oci::layer::{Compression, Encoding, LevelError};

use super::OutputArguments;

#[derive(Debug, Args)]
pub struct PushArguments {
    /// Images of this machine, under the name that they get in their registry
    #[arg(required = true, value_name = "REFERENCE")]
    pub references: Vec<String>,
    #[command(flatten)]
    pub compression: CompressionArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// How layers that were made here are compressed; those that were pulled keep their bytes.
#[derive(Debug, Args)]
pub struct CompressionArguments {
    /// How layers are compressed; those that were pulled stay as they are
    #[arg(long, value_enum, default_value_t = Method::Gzip, value_name = "METHOD")]
    pub compression: Method,
    /// How hard: 0 to 9 for gzip [default: 6], 1 to 22 for zstd [default: 3]
    #[arg(long, value_name = "LEVEL")]
    pub compression_level: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Method {
    Gzip,
    Zstd,
    None,
}

impl CompressionArguments {
    pub fn encoding(&self) -> Result<Encoding, LevelError> {
        let method = match self.compression {
            Method::Gzip => Compression::Gzip,
            Method::Zstd => Compression::Zstd,
            Method::None => Compression::None,
        };
        Encoding::new(method, self.compression_level)
    }
}
