//! Running `git`: fixed arguments, one protocol, no prompts, no hooks, and limits on time and size.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use crate::location::Location;

/// Most bytes of an answer: a repository with a million references says 64 MiB.
const MAX_ANSWER: u64 = 64 << 20;

/// Most bytes of what `git` says went wrong.
const MAX_COMPLAINT: u64 = 64 << 10;

/// Why `git` gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitFailure {
    /// There is no `git`.
    #[error("git is not installed; install it, or name a folder that is no Git repository")]
    NotInstalled,
    /// It could not be run.
    #[error("git could not be run: {0}")]
    NotRun(std::io::Error),
    /// It ended with a failure.
    #[error("git {verb}: {message}")]
    Refused {
        /// What it was to do: `fetch`.
        verb: String,
        /// What it said, without credentials.
        message: String,
    },
    /// It took too long.
    #[error("git {verb} did not end within {} s", limit.as_secs())]
    TooSlow {
        /// What it was to do.
        verb: String,
        /// How long it had.
        limit: Duration,
    },
    /// Its answer is larger than any that is read.
    #[error("git {verb}: its answer is larger than {} MiB", MAX_ANSWER >> 20)]
    TooLarge {
        /// What it was to do.
        verb: String,
    },
}

/// What one call of `git` may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For asking a repository what its branches are.
    pub ask: Duration,
    /// For one clone or fetch.
    pub fetch: Duration,
    /// The largest file that a fetch may write, in bytes: a fetch writes one pack.
    pub pack: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { ask: Duration::from_secs(60), fetch: Duration::from_secs(15 * 60), pack: 8 << 30 }
    }
}

/// `git` in a repository, with nothing of the caller's surroundings that could change what it does.
pub(crate) fn git(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.recurseSubmodules=false"])
        .args(["-c", "core.askPass=", "-c", "credential.interactive=false"])
        // A transfer that stands still ends by itself, also when its caller is gone.
        .args(["-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=60"])
        .arg("--git-dir")
        .arg(repository);
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
        .env("GIT_NO_LAZY_FETCH", "1")
        // Where nothing else is said, no protocol at all.
        .env("GIT_ALLOW_PROTOCOL", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Lets a command reach one repository, and nothing by another protocol. The address is the last argument.
pub(crate) fn reaching(mut command: Command, location: &Location) -> Command {
    command.arg("--");
    match location {
        Location::Folder(folder) => {
            command.env("GIT_ALLOW_PROTOCOL", "file").arg(folder);
        }
        Location::Remote(remote) => {
            command.env("GIT_ALLOW_PROTOCOL", remote.protocol()).arg(remote.address());
            if std::env::var_os("GIT_SSH_COMMAND").is_none() && std::env::var_os("GIT_SSH").is_none() {
                command.env(
                    "GIT_SSH_COMMAND",
                    "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15",
                );
            }
            if let Some(header) = remote.authorization() {
                // In the environment, where other users of the machine don't see it.
                command
                    .env("GIT_CONFIG_COUNT", "1")
                    .env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", remote.address()))
                    .env("GIT_CONFIG_VALUE_0", header);
            }
        }
    }
    command
}

/// Runs a command to its end and gives what it printed. It is killed, with everything that it started, when it takes
/// longer than `time`, when it writes a file larger than `largest_file` bytes, and when the caller goes away.
pub(crate) async fn run(
    mut command: Command,
    verb: &str,
    time: Duration,
    largest_file: Option<u64>,
) -> Result<String, GitFailure> {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    let child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::NotFound => GitFailure::NotInstalled,
                _ => GitFailure::NotRun(error),
            }
        })?;
    let mut group = Group { leader: child.id().and_then(|id| Pid::from_raw(id.cast_signed())) };
    if let (Some(leader), Some(bytes)) = (group.leader, largest_file) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        // The command has ended already when this fails.
        let _ = prlimit(Some(leader), Resource::Fsize, limit);
    }
    let verb = verb.to_owned();
    match tokio::time::timeout(time, answer(child, &verb)).await {
        Ok(answer) => {
            group.leader = None;
            answer
        }
        Err(_) => Err(GitFailure::TooSlow { verb, limit: time }),
    }
}

/// A command and all its children; killed unless it has ended.
struct Group {
    leader: Option<Pid>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn answer(mut child: Child, verb: &str) -> Result<String, GitFailure> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = tokio::try_join!(read_up_to(stdout, MAX_ANSWER + 1), read_up_to(stderr, MAX_COMPLAINT));
    let (output, complaint) = read.map_err(GitFailure::NotRun)?;
    if output.len() as u64 > MAX_ANSWER {
        return Err(GitFailure::TooLarge { verb: verb.to_owned() });
    }
    let status = child.wait().await.map_err(GitFailure::NotRun)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&output).into_owned());
    }
    let said = String::from_utf8_lossy(&complaint).into_owned();
    let message = complaint_of(&said).unwrap_or_else(|| format!("it ended with {status}"));
    Err(GitFailure::Refused { verb: verb.to_owned(), message })
}

async fn read_up_to(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(limit);
        limited.read_to_end(&mut bytes).await?;
        // A command that still talks must not wait for a reader.
        tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// The line that says what is wrong: the first `fatal:` or `ERROR:`, else the last one.
fn complaint_of(said: &str) -> Option<String> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let fatal = lines().find_map(|line| {
        ["fatal: ", "ERROR: ", "error: "]
            .iter()
            .find_map(|prefix| line.strip_prefix("remote: ").unwrap_or(line).strip_prefix(prefix))
    });
    let line = fatal.or_else(|| lines().next_back())?;
    Some(line.chars().filter(|character| !character.is_control()).take(500).collect())
}

/// Gives a command the lock's file as its input: whoever outlives us with it still holds the lock.
pub(crate) fn holding(mut command: Command, lock: &File) -> Result<Command, GitFailure> {
    command.stdin(Stdio::from(lock.try_clone().map_err(GitFailure::NotRun)?));
    Ok(command)
}

/// Adds arguments; a shorthand that keeps a call on one line.
pub(crate) fn with<A: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = A>) -> Command {
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let limit = Duration::from_millis(200);
        let failure = run(command, "fetch", limit, None).await.unwrap_err();
        assert!(matches!(failure, GitFailure::TooSlow { .. }), "{failure}");
    }

    #[tokio::test]
    async fn a_command_that_writes_too_much_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 0.2; head -c 1000000 /dev/zero >file"]).current_dir(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        run(command, "fetch", Duration::from_secs(20), Some(1000)).await.unwrap_err();
        assert!(std::fs::metadata(folder.path().join("file")).unwrap().len() <= 1000);
    }

    #[test]
    fn whoever_outlives_us_still_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = File::create(&path).unwrap();
        lock.lock().unwrap();
        let mut left = Command::new("sleep");
        left.arg("600");
        let mut left = holding(left, &lock).unwrap().spawn().unwrap();
        drop(lock);
        let next = File::open(&path).unwrap();
        assert!(next.try_lock().is_err());
        left.kill().unwrap();
        left.wait().unwrap();
        next.try_lock().unwrap();
    }

    #[test]
    fn the_complaint_is_the_line_that_says_what_is_wrong() {
        let check = |said: &str, expected: Option<&str>| assert_eq!(complaint_of(said).as_deref(), expected);
        check("warning: x\nfatal: repository 'y' not found\n", Some("repository 'y' not found"));
        check("remote: ERROR: no access\nfatal: Could not read", Some("no access"));
        check(
            "ssh: connect to host x port 22: Connection refused\r\nfatal: Could not read",
            Some("Could not read"),
        );
        check("", None);
    }
}
