//! The container as an OCI runtime configuration (`config.json`). Pure: everything that needs looking up was looked up.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::capabilities::Capabilities;
use crate::cgroup::{Hierarchies, LegacyMount};
use crate::seccomp;
use crate::spec::{ContainerSpec, Limits, Mount, Network, Rlimit, Seccomp};
use crate::user::User;

/// What was found out about a container before it is made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rootfs: PathBuf,
    pub(crate) user: User,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) capabilities: Capabilities,
    /// Whether the filter is enforced.
    pub(crate) filtered: bool,
    /// Lowered to what can be set.
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) oom_score_adj: Option<i32>,
    /// The group's path below each hierarchy's root.
    pub(crate) cgroup: PathBuf,
    /// Whether there is one; without, nothing is limited.
    pub(crate) has_cgroup: bool,
    pub(crate) hierarchies: Hierarchies,
    /// Files of the container's folder that are mounted over those of the image: (source, target).
    pub(crate) files: Vec<(PathBuf, PathBuf)>,
    pub(crate) in_user_namespace: bool,
}

/// Who does the last steps before the program runs: changing the user, dropping capabilities, the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastSteps {
    /// This crate; the engine hands over root with everything that this process may have.
    Ours(Capabilities),
    /// The engine.
    Engines,
}

/// Hidden from containers: Docker's list.
const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Not writable in containers: Docker's list.
const READ_ONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The configuration.
pub(crate) fn config(spec: &ContainerSpec, plan: &Plan, last_steps: LastSteps) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(spec, plan, last_steps),
        "root": { "path": plan.rootfs, "readonly": spec.rootfs.read_only() },
        "hostname": spec.hostname,
        "mounts": mounts(spec, plan, last_steps),
        "linux": linux(spec, plan, last_steps),
    })
}

fn process(spec: &ContainerSpec, plan: &Plan, last_steps: LastSteps) -> Value {
    let (user, given) = match last_steps {
        LastSteps::Ours(available) => (json!({ "uid": 0, "gid": 0 }), available),
        LastSteps::Engines => (user_value(&plan.user), plan.capabilities),
    };
    let mut process = json!({
        "terminal": false,
        "user": user,
        "args": spec.args,
        "env": environment(&plan.env),
        "cwd": spec.cwd,
        "capabilities": capabilities_value(given),
        "noNewPrivileges": spec.security.no_new_privileges,
    });
    if last_steps == LastSteps::Engines {
        process["rlimits"] = plan.rlimits.iter().map(rlimit).collect();
        if let Some(score) = plan.oom_score_adj {
            process["oomScoreAdj"] = json!(score);
        }
    }
    process
}

/// `process.user`.
pub(crate) fn user_value(user: &User) -> Value {
    json!({ "uid": user.uid, "gid": user.gid, "additionalGids": user.groups })
}

/// `process.capabilities`: none is inherited by programs of other users.
pub(crate) fn capabilities_value(set: Capabilities) -> Value {
    let names = set.names();
    json!({ "bounding": names, "effective": names, "permitted": names })
}

