//! Local secret values for a repository, from where its `minato.yaml` says.

use minato_source::LocalSecrets;

use crate::exit::Failure;
use crate::repository::Repository;

/// The source that the repository names; without one, or without a repository, there are no values.
pub fn secrets_of(repository: Option<&Repository>) -> Result<LocalSecrets, Failure> {
    let Some(repository) = repository else { return Ok(LocalSecrets::default()) };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (secrets, findings) = LocalSecrets::read(&repository.configuration, &repository.tree, environment)?;
    if findings.iter().any(minato_resource::Diagnostic::is_error) {
        return Err(Failure::Files(findings));
    }
    Ok(secrets)
}
