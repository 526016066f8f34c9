//! What every test here needs: a runner that lets a shim take over first, a root file system, a runtime in a folder of
//! its own that is empty again at the end.
#![allow(dead_code, missing_docs)] // Each test program uses a part of it.

mod runner;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use minato_runtime::{
    ContainerSpec, Engine, ExecSpec, ExecStdio, Exit, LogLine, LogOptions, Rootfs, Runtime, Shim, State,
    Stream,
};

pub use runner::{Missing, Test};

/// Runs tests after a shim was given its turn.
pub fn run(tests: &[Test]) {
    minato_runtime::reexec();
    runner::run(tests);
}

pub fn need_root() -> Result<(), Missing> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Missing("root".to_owned())) }
}

/// A program of this machine.
pub fn need_program(name: &str) -> Result<PathBuf, Missing> {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .ok_or_else(|| Missing(format!("{name} is not installed")))
}

/// Everything for starting containers; root, busybox and a fresh folder.
pub struct Bench {
    pub runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Result<Self, Missing> {
        Self::with(Engine::Embedded)
    }

    pub fn with(engine: Engine) -> Result<Self, Missing> {
        need_root()?;
        need_program("busybox")?;
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(folder.path(), engine).unwrap();
        Ok(Self { runtime, folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A container with busybox that runs a shell script; its log is kept beside the container's folder.
    pub fn shell(&self, script: &str) -> ContainerSpec {
        self.command(&["sh", "-c", script])
    }

    pub fn command(&self, args: &[&str]) -> ContainerSpec {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let rootfs = Rootfs::Layers { layers: vec![busybox_layer().to_owned()], read_only: false };
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut spec = ContainerSpec::new(id.parse().unwrap(), rootfs, args);
        let folder = Some(self.folder.path().join("logs").join(&id));
        spec.log = LogOptions { folder, ..LogOptions::default() };
        spec
    }

    /// Runs to the end and gives how it ended and what it wrote.
    pub fn run(&self, spec: &ContainerSpec) -> (Exit, String) {
        let shim = self.runtime.start(spec).unwrap_or_else(|error| panic!("{:?}: {error}", spec.args));
        let exit = exit_of(&shim);
        let text = output(spec);
        shim.release().unwrap();
        (exit, text)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for found in self.runtime.list().unwrap_or_default() {
            let removed = self.runtime.remove(&found.id);
            if !std::thread::panicking() {
                removed.unwrap();
            }
        }
    }
}

pub fn exit_of(shim: &Shim) -> Exit {
    match shim.wait().unwrap() {
        State::Exited(exit) => exit,
        other => panic!("it did not exit: {other:?}"),
    }
}

/// What a container wrote, both streams, in the log's order.
pub fn output(spec: &ContainerSpec) -> String {
    stream_output(spec, &[Stream::Stdout, Stream::Stderr])
}

pub fn stream_output(spec: &ContainerSpec, streams: &[Stream]) -> String {
    let file = spec.log.folder.as_ref().unwrap().join(minato_runtime::LOG_FILE);
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines =
        text.lines().map(|line| LogLine::parse(line).unwrap_or_else(|| panic!("not a log line: {line}")));
    lines
        .filter(|line| streams.contains(&line.stream))
        .map(|line| format!("{}{}", line.text, if line.partial { "" } else { "\n" }))
        .collect()
}

/// Runs a shell script in a running container; gives the exit and what it wrote on both streams.
pub fn exec(shim: &Shim, spec: &ExecSpec) -> (Exit, String) {
    let output = tempfile::tempfile().unwrap();
    let input = fs::File::open("/dev/null").unwrap();
    let exit = {
        use std::os::fd::AsFd;
        let stdio = ExecStdio { stdin: input.as_fd(), stdout: output.as_fd(), stderr: output.as_fd() };
        shim.exec(spec, &stdio).unwrap().wait().unwrap()
    };
    use std::io::Seek;
    let mut file = output;
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    (exit, text)
}

pub fn shell(script: &str) -> ExecSpec {
    ExecSpec::new(["sh", "-c", script].map(str::to_owned).to_vec())
}

/// Answers every request that arrives at a listener inside the container, for as long as this program runs.
pub fn answer(shim: &Shim, at: SocketAddrV4, text: &'static str) {
    let listener = TcpListener::from(shim.listen(at).unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // Closing with a request unread would reset the connection.
            let _client_gone = stream.read(&mut [0; 1024]);
            let _client_gone = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{text}\n");
        }
    });
}

/// Waits until something is so; for what nobody tells of.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < Duration::from_secs(20), "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A layer with busybox and what a small image has. Made once, for all tests on this machine.
pub fn busybox_layer() -> &'static Path {
    static LAYER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    &LAYER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let layer = folder.path().join("layer");
            make_layer(&layer);
            (folder, layer)
        })
        .1
}

fn make_layer(layer: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for name in ["bin", "etc", "home/app", "proc", "sys", "dev", "root", "usr/bin", "usr/sbin", "sbin"] {
        fs::create_dir_all(layer.join(name)).unwrap();
    }
    fs::create_dir(layer.join("tmp")).unwrap();
    fs::set_permissions(layer.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let busybox = need_program("busybox").ok().unwrap();
    fs::copy(busybox, layer.join("bin/busybox")).unwrap();
    let status =
        Command::new("chroot").arg(layer).args(["/bin/busybox", "--install", "-s"]).status().unwrap();
    assert!(status.success());
    fs::write(
        layer.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1000:\naudio:x:29:app\n").unwrap();
    std::os::unix::fs::chown(layer.join("home/app"), Some(1000), Some(1000)).unwrap();
}

/// What this test program's containers use of the system. Others may use the machine meanwhile, so only what bears this
/// program's marks is counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Census {
    processes: Vec<String>,
    mounts: Vec<String>,
    cgroups: Vec<PathBuf>,
    namespaces: Vec<PathBuf>,
}

/// Fails when a container left anything. Processes take a moment to go.
pub fn nothing_is_left() {
    let started = Instant::now();
    while Census::take() != Census::default() {
        if started.elapsed() > Duration::from_secs(20) {
            assert_eq!(Census::take(), Census::default(), "something leaked");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Census {
    fn take() -> Self {
        let own = shims();
        let namespaces =
            own.iter().filter_map(|(pid, _)| fs::read_link(format!("/proc/{pid}/ns/net")).ok()).collect();
        let processes = own.into_iter().map(|(_, line)| line).collect();
        Self { processes, mounts: mounts(), cgroups: cgroups(), namespaces }
    }
}

/// Container ids of this program start with it.
fn mark() -> String {
    format!("t{}-", std::process::id())
}

/// Shims and programs of containers of this program.
fn shims() -> Vec<(u32, String)> {
    let own = mark();
    let line = |pid: u32| {
        let text = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let ours = text("cmdline").contains(&own) || text("environ").contains(&format!("HOSTNAME={own}"));
        ours.then(|| (pid, text("cmdline")))
    };
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter_map(line).collect()
}

fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().filter(|line| line.contains(&mark())).map(str::to_owned).collect()
}

fn cgroups() -> Vec<PathBuf> {
    fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if entry.file_name().to_string_lossy().starts_with(&mark()) {
                found.push(entry.path());
            }
            if depth > 0 {
                walk(&entry.path(), depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), 3, &mut found);
    found
}
