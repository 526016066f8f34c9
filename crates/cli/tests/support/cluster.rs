//! A Kubernetes control plane for the tests of one file, as `tools/control-plane` starts it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, Weak};

use serde_json::Value;
use tempfile::TempDir;

use super::parts::repository;

/// Runs until the last test that holds it has ended.
pub struct ControlPlane {
    folder: TempDir,
}

/// `kubectl proxy`: the API server on loopback without TLS, for a [`Proxy`](super::proxy::Proxy) before it.
pub struct PlainServer {
    child: Child,
    pub address: String,
}

impl ControlPlane {
    /// The one that another test of this file uses already, else a new one.
    pub fn shared() -> Arc<ControlPlane> {
        static RUNNING: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());
        // A test that failed while it started one leaves nothing that the next could not start anew.
        let mut running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match running.upgrade() {
            Some(running) => running,
            None => {
                let started = Arc::new(ControlPlane::start());
                *running = Arc::downgrade(&started);
                started
            }
        }
    }

    /// One that is only this test's, which may harm it.
    pub fn start() -> ControlPlane {
        let folder = tempfile::Builder::new().prefix("minato-cluster-").tempdir().unwrap();
        let plane = ControlPlane { folder };
        plane.tool(&["start"], &[]);
        plane
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The address of the API server, as an Application's destination names it.
    pub fn server(&self) -> String {
        let text = fs::read_to_string(self.kubeconfig()).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
        line.to_owned()
    }

    /// Turns on the admission webhook for namespaces with the label `webhook: "on"`.
    pub fn apply_webhook(&self) {
        let file = self.folder.path().join("webhook.yaml");
        self.kubectl(&[OsStr::new("apply"), OsStr::new("-f"), file.as_os_str()]);
    }

    /// kubectl's stdout; it must succeed.
    #[track_caller]
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        self.tool(&["kubectl"], &arguments)
    }

    #[track_caller]
    pub fn kubectl_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// Kills one program of it, as a power cut would.
    pub fn end(&self, program: &str) {
        self.tool(&["end"], &[OsStr::new(program)]);
    }

    /// Starts that program again, on the same port.
    pub fn again(&self, program: &str) {
        self.tool(&["again"], &[OsStr::new(program)]);
    }

    /// The API server without TLS, with the rights of the kubeconfig's user.
    pub fn plain(&self) -> PlainServer {
        let mut child = self
            .command(&["kubectl"], &["proxy", "--port=0"].map(OsStr::new))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim().rsplit_once(' ').unwrap();
        PlainServer { child, address: format!("http://{address}") }
    }

    /// What the audit log says has been asked of the server by the kubeconfig's user.
    pub fn audited(&self) -> Vec<Asked> {
        let text = fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.filter(|entry| entry["user"]["username"] == "minato").map(|entry| Asked::of(&entry)).collect()
    }

    #[track_caller]
    fn tool(&self, before: &[&str], after: &[&OsStr]) -> String {
        let Output { status, stdout, stderr } = self.command(before, after).output().unwrap();
        assert!(
            status.success(),
            "tools/control-plane {before:?} {after:?}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }

    fn command(&self, before: &[&str], after: &[&OsStr]) -> Command {
        let mut command = Command::new(repository().join("tools/control-plane"));
        command.args(before).arg(self.path()).args(after).stdin(Stdio::null());
        command
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let stop = ["stop".as_ref(), self.path().as_os_str()];
        Command::new(repository().join("tools/control-plane")).args(stop).status().ok();
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One request in the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub verb: String,
    pub path: String,
    pub client: String,
}

impl Asked {
    fn of(entry: &Value) -> Asked {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        Asked { verb: text("verb"), path: text("requestURI"), client: text("userAgent") }
    }

    /// Whether Minato asked, and not kubectl with the same rights.
    pub fn is_minato(&self) -> bool {
        !self.client.starts_with("kubectl/")
    }

    /// Whether it changed something, had it succeeded.
    pub fn is_write(&self) -> bool {
        let writes = matches!(&*self.verb, "create" | "update" | "patch" | "delete" | "deletecollection");
        writes && !self.path.contains("dryRun=All") && !self.path.contains("/selfsubject")
    }
}
