//! Running `git`: fixed arguments, one protocol, no prompts, no hooks, and limits on time and size.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

use super::git::GitError;
use crate::executor::Cancelled;

/// Most bytes of an answer: a repository with a million references says 64 MiB.
const MAX_ANSWER: u64 = 64 << 20;
/// Most bytes of what `git` says went wrong that are read.
const MAX_COMPLAINT: u64 = 64 << 10;
/// The largest file that `git` may write: a fetch writes one pack.
const MAX_FILE: u64 = 8 << 30;
/// How long any one command may take; a transfer that stands still ends by itself long before.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How often a running command is looked after.
const LOOK: Duration = Duration::from_millis(5);

/// `git` with nothing of the caller's surroundings that could change what it does. Where nothing else is said, it may
/// speak no protocol at all.
pub(super) fn git() -> Command {
    let mut command = Command::new("git");
    command
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.logAllRefUpdates=false"])
        .args([
            "-c",
            "core.askPass=",
            "-c",
            "credential.interactive=false",
            "-c",
            "advice.detachedHead=false",
        ])
        .args(["-c", "fetch.recurseSubmodules=false", "-c", "pack.threads=1"])
        .args(["-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=60"]);
    let surroundings = [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_ASKPASS",
        "SSH_ASKPASS",
        "GIT_TRACE",
        "GIT_CURL_VERBOSE",
        "GIT_TRACE_CURL",
    ];
    surroundings.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_ALLOW_PROTOCOL", "none");
    command
}

/// Lets a command reach servers by these protocols (`https:ssh`).
pub(super) fn reaching(command: &mut Command, protocols: &str) {
    command.env("GIT_ALLOW_PROTOCOL", protocols);
    if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
        let ssh = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15";
        command.env("GIT_SSH_COMMAND", ssh);
    }
}

/// Sends an `Authorization` header along to addresses that begin with `address`. It goes by the environment, where other
/// users of the machine don't see it.
pub(super) fn authorized(command: &mut Command, address: &str, value: &str) {
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", format!("http.{address}.extraHeader"))
        .env("GIT_CONFIG_VALUE_0", format!("Authorization: {value}"));
}

/// Runs a command to its end and gives what it printed. It is killed, with everything that it started, when it takes too
/// long, writes too large a file, or the build is cancelled.
pub(super) fn run(
    mut command: Command,
    verb: &'static str,
    cancelled: &Cancelled,
) -> Result<String, GitError> {
    let output = tempfile::tempfile().map_err(GitError::NotRun)?;
    let complaint = tempfile::tempfile().map_err(GitError::NotRun)?;
    let handle = |file: &File| file.try_clone().map(Stdio::from).map_err(GitError::NotRun);
    command.stdin(Stdio::null()).stdout(handle(&output)?).stderr(handle(&complaint)?).process_group(0);
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => GitError::NotInstalled,
        _ => GitError::NotRun(error),
    })?;
    let succeeded = Group(child).wait(verb, cancelled)?;
    let said = text_of(complaint, MAX_COMPLAINT)?;
    if !succeeded {
        return Err(GitError::Refused { verb, message: complaint_of(&said) });
    }
    let answer = text_of(output, MAX_ANSWER + 1)?;
    if answer.len() as u64 > MAX_ANSWER { Err(GitError::TooLarge { verb }) } else { Ok(answer) }
}

fn text_of(mut file: File, limit: u64) -> Result<String, GitError> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.take(limit).read_to_end(&mut bytes)).map_err(GitError::NotRun)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A command and all its children; killed when it is dropped before its end.
struct Group(Child);

impl Group {
    fn wait(mut self, verb: &'static str, cancelled: &Cancelled) -> Result<bool, GitError> {
        if let Some(leader) = self.leader() {
            let limit = Rlimit { current: Some(MAX_FILE), maximum: Some(MAX_FILE) };
            // The command has ended already when this fails.
            let _ = prlimit(Some(leader), Resource::Fsize, limit);
        }
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().map_err(GitError::NotRun)? {
                return Ok(status.success());
            }
            if cancelled.is_set() {
                return Err(GitError::Cancelled);
            }
            if started.elapsed() > LONGEST {
                return Err(GitError::TooSlow { verb, seconds: LONGEST.as_secs() });
            }
            std::thread::sleep(LOOK);
        }
    }

    fn leader(&self) -> Option<Pid> {
        Pid::from_raw(self.0.id().cast_signed())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let (Ok(None), Some(leader)) = (self.0.try_wait(), self.leader()) {
            let _ = kill_process_group(leader, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// The line that says what is wrong: the first `fatal:` or `ERROR:`, else the last one.
fn complaint_of(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let fatal = lines().find_map(|line| {
        let line = line.strip_prefix("remote: ").unwrap_or(line);
        ["fatal: ", "ERROR: ", "error: "].iter().find_map(|prefix| line.strip_prefix(prefix))
    });
    let line = fatal.or_else(|| lines().next_back()).unwrap_or("it failed without a word");
    line.chars().filter(|character| !character.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_ends_with_the_build() {
        let cancelled = Cancelled::default();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & wait"]);
        cancelled.cancel();
        assert!(matches!(run(command, "fetch", &cancelled), Err(GitError::Cancelled)));
    }

    #[test]
    fn the_complaint_is_the_line_that_says_what_is_wrong() {
        let check = |said: &str, expected: &str| assert_eq!(complaint_of(said), expected);
        check("warning: x\nfatal: repository 'y' not found\n", "repository 'y' not found");
        check("remote: ERROR: no access\nfatal: Could not read", "no access");
        check("", "it failed without a word");
    }
}
