//! The file of a registry's rules, read once; its mistakes are shown with their place.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use minato_registry::server::Configuration;
use minato_resource::SourceFile;

use crate::exit::Failure;

pub fn read(path: &Path) -> Result<Configuration, Failure> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = Arc::new(SourceFile::from_bytes(path, bytes)?);
    let (configuration, findings) = Configuration::parse(&file);
    if findings.iter().any(minato_resource::Diagnostic::is_error) {
        return Err(Failure::Files(findings));
    }
    Ok(configuration)
}
