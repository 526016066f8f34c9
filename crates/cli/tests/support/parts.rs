//! What a test needs from the machine. A test whose part is missing says so by name and returns; `./test` counts it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Something that a machine may not have.
#[derive(Clone, Copy)]
pub enum Part {
    /// Cgroups, network namespaces and overlay mounts as the tests use them.
    Root,
    /// A command on the PATH.
    Command(&'static str),
    /// The registry folder that `tools/node-example-parts` makes.
    NodeBaseImage,
    /// User namespaces for users other than root; asked for by root.
    UserNamespaces,
    /// Kubernetes' control plane, as `tools/control-plane` builds it; asked for with MINATO_TEST_CLUSTER=1.
    ControlPlane,
    /// moto and the AWS CLI, as `tools/moto` installs them.
    Moto,
}

/// Whether the test can run; if not, says what is missing.
pub fn present(test: &str, parts: &[Part]) -> bool {
    for part in parts {
        if let Some(missing) = part.missing() {
            eprintln!("SKIPPED {test}: {missing}");
            return false;
        }
    }
    true
}

impl Part {
    fn missing(self) -> Option<String> {
        match self {
            Part::Root => (!is_root()).then(|| "not root".to_owned()),
            Part::Command(name) => on_path(name).is_none().then(|| format!("{name} is not on the PATH")),
            Part::NodeBaseImage => node_base_image().err(),
            Part::UserNamespaces => {
                (!has_user_namespaces()).then(|| "no user namespaces for ordinary users".to_owned())
            }
            Part::ControlPlane
                if std::env::var_os("MINATO_TEST_CLUSTER").is_none_or(|value| value != "1") =>
            {
                Some("a control plane was not asked for (./test --cluster)".to_owned())
            }
            Part::ControlPlane => fetched("control-plane").err(),
            Part::Moto => fetched("moto").err(),
        }
    }
}

/// The storage of a registry that holds `library/node:20-alpine`; made at the first call, which needs the network.
pub fn node_base_image() -> Result<PathBuf, String> {
    for command in ["docker-registry", "skopeo", "curl", "apt-get"] {
        on_path(command).ok_or(format!("{command} is not on the PATH"))?;
    }
    let made = Command::new(repository().join("tools/node-example-parts")).output().unwrap();
    match made.status.success() {
        true => Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim())),
        false => Err(format!("no base image: {}", String::from_utf8_lossy(&made.stderr).replace('\n', " "))),
    }
}

/// Has `tools/TOOL` make what it needs; at the first call this needs the network and time.
fn fetched(tool: &str) -> Result<(), String> {
    let fetched = Command::new(repository().join("tools").join(tool)).arg("fetch").output().unwrap();
    let said = String::from_utf8_lossy(&fetched.stderr);
    match fetched.status.success() {
        true => Ok(()),
        false => Err(said.lines().last().unwrap_or(tool).to_owned()),
    }
}

/// The static busybox that `Part::Command("busybox")` has found.
pub fn busybox() -> PathBuf {
    on_path("busybox").unwrap()
}

/// The root of this repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn has_user_namespaces() -> bool {
    let attempt = [
        "--reuid",
        "12345",
        "--regid",
        "12345",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
        "true",
    ];
    Command::new("setpriv").args(attempt).output().is_ok_and(|output| output.status.success())
}

fn on_path(command: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(command))
        .find(|file| file.is_file())
}
