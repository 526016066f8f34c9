//! ADD of a Git repository: from a `git daemon` on loopback, and from a plain HTTP server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // Helpers of tests are no tests to clippy.

mod support;

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use support::server::{Answer, Server};
use support::{Workshop, steps};

/// Repositories below a folder, served by `git daemon` until it is dropped.
struct Daemon {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Daemon {
    /// Starts it with one repository, `app`: a commit tagged `v1`, a commit after it, and a branch `old` at the first.
    /// `None` when there is no `git daemon`.
    fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        make_app(&folder.path().join("app"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("git");
        command.args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", folder.path().display()));
        // It has children: the daemon proper, and one for each connection.
        command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.process_group(0).spawn().unwrap();
        let mut daemon = Self { folder, port, process };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if daemon.process.try_wait().unwrap().is_some() {
                eprintln!("SKIPPED {test}: git daemon");
                return None;
            }
            std::thread::yield_now();
        }
        Some(daemon)
    }

    fn url(&self, rest: &str) -> String {
        format!("git://127.0.0.1:{}/app{rest}", self.port)
    }

    fn app(&self) -> PathBuf {
        self.folder.path().join("app")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.process.id().cast_signed()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.process.wait();
    }
}

fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args([
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "protocol.file.allow=always",
    ]);
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn make_app(app: &Path) {
    std::fs::create_dir_all(app.join("sub/deep")).unwrap();
    git(app, &["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(app.join("file"), "one").unwrap();
    std::fs::write(app.join("sub/deep/script"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(app.join("sub/deep/script"), PermissionsExt::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink("/etc", app.join("out")).unwrap();
    git(app, &["add", "."]);
    git(app, &["commit", "--quiet", "-m", "one"]);
    git(app, &["tag", "-a", "v1", "-m", "v1"]);
    git(app, &["branch", "old"]);
    std::fs::write(app.join("file"), "two").unwrap();
    git(app, &["commit", "--quiet", "-a", "-m", "two"]);
}

fn build(workshop: &Workshop, instruction: &str) -> Result<(String, PathBuf), String> {
    let built =
        workshop.build(&format!("FROM scratch\n{instruction}\n")).map_err(|error| error.to_string())?;
    Ok((steps(&built), workshop.layers(&built)[0].clone()))
}

fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_branch_a_tag_a_commit_or_a_folder_is_added() {
    let Some(daemon) = Daemon::start("a_branch_a_tag_a_commit_or_a_folder_is_added") else { return };
    let workshop = Workshop::new();
    let first = git(&daemon.app(), &["rev-parse", "old"]);
    for (rest, file) in [
        (String::new(), "two"),
        ("#old".to_owned(), "one"),
        ("#v1".to_owned(), "one"),
        ("?tag=v1".to_owned(), "one"),
        ("?branch=main".to_owned(), "two"),
        ("#refs/heads/old".to_owned(), "one"),
        (format!("#{first}"), "one"),
        (format!("#{}", &first[..9]), "one"),
        (format!("?checksum={first}&ref=old"), "one"),
    ] {
        let (_, layer) = build(&workshop, &format!("ADD {} /src/", daemon.url(&rest))).unwrap();
        assert_eq!(content(&layer.join("src/file")), file, "{rest}");
        assert!(!layer.join("src/.git").exists(), "{rest}");
    }
    let (_, layer) = build(&workshop, &format!("ADD {} /", daemon.url("#main:sub/deep"))).unwrap();
    let script = layer.join("script").metadata().unwrap();
    assert_eq!(script.permissions().mode() & 0o7777, 0o755);
}

#[test]
fn a_commit_is_checked_out_once() {
    let Some(daemon) = Daemon::start("a_commit_is_checked_out_once") else { return };
    let workshop = Workshop::new();
    let instruction = format!("ADD {} /src/", daemon.url("#main"));
    assert_eq!(build(&workshop, &instruction).unwrap().0, ".");
    assert_eq!(build(&workshop, &instruction).unwrap().0, "c");
    std::fs::write(daemon.app().join("file"), "three").unwrap();
    git(&daemon.app(), &["commit", "--quiet", "-a", "-m", "three"]);
    let (done, layer) = build(&workshop, &instruction).unwrap();
    assert_eq!((done.as_str(), content(&layer.join("src/file")).as_str()), (".", "three"));
}

#[test]
fn the_git_folder_is_kept_when_asked_and_the_same_every_time() {
    let Some(daemon) = Daemon::start("the_git_folder_is_kept_when_asked_and_the_same_every_time") else {
        return;
    };
    let instruction = format!("ADD --keep-git-dir=true {} /src/", daemon.url("#main"));
    let layers = [(); 2].map(|()| {
        let workshop = Workshop::new();
        let (_, layer) = build(&workshop, &instruction).unwrap();
        let head = git(&layer.join("src"), &["-c", "safe.directory=*", "rev-parse", "HEAD"]);
        assert_eq!(head, git(&daemon.app(), &["rev-parse", "main"]));
        assert_eq!(
            git(&layer.join("src"), &["-c", "safe.directory=*", "remote", "get-url", "origin"]),
            daemon.url("")
        );
        workshop.build(&format!("FROM scratch\n{instruction}\n")).unwrap().image.id
    });
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn submodules_come_along_unless_not_wanted() {
    let Some(daemon) = Daemon::start("submodules_come_along_unless_not_wanted") else { return };
    let library = daemon.folder.path().join("library");
    make_app(&library);
    let url = daemon.url("").replace("/app", "/library");
    git(&daemon.app(), &["submodule", "--quiet", "add", &url, "lib"]);
    git(&daemon.app(), &["commit", "--quiet", "-m", "with a library"]);
    let workshop = Workshop::new();
    let (_, layer) = build(&workshop, &format!("ADD {} /", daemon.url(""))).unwrap();
    assert_eq!(content(&layer.join("lib/file")), "two");
    assert!(!layer.join(".git").exists() && !layer.join("lib/.git").exists());
    let (_, layer) = build(&workshop, &format!("ADD {} /", daemon.url("?submodules=false"))).unwrap();
    assert!(!layer.join("lib/file").exists() && layer.join("lib").is_dir());
}

#[test]
fn a_submodule_of_this_machine_is_refused() {
    let Some(daemon) = Daemon::start("a_submodule_of_this_machine_is_refused") else { return };
    let secret = daemon.folder.path().join("secret");
    make_app(&secret);
    git(&daemon.app(), &["submodule", "--quiet", "add", &format!("file://{}", secret.display()), "lib"]);
    git(&daemon.app(), &["commit", "--quiet", "-m", "hostile"]);
    let error = build(&Workshop::new(), &format!("ADD {} /", daemon.url(""))).unwrap_err();
    assert!(error.starts_with("Dockerfile:2:1") && error.contains("git submodule update"), "{error}");
}

#[test]
fn what_is_not_there_is_said_at_its_line() {
    let Some(daemon) = Daemon::start("what_is_not_there_is_said_at_its_line") else { return };
    let workshop = Workshop::new();
    let other = "0123456789012345678901234567890123456789";
    for (rest, told) in [
        ("#nothing", "has no branch, tag or commit \"nothing\"".to_owned()),
        ("#0123456789", "has no branch, tag or commit".to_owned()),
        (&format!("#{other}"), format!("has no branch, tag or commit \"{other}\"")),
        ("#main:nowhere", "has no folder \"nowhere\"".to_owned()),
        ("#main:out", "has no folder \"out\"".to_owned()),
        (&format!("?ref=main&checksum={other}"), format!("and {other} was asked for")),
    ] {
        let error = build(&workshop, &format!("ADD {} /", daemon.url(rest))).unwrap_err();
        assert!(error.starts_with("Dockerfile:2:1: ADD") && error.contains(&told), "{rest}: {error}");
    }
}

#[test]
fn a_server_that_knows_nothing_of_git_serves_too() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    make_app(&app);
    git(&app, &["update-server-info"]);
    let root = app.join(".git");
    let server = Server::start(move |asked| {
        let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches("/app.git/");
        if asked.header("authorization") != Some("Basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0") {
            return Answer::status(401).header("www-authenticate", "Basic realm=x");
        }
        std::fs::read(root.join(path)).map_or_else(|_| Answer::status(404), Answer::ok)
    });
    let workshop = Workshop::new();
    let mut request = workshop.request(&format!("FROM scratch\nADD {} /\n", server.url("/app.git#v1")));
    let error = workshop.build_request(&request).unwrap_err().to_string();
    assert!(error.starts_with("Dockerfile:2:1: ADD") && error.contains("git ls-remote"), "{error}");
    request.remotes.git_token = Some(minato_build::Secret::new(b"secret\n".to_vec()));
    let built = workshop.build_request(&request).unwrap();
    assert_eq!(content(&workshop.layers(&built)[0].join("file")), "one");
}