/// `process.env`.
pub(crate) fn environment(env: &[(String, String)]) -> Vec<String> {
    env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn rlimit(limit: &Rlimit) -> Value {
    json!({ "type": limit.name, "soft": limit.soft, "hard": limit.hard })
}

fn linux(spec: &ContainerSpec, plan: &Plan, last_steps: LastSteps) -> Value {
    let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
    if matches!(plan.hierarchies, Hierarchies::Unified(_)) && plan.has_cgroup {
        namespaces.push("cgroup");
    }
    let namespaces: Vec<_> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
    let mut linux = json!({ "namespaces": namespaces, "sysctl": spec.sysctls });
    // The engine built in needs a name in any case; others take a missing one for "none".
    if plan.has_cgroup || last_steps != LastSteps::Engines {
        linux["cgroupsPath"] = json!(Path::new("/").join(&plan.cgroup));
    }
    if !spec.security.privileged {
        linux["maskedPaths"] = json!(MASKED_PATHS);
        let bound = last_steps != LastSteps::Engines && matches!(plan.hierarchies, Hierarchies::Legacy(_));
        let groups = (bound && plan.has_cgroup).then_some(&"/sys/fs/cgroup");
        linux["readonlyPaths"] = READ_ONLY_PATHS.iter().chain(groups).copied().collect();
    }
    if last_steps == LastSteps::Engines {
        if plan.has_cgroup {
            linux["resources"] = resources(&spec.limits, spec.security.privileged);
        }
        if plan.filtered && spec.security.seccomp == Seccomp::Default {
            linux["seccomp"] = seccomp::oci(plan.capabilities);
        }
    }
    linux
}

/// For engines that set limits themselves.
fn resources(limits: &Limits, privileged: bool) -> Value {
    let mut resources = json!({});
    if let Some(bytes) = limits.memory_bytes {
        resources["memory"] = json!({ "limit": bytes, "swap": bytes });
    }
    let mut cpu = json!({});
    if let Some(millis) = limits.cpu_millis {
        cpu["quota"] = json!((u64::from(millis) * 100).max(1000));
        cpu["period"] = json!(100_000);
    }
    if let Some(millis) = limits.cpu_request_millis {
        cpu["shares"] = json!((u64::from(millis) * 1024 / 1000).clamp(2, 262_144));
    }
    resources["cpu"] = cpu;
    if let Some(pids) = limits.pids {
        resources["pids"] = json!({ "limit": pids });
    }
    resources["devices"] = json!([{ "allow": privileged, "access": "rwm" }]);
    resources
}

fn mounts(spec: &ContainerSpec, plan: &Plan, last_steps: LastSteps) -> Vec<Value> {
    let is_replaced = |value: &Value| {
        let target = value["destination"].as_str().map(Path::new);
        spec.mounts.iter().any(|mount| Some(mount.target().as_path()) == target)
    };
    let standard = standard_mounts(spec, plan, last_steps).into_iter().filter(|value| !is_replaced(value));
    let mut all: Vec<_> = standard.collect();
    // A mount below another's target comes after it, whatever order they were given in.
    let mut own: Vec<_> = spec.mounts.iter().collect();
    own.sort_by_key(|mount| mount.target().components().count());
    all.extend(own.into_iter().filter_map(own_mount));
    let files = plan.files.iter().map(|(source, target)| {
        json!({ "destination": target, "type": "bind", "source": source, "options": ["bind", "rprivate"] })
    });
    all.extend(files.filter(|value| !is_replaced(value)));
    all
}

fn standard_mounts(spec: &ContainerSpec, plan: &Plan, last_steps: LastSteps) -> Vec<Value> {
    let access = if spec.security.privileged { "rw" } else { "ro" };
    let mount = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let quiet = ["nosuid", "noexec", "nodev"];
    let with = |more: &[&'static str]| [&quiet[..], more].concat();
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if !plan.in_user_namespace {
        pts.push("gid=5");
    }
    let mut mounts = vec![
        mount("/proc", "proc", &quiet),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", &pts),
    ];
    // A user namespace may show the devices of its own network namespace only.
    if plan.in_user_namespace && spec.network == Network::Host {
        let options = ["rbind", "ro", "nosuid", "noexec", "nodev"];
        mounts.push(json!({ "destination": "/sys", "type": "bind", "source": "/sys", "options": options }));
    } else {
        mounts.push(mount("/sys", "sysfs", &[&quiet[..], &[access]].concat()));
    }
    match &plan.hierarchies {
        _ if !plan.has_cgroup => {}
        Hierarchies::Legacy(legacy) if last_steps != LastSteps::Engines => {
            mounts.push(mount("/sys/fs/cgroup", "tmpfs", &with(&["mode=755"])));
            mounts.extend(legacy_groups(legacy, &plan.cgroup, access));
        }
        _ => mounts.push(mount("/sys/fs/cgroup", "cgroup", &[&with(&["relatime"])[..], &[access]].concat())),
    }
    mounts.push(mount("/dev/mqueue", "mqueue", &quiet));
    let size = format!("size={}", spec.shm_bytes);
    mounts.push(mount("/dev/shm", "tmpfs", &[&with(&["mode=1777"])[..], &[&size]].concat()));
    mounts
}

/// The container's own group in each version 1 hierarchy. libcontainer would leave them writable, and a container could
/// lift its own limits.
fn legacy_groups(legacy: &[LegacyMount], group: &Path, access: &str) -> Vec<Value> {
    let mut mounts = Vec::new();
    for LegacyMount { controllers, folder } in legacy {
        let joint = folder.file_name().map(|name| name.to_string_lossy().into_owned()).into_iter();
        let controllers = controllers.iter().filter(|name| !name.contains('=')).cloned();
        let mut names: Vec<_> = joint.chain(controllers).collect();
        names.dedup();
        mounts.extend(names.into_iter().map(|name| {
            let options = ["bind", "nosuid", "noexec", "nodev", "relatime", access];
            let target = Path::new("/sys/fs/cgroup").join(name);
            json!({ "destination": target, "type": "bind", "source": folder.join(group), "options": options })
        }));
    }
    mounts
}

/// `None` for layers, which are a plain bind once they are mounted.
fn own_mount(mount: &Mount) -> Option<Value> {
    Some(match mount {
        Mount::Layers { .. } => return None,
        Mount::Bind { source, target, read_only } => {
            let access = if *read_only { "ro" } else { "rw" };
            let options = ["rbind", "rprivate", access];
            json!({ "destination": target, "type": "bind", "source": source, "options": options })
        }
        Mount::Tmpfs { target, size, mode } => {
            let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
            options.push(format!("mode={:o}", mode.unwrap_or(0o1777)));
            options.extend(size.map(|size| format!("size={size}")));
            json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": options })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Rootfs;

    fn plan() -> Plan {
        Plan {
            rootfs: "/r".into(),
            user: User { uid: 7, gid: 8, groups: vec![9], home: "/".into() },
            env: vec![("A".into(), "b".into())],
            capabilities: Capabilities::docker_default(),
            filtered: true,
            rlimits: vec![],
            oom_score_adj: None,
            cgroup: "minato/x/y".into(),
            has_cgroup: true,
            hierarchies: Hierarchies::Absent,
            files: vec![("/f/hosts".into(), "/etc/hosts".into())],
            in_user_namespace: false,
        }
    }

    fn spec() -> ContainerSpec {
        let rootfs = Rootfs::Folder { path: "/r".into(), read_only: true };
        ContainerSpec::new("a".parse().unwrap(), rootfs, vec!["sh".to_owned()])
    }

    fn destinations(spec: &ContainerSpec) -> Vec<String> {
        mounts(spec, &plan(), LastSteps::Engines)
            .iter()
            .map(|mount| mount["destination"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_engine_gets_either_the_user_or_root_with_everything() {
        let engines = config(&spec(), &plan(), LastSteps::Engines);
        assert_eq!(engines["process"]["user"], json!({ "uid": 7, "gid": 8, "additionalGids": [9] }));
        assert!(engines["linux"]["seccomp"].is_object());
        let ours = config(&spec(), &plan(), LastSteps::Ours(Capabilities::all()));
        assert_eq!(ours["process"]["user"], json!({ "uid": 0, "gid": 0 }));
        assert!(ours["linux"]["seccomp"].is_null());
        assert_eq!(ours["linux"]["cgroupsPath"], "/minato/x/y");
    }

    #[test]
    fn a_mount_replaces_the_standard_one_at_its_target() {
        let shm = Mount::Tmpfs { target: "/dev/shm".into(), size: None, mode: None };
        let found = destinations(&ContainerSpec { mounts: vec![shm], ..spec() });
        assert_eq!(found.iter().filter(|target| *target == "/dev/shm").count(), 1);
        let hosts = Mount::Bind { source: "/h".into(), target: "/etc/hosts".into(), read_only: true };
        let found = destinations(&ContainerSpec { mounts: vec![hosts], ..spec() });
        assert_eq!(found.iter().filter(|target| *target == "/etc/hosts").count(), 1);
    }

    #[test]
    fn an_outer_mount_comes_first() {
        let tmpfs = |target: &str| Mount::Tmpfs { target: target.into(), size: None, mode: None };
        let found =
            destinations(&ContainerSpec { mounts: vec![tmpfs("/data/in/side"), tmpfs("/data")], ..spec() });
        let place = |target: &str| found.iter().position(|found| found == target).unwrap();
        assert!(place("/data") < place("/data/in/side"));
    }

    #[test]
    fn privileged_hides_nothing() {
        let mut privileged = spec();
        privileged.security.privileged = true;
        let found = config(&privileged, &plan(), LastSteps::Engines);
        assert!(found["linux"]["maskedPaths"].is_null());
    }
}
