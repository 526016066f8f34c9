//! Local secret values, from where a `minato.yaml` says.

use std::path::{Path, PathBuf};

use minato_resource::Diagnostic;
use minato_source::{CONFIGURATION_FILE, Configuration, LocalSecrets, RelativePath, Tree, WorkTree};
use minato_sync::ApplicationRecord;

use crate::application;
use crate::exit::Failure;
use crate::repository::Repository;

/// The source that a repository names; without one, or without a repository, there are no values.
pub fn secrets_of(repository: Option<&Repository>) -> Result<LocalSecrets, Failure> {
    match repository {
        Some(repository) => read(&repository.configuration, &repository.tree),
        None => Ok(LocalSecrets::default()),
    }
}

/// The source of an application that was deployed before, by `up` or by `sync`.
pub fn secrets_of_record(record: &ApplicationRecord) -> Result<LocalSecrets, Failure> {
    match application::file(record) {
        Some(file) => secrets_around(file.parent().unwrap_or(Path::new("/"))),
        None => secrets_of(application::repository(record).as_ref()),
    }
}

/// The source that the nearest `minato.yaml` names: in this folder or one above it, up to the root of the Git work tree
/// that it is in. Values are never in Git, so it is the user's own files that count, not those of a revision.
pub fn secrets_around(folder: &Path) -> Result<LocalSecrets, Failure> {
    let Some(folder) = configured_folder(folder) else { return Ok(LocalSecrets::default()) };
    let tree = WorkTree::open(&folder)?;
    let file = tree.read(&RelativePath::parse(CONFIGURATION_FILE)?)?;
    let (configuration, findings) = Configuration::parse(&file);
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Files(findings));
    }
    read(&configuration, &tree)
}

fn configured_folder(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join(".git").exists();
    let root = folder.ancestors().find(is_root).unwrap_or(folder);
    let inside = folder.ancestors().take_while(|above| above.starts_with(root));
    inside.filter(|above| above.join(CONFIGURATION_FILE).is_file()).map(Path::to_owned).next()
}

fn read(configuration: &Configuration, tree: &WorkTree) -> Result<LocalSecrets, Failure> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (secrets, findings) = LocalSecrets::read(configuration, tree, environment)?;
    if findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Files(findings));
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_file_counts_and_none_above_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("shop/.git")).unwrap();
        fs::create_dir_all(root.join("shop/argocd/test")).unwrap();
        fs::write(root.join(CONFIGURATION_FILE), "").unwrap();
        let inner = root.join("shop/argocd/test");
        assert_eq!(configured_folder(&inner), None, "the one above the repository is somebody else's");
        assert_eq!(configured_folder(root), Some(root.to_owned()));
        fs::write(root.join("shop/minato.yaml"), "").unwrap();
        assert_eq!(configured_folder(&inner), Some(root.join("shop")));
        fs::write(root.join("shop/argocd/minato.yaml"), "").unwrap();
        assert_eq!(configured_folder(&inner), Some(root.join("shop/argocd")));
    }
}
