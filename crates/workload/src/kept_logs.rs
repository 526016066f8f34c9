//! Logs outlive their replicas: finding those of replicas that are gone.

use std::io;
use std::path::{Path, PathBuf};

/// Below `DATA/logs`: application, namespace, workload, replica, container.
const LEVELS: usize = 4;

/// The logs of one container, of a replica that runs or is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLogs {
    /// The replica's id.
    pub replica: String,
    /// The container's name.
    pub container: String,
    /// Where its files lie.
    pub folder: PathBuf,
}

/// Everything that is kept of an Application, in the order of the replicas' ids.
///
/// # Errors
/// A folder can't be read.
pub fn kept_logs(data: &Path, application: &str) -> io::Result<Vec<KeptLogs>> {
    let mut folders = vec![data.join("logs").join(application)];
    for _ in 0..LEVELS {
        let below: Vec<Vec<PathBuf>> =
            folders.iter().map(|folder| folders_in(folder)).collect::<io::Result<_>>()?;
        folders = below.concat();
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found = folders.into_iter().map(|folder| KeptLogs {
        replica: folder.parent().map(name).unwrap_or_default(),
        container: name(&folder),
        folder,
    });
    Ok(found.collect())
}

/// A folder that is not there has none.
fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_of_every_replica_is_found() {
        let data = tempfile::tempdir().unwrap();
        assert!(kept_logs(data.path(), "shop").unwrap().is_empty());
        for container in ["web-2/main", "web-1/main", "web-1/proxy"] {
            std::fs::create_dir_all(data.path().join("logs/shop/default/web").join(container)).unwrap();
        }
        let found = kept_logs(data.path(), "shop").unwrap();
        let found: Vec<_> =
            found.iter().map(|logs| (logs.replica.as_str(), logs.container.as_str())).collect();
        assert_eq!(found, [("web-1", "main"), ("web-1", "proxy"), ("web-2", "main")]);
        assert!(kept_logs(data.path(), "blog").unwrap().is_empty());
    }
}
