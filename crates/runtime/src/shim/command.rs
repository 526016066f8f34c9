//! An OCI runtime's program (`crun`, `runc`) as the engine. It gets the same bundle; it takes the last steps itself,
//! with libseccomp. Its processes become the shim's by way of the kernel's child subreaper.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio as To};

use serde_json::{Value, json};

use super::engine::{Addition, Engine, Stdio};
use crate::bundle;
use crate::capabilities::Capabilities;
use crate::outcome::StartError;

/// The engine's own name for the one container in its folder; never seen outside.
const NAME: &str = "container";

/// A container made by a program.
pub(super) struct Command {
    program: PathBuf,
    folder: PathBuf,
    capabilities: Capabilities,
    no_new_privileges: bool,
    additions: u32,
}

impl Command {
    pub(super) fn new(
        program: &Path,
        folder: &Path,
        capabilities: Capabilities,
        no_new_privileges: bool,
    ) -> Result<Self, StartError> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| {
            StartError::Host { step: "becoming subreaper".into(), reason: error.to_string() }
        })?;
        hide_unified_tree();
        let program = program.to_owned();
        Ok(Self { program, folder: folder.to_owned(), capabilities, no_new_privileges, additions: 0 })
    }

    fn call(&self, arguments: &[&str], command: &str, stdio: Option<Stdio>) -> Result<(), StartError> {
        let log = self.folder.join("engine.log");
        let _stale = fs::remove_file(&log);
        let mut process = Process::new(&self.program);
        process
            .arg("--root")
            .arg(self.folder.join("engine"))
            .arg("--log")
            .arg(&log)
            .args(["--log-format", "json"]);
        process
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        match stdio {
            Some(stdio) => process.stdin(stdio.stdin).stdout(stdio.stdout).stderr(stdio.stderr),
            None => process.stdin(To::null()).stdout(To::null()).stderr(To::null()),
        };
        let status = process.status().map_err(|error| self.unusable(&error))?;
        if status.success() { Ok(()) } else { Err(cause(&log, command)) }
    }

    fn pid_from(&self, file: &Path) -> Result<u32, StartError> {
        let text = fs::read_to_string(file).map_err(|error| self.unusable(&error))?;
        text.trim().parse().map_err(|_| StartError::Engine { reason: format!("{}: no pid", file.display()) })
    }

    fn unusable(&self, error: &io::Error) -> StartError {
        StartError::Engine { reason: format!("{}: {error}", self.program.display()) }
    }
}

impl Engine for Command {
    fn create(&mut self, stdio: Stdio) -> Result<u32, StartError> {
        let pid_file = self.folder.join("engine.pid");
        let (bundle, pid) = (self.folder.to_string_lossy(), pid_file.to_string_lossy());
        let command = first_argument(&self.folder);
        self.call(&["create", "--bundle", &bundle, "--pid-file", &pid, NAME], &command, Some(stdio))?;
        self.pid_from(&pid_file)
    }

    fn start(&mut self) -> Result<(), StartError> {
        self.call(&["start", NAME], &first_argument(&self.folder), None)
    }

    fn add(&mut self, addition: Addition, stdio: Stdio) -> Result<u32, StartError> {
        if addition.terminal {
            let reason = "a terminal needs the embedded engine".to_owned();
            return Err(StartError::InvalidSpec { reason });
        }
        self.additions += 1;
        let process_file = self.folder.join(format!("exec-{}.json", self.additions));
        let pid_file = self.folder.join(format!("exec-{}.pid", self.additions));
        let process = json!({
            "terminal": false,
            "user": bundle::user_value(&addition.user),
            "args": addition.args,
            "env": bundle::environment(&addition.env),
            "cwd": addition.cwd,
            "capabilities": bundle::capabilities_value(self.capabilities),
            "noNewPrivileges": self.no_new_privileges,
        });
        fs::write(&process_file, process.to_string()).map_err(|error| self.unusable(&error))?;
        let (process, pid) = (process_file.to_string_lossy(), pid_file.to_string_lossy());
        let command = addition.args.first().map_or("", String::as_str);
        let arguments = ["exec", "--detach", "--process", &process, "--pid-file", &pid, NAME];
        let outcome = self.call(&arguments, command, Some(stdio)).and_then(|()| self.pid_from(&pid_file));
        for file in [&process_file, &pid_file] {
            let _absent = fs::remove_file(file);
        }
        outcome
    }
}

/// crun refuses machines that have version 1 and 2 of control groups with controllers in both. The limits are all in
/// version 1 there, so this process's own view of the machine loses the other.
fn hide_unified_tree() {
    let _absent = rustix::mount::unmount("/sys/fs/cgroup/unified", rustix::mount::UnmountFlags::DETACH);
}

/// The engine's last error, as one of the causes that callers know.
fn cause(log: &Path, command: &str) -> StartError {
    let text = fs::read_to_string(log).unwrap_or_default();
    let message =
        |line: &str| serde_json::from_str::<Value>(line).ok()?.get("msg")?.as_str().map(str::to_owned);
    let reason =
        text.lines().filter_map(message).next_back().unwrap_or_else(|| "it failed without a word".to_owned());
    let command = command.to_owned();
    let about_command = reason.contains(&format!("`{command}`")) || reason.contains("exec");
    if reason.contains("executable file not found")
        || about_command && reason.to_lowercase().contains("no such file")
    {
        StartError::CommandNotFound { command, path: "as in its environment".to_owned() }
    } else if about_command && reason.to_lowercase().contains("permission denied") {
        StartError::NotExecutable { command, reason: "permission denied".to_owned() }
    } else if about_command && reason.to_lowercase().contains("exec format error") {
        StartError::NotExecutable { command, reason: "exec format error".to_owned() }
    } else {
        StartError::Engine { reason }
    }
}

fn first_argument(folder: &Path) -> String {
    let config = fs::read(folder.join("config.json")).unwrap_or_default();
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    config["process"]["args"][0].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_becomes_a_cause() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let said = |message: &str| {
            fs::write(&log, json!({ "level": "error", "msg": message }).to_string()).unwrap();
            cause(&log, "nope")
        };
        let runc = "runc create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH";
        assert!(matches!(said(runc), StartError::CommandNotFound { .. }));
        assert!(matches!(
            said("executable file `nope` not found: No such file or directory"),
            StartError::CommandNotFound { .. }
        ));
        assert!(matches!(said("exec: \"/etc\": permission denied"), StartError::NotExecutable { .. }));
        assert!(matches!(said("cgroups: something"), StartError::Engine { .. }));
    }
}
