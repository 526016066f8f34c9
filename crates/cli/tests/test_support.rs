//! The instruments of the whole-program tests measure what they say: each sees what is there and notices when it is not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/load.rs"]
mod load;
mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load::{Load, assert_executed_once, assert_none_failed};
use support::application::{Application, Version};
use support::http::time_until_served;
use support::parts::{Part, present};
use support::traces::Traces;

#[test]
fn traces_are_found_and_their_end_is_noticed() {
    if !present("traces_are_found_and_their_end_is_noticed", &[Part::Root, Part::Command("unshare")]) {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs none \"$MINATO_DATA_DIR\" && exec sleep 600";
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", script])
        .env("MINATO_DATA_DIR", data.path())
        .spawn()
        .unwrap();
    let mut seen = Traces::of(data.path());
    // The shell before it has these words among its arguments, too.
    while seen.named("sleep (sleep 600)").is_empty() {
        std::thread::sleep(Duration::from_millis(5));
        seen = Traces::of(data.path());
    }
    assert_eq!(seen.namespaces.len(), 2, "{:?}", seen.namespaces);
    let left = seen.left(data.path());
    assert!(left.iter().any(|line| line.starts_with("process")), "{left:?}");
    assert!(left.iter().any(|line| line.starts_with("namespace net:")), "{left:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen.left(data.path()), Vec::<String>::new());
}

#[test]
fn the_load_executes_each_post_once_on_a_server_that_works() {
    let mut server = Server::start("good");
    let load = Load::on(&server.address);
    std::thread::sleep(Duration::from_secs(3));
    let report = load.stop();
    let logs = server.stop();
    assert_none_failed(&report);
    assert!(report.sent > 400, "open loop: {} in 3 s", report.sent);
    assert_executed_once(&report, &logs);
}

#[test]
fn the_load_notices_a_server_that_dies() {
    let server = Server::start("fail-after-ready");
    let load = Load::on(&server.address);
    std::thread::sleep(Duration::from_secs(6));
    let report = load.stop();
    assert!(report.failed > 50, "{report:?}");
    assert!(std::panic::catch_unwind(|| assert_none_failed(&report)).is_err());
    assert!(std::panic::catch_unwind(|| assert_executed_once(&report, "")).is_err());
}

/// The test application on this machine, without a container.
struct Server {
    address: String,
    process: Child,
}

impl Server {
    fn start(behaviour: &str) -> Server {
        let application = Application::new(&Version::good("1"));
        // Below the ports that the kernel gives to clients: a client that asks for a free one of those reaches itself.
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let first = 20_000 + (std::process::id() % 10_000) as u16;
        let port = (first..).skip(if behaviour == "good" { 0 } else { 1000 }).find(free).unwrap();
        let process = Command::new(application.path().join(Path::new("application")))
            .env("PORT", port.to_string())
            .env("BEHAVIOUR", behaviour)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("http://127.0.0.1:{port}");
        time_until_served(&address, Duration::from_secs(5));
        Server { address, process }
    }

    /// Asks it to stop and returns its log.
    fn stop(&mut self) -> String {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(self.process.stdout.as_mut().unwrap(), &mut log).unwrap();
        assert!(self.process.wait().unwrap().success(), "stopped in an orderly way");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
