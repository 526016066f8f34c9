//! Containers of an ordinary user, as far as this kernel lets them: a user namespace, no limits, no way out; both said.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::fs;
use std::net::SocketAddrV4;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use minato_runtime::{
    ContainerSpec, Engine, ExitOutcome, Limits, LogOptions, Network, OwnNetwork, Rootfs, Runtime, Signal,
    StartError, State, Uplink, Warning,
};
use support::{Missing, answer, exec, exit_of, need_program, output, run, shell};

/// Nobody in particular.
const USER: u32 = 47_110;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("as-ordinary-user") {
        minato_runtime::reexec();
        return as_ordinary_user(std::env::args().nth(2).unwrap().as_ref());
    }
    run(&[("an_ordinary_user_runs_containers", an_ordinary_user_runs_containers)]);
}

/// The same program again, as somebody else.
fn an_ordinary_user_runs_containers() -> Result<(), Missing> {
    support::need_root()?;
    need_program("busybox")?;
    let setpriv = need_program("setpriv")?;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("program");
    fs::copy("/proc/self/exe", &program).unwrap();
    assert!(
        Command::new("cp")
            .args(["-a"])
            .arg(support::busybox_layer())
            .arg(folder.path())
            .status()
            .unwrap()
            .success()
    );
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    for path in [&home, &folder.path().join("layer")] {
        assert!(
            Command::new("chown")
                .args(["-R", &format!("{USER}:{USER}")])
                .arg(path)
                .status()
                .unwrap()
                .success()
        );
        chown(path, Some(USER), Some(USER)).unwrap();
    }
    let user = USER.to_string();
    let mut command = Command::new(setpriv);
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"]);
    let outcome = command.arg(&program).arg("as-ordinary-user").arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr);
    match outcome.status.code() {
        Some(0) => Ok(()),
        Some(3) => Err(Missing(said.into_owned())),
        _ => panic!("{said}"),
    }
}

fn as_ordinary_user(folder: &Path) {
    let runtime = Runtime::new(&folder.join("home/run"), Engine::Embedded).unwrap();
    let spec = |id: &str, script: &str| {
        let rootfs = Rootfs::Layers { layers: vec![folder.join("layer")], read_only: false };
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let mut spec = ContainerSpec::new(id.parse().unwrap(), rootfs, args);
        spec.log = LogOptions { folder: Some(folder.join("home/logs").join(id)), ..LogOptions::default() };
        spec
    };

    let mut first =
        spec("first", "id -u; touch /new /root/new && echo written; grep Seccomp: /proc/self/status; exit 4");
    first.limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    first.network =
        Network::Own(OwnNetwork { address: [10, 88, 0, 9].into(), uplink: Some(Uplink::default()) });
    let shim = match runtime.start(&first) {
        Err(StartError::NoUserNamespace { reason }) => {
            eprint!("user namespaces for ordinary users: {reason}");
            std::process::exit(3);
        }
        other => other.unwrap(),
    };
    let said = |is: fn(&Warning) -> bool| shim.warnings().iter().any(is);
    assert!(said(|warning| matches!(warning, Warning::LimitsNotEnforced { .. })), "{:?}", shim.warnings());
    assert!(said(|warning| matches!(warning, Warning::NoWayOut { .. })), "{:?}", shim.warnings());
    assert_eq!(exit_of(&shim).outcome, ExitOutcome::Code(4));
    assert_eq!(output(&first), "0\nwritten\nSeccomp:\t2\n");
    shim.release().unwrap();

    let mut server =
        spec("server", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 3000 -h /www");
    server.network = Network::Own(OwnNetwork { address: [10, 88, 0, 9].into(), uplink: None });
    let server = runtime.start(&server).unwrap();
    let mut second = spec("second", "until wget -q -O - http://10.88.0.9:3000/; do sleep 0.02; done");
    second.network = Network::Join(server.identity().clone());
    let shim = runtime.start(&second).unwrap();
    assert!(exit_of(&shim).success());
    assert_eq!(output(&second), "hello\n");
    shim.release().unwrap();
    assert_eq!(exec(&server, &shell("cat /www/index.html; id -u")).1, "hello\n0\n");

    // The server has port 3000 of all addresses, and a Service has it on its own.
    answer(&server, SocketAddrV4::new([127, 1, 0, 1].into(), 3000), "service");
    assert_eq!(exec(&server, &shell("wget -q -O - http://127.1.0.1:3000/")).1, "service\n");

    let other = ContainerSpec { user: "app".to_owned(), ..spec("other", "true") };
    assert!(matches!(runtime.start(&other), Err(StartError::UnknownUser { .. })), "only its root exists");

    server.identity().kill(Signal::KILL);
    let State::Running { pid, .. } = server.state().unwrap() else { panic!("it should live on") };
    runtime.remove(server.id()).unwrap();
    assert!(
        !Path::new(&format!("/proc/{pid}/ns")).exists() || fs::read_link(format!("/proc/{pid}/exe")).is_err()
    );
    assert!(runtime.list().unwrap().is_empty());
}
