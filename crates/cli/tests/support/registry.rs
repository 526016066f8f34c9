//! Debian's docker-registry on a free port of loopback, for as long as a test runs.
#![allow(dead_code)] // Each test program uses a part of it.

use std::path::Path;
use std::process::Command;

use super::support::parts::repository;

pub struct Registry {
    port: String,
    process: String,
}

impl Registry {
    /// Serves a storage folder; several may serve the same one, as nothing is pushed.
    pub fn serve(storage: &Path) -> Registry {
        Registry::serve_with(storage, &[])
    }

    /// As [`Registry::serve`], with settings as docker-registry takes them from its environment.
    pub fn serve_with(storage: &Path, settings: &[(&str, &str)]) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let started = Command::new(repository().join("tools/serve-registry"))
            .arg(storage)
            .arg(&pid_file)
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let port = String::from_utf8(started.stdout).unwrap().trim().to_owned();
        let process = std::fs::read_to_string(pid_file).unwrap().trim().to_owned();
        Registry { port, process }
    }

    /// Where it is, as image references name it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The value of `--registry-mirror` that asks this registry instead of another.
    pub fn mirror(&self, of: &str) -> String {
        format!("{of}=http://{}", self.host())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        Command::new("kill").arg(&self.process).status().ok();
    }
}
