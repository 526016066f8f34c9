//! Where the supervisor of a data folder keeps its things.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The kernel's limit for a Unix socket's path, its final zero included.
const SOCKET_PATH_LIMIT: usize = 108;

/// Places below one data folder.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// `DATA/run`, mode 0700.
    pub(crate) run: PathBuf,
    /// `DATA/logs`.
    pub(crate) logs: PathBuf,
    /// `DATA/store`.
    pub(crate) store: PathBuf,
    /// Held by the one running supervisor.
    pub(crate) lock: PathBuf,
    /// Folders of replicas: volumes, hosts.
    pub(crate) pods: PathBuf,
    /// Where it listens; in a short folder elsewhere when the data folder's path is too long for a socket.
    pub(crate) socket: PathBuf,
    /// What it keeps running.
    pub(crate) record: PathBuf,
    /// Its own words.
    pub(crate) log: PathBuf,
}

impl Paths {
    pub(crate) fn new(data: &Path) -> Paths {
        let run = data.join("run");
        Paths {
            logs: data.join("logs"),
            store: data.join("store"),
            lock: run.join("supervisor.lock"),
            pods: run.join("pods"),
            socket: socket_path(&run),
            record: run.join("desired.json"),
            log: run.join("supervisor.log"),
            run,
        }
    }
}

fn socket_path(run: &Path) -> PathBuf {
    let direct = run.join("supervisor.sock");
    if direct.as_os_str().len() < SOCKET_PATH_LIMIT {
        return direct;
    }
    let hash = hex::encode(&Sha256::digest(run.as_os_str().as_encoded_bytes())[..8]);
    let short = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !rustix::process::getuid().is_root() => PathBuf::from(folder),
        _ => PathBuf::from("/run"),
    };
    short.join(format!("minato-{hash}")).join("supervisor.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_folder_gets_a_short_socket() {
        let long = PathBuf::from(format!("/data/{}", "x".repeat(120)));
        assert!(Paths::new(&long).socket.as_os_str().len() < SOCKET_PATH_LIMIT);
        assert_ne!(Paths::new(&long).socket, Paths::new(&long.join("y")).socket);
        assert_eq!(Paths::new(Path::new("/d")).socket, PathBuf::from("/d/run/supervisor.sock"));
    }
}
