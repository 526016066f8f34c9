//! Minato as a user runs it, with a data folder that ends with the test.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::traces::{self, Traces};

/// How long a verb may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the output may stay open after the program has ended.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(5);

/// A user id that owns nothing.
const ORDINARY_USER: u32 = 12_345;

/// One data folder, and what has been seen running for it.
pub struct Machine {
    folder: TempDir,
    /// What is called: the program itself, or something that calls it.
    program: Vec<OsString>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    seen: std::sync::Mutex<Traces>,
}

impl Machine {
    pub fn new() -> Machine {
        Machine::with_flags(&[])
    }

    /// A machine on which every call has these flags, such as a registry mirror.
    pub fn with_flags(flags: &[&str]) -> Machine {
        let folder = tempfile::Builder::new().prefix("minato-test-").tempdir().unwrap();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let program = std::env::var_os("MINATO_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_minato").into());
        let (environment, seen) = (Vec::new(), Traces::default().into());
        Machine { folder, program: vec![program], flags, environment, seen }
    }

    /// The same machine, on which every call has this environment, too.
    pub fn with_environment(mut self, variables: &[(&str, &str)]) -> Machine {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        self.environment.extend(variables);
        self
    }

    /// A machine on which Minato is called by a user who is not root; the test itself must be root.
    pub fn of_ordinary_user() -> Machine {
        let mut machine = Machine::new();
        // The folders above the program may be root's alone.
        let copy = machine.folder.path().join("minato");
        fs::copy(&machine.program[0], &copy).unwrap();
        chown(machine.folder.path(), Some(ORDINARY_USER), Some(ORDINARY_USER)).unwrap();
        let user = ORDINARY_USER.to_string();
        let become_user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        machine.program = become_user.map(OsString::from).into_iter().chain([copy.into()]).collect();
        machine
    }

    /// From here on another build of Minato is called; what runs is of the one before.
    pub fn upgrade(&mut self) {
        let copy = self.folder.path().join("minato-of-another-build");
        fs::copy(&self.program[0], &copy).unwrap();
        self.program = vec![copy.into()];
    }

    /// Where Minato may write.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Where a test may keep things that end with the machine.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a verb to its end.
    pub fn minato<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        self.start(arguments, &[]).wait()
    }

    /// Deploys and expects it to be healthy; returns the address that was printed.
    pub fn up(&self, folder: &Path) -> String {
        let run = self.minato(&[OsStr::new("up"), OsStr::new("--detach"), folder.as_os_str()]);
        run.expect(0);
        self.look();
        run.address()
    }

    /// Starts a verb and returns at once.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S], environment: &[(&str, &str)]) -> Running {
        let began = Instant::now();
        let said: Vec<_> = arguments.iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect();
        let mut child = Command::new(&self.program[0])
            .args(&self.program[1..])
            .args(&self.flags)
            .args(arguments)
            .env("MINATO_DATA_DIR", self.data())
            .env("HOME", self.folder.path().join("home"))
            .env("NO_COLOR", "1")
            .env("CI", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Running { child, stdout, stderr, began, said: said.join(" ") }
    }

    /// Remembers the processes, cgroups and namespaces that belong to this data folder now.
    pub fn look(&self) -> Traces {
        let now = Traces::of(&self.data());
        self.seen.lock().unwrap().add(&now);
        now
    }

    /// Everything that `look` ever saw is gone, and nothing on this machine mentions the data folder.
    pub fn assert_nothing_is_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.seen.lock().unwrap().left(&self.data());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind:\n{}", left.join("\n"));
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep_evidence();
        }
        traces::clean(&self.data());
    }
}

impl Machine {
    /// After a failure: the end of every log in the data folder, for the test's output.
    fn keep_evidence(&self) {
        let logs = Command::new("find")
            .arg(self.data())
            .args(["-name", "*.log", "-size", "-200k", "-exec", "tail", "-n", "25", "-v", "{}", "+"])
            .output();
        if let Ok(logs) = logs {
            eprintln!("{}", String::from_utf8_lossy(&logs.stdout));
        }
    }
}

/// A verb that has been started.
pub struct Running {
    pub child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    began: Instant,
    said: String,
}

impl Running {
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends the command as `kill -9` does, unless it has ended; returns what it had said by then.
    pub fn kill(mut self) -> Run {
        self.child.kill().ok();
        self.wait()
    }

    /// Asks the command to stop, as Ctrl-C does.
    pub fn interrupt(&self) {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
    }

    pub fn wait(mut self) -> Run {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if self.began.elapsed() > PATIENCE => self.give_up(),
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        let took = self.began.elapsed();
        let text = |output: &Receiver<Vec<u8>>| {
            let bytes = output.recv_timeout(OUTPUT_PATIENCE);
            let bytes =
                bytes.unwrap_or_else(|_| panic!("`minato {}`: its output is still held open", self.said));
            String::from_utf8(bytes).expect("output is UTF-8")
        };
        let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
        Run { code: status.code().unwrap_or(-1), stdout, stderr, took, said: self.said }
    }

    fn give_up(&mut self) -> ! {
        self.child.kill().ok();
        let text = |output: &Receiver<Vec<u8>>| output.recv_timeout(OUTPUT_PATIENCE).unwrap_or_default();
        let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
        panic!(
            "`minato {}` did not end in {PATIENCE:?}\nstdout: {}\nstderr: {}",
            self.said,
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
    }
}

/// A verb that has ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
    said: String,
}

impl Run {
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Run {
        assert_eq!(self.code, code, "the exit code of {self}");
        self
    }

    /// Something that the output must say, on either stream.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Run {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "expected {text:?} from {self}");
        self
    }

    /// The first address on 127.0.0.1 that was printed.
    #[track_caller]
    pub fn address(&self) -> String {
        let all = format!("{}\n{}", self.stdout, self.stderr);
        let start = all.find("http://127.0.0.1:").unwrap_or_else(|| panic!("no address printed by {self}"));
        let end = all[start + 7..].find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
        all[start..end.map_or(all.len(), |end| start + 7 + end)].to_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { code, stdout, stderr, took, said } = self;
        write!(out, "`minato {said}`: code {code} after {took:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).ok();
        sender.send(bytes).ok();
    });
    receiver
}
