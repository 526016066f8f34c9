//! Turns a specification into a plan: looks into the root file system, at this machine and at this process, and makes
//! the files, the control group and the bundle.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::bundle::Plan;
use crate::capabilities::{self, Capabilities};
use crate::cgroup::{self, Cgroup, Hierarchies};
use crate::inside::{Entry, Root};
use crate::outcome::{StartError, Warning};
use crate::seccomp;
use crate::spec::{ContainerSpec, HostEntry, Mount, Network, Rlimit, Rootfs, Seccomp};
use crate::user::{self, User};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A plan with what was made for it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) warnings: Vec<Warning>,
}

/// Everything that is needed before an engine is called. `rootfs` is mounted.
pub(super) fn prepare(
    spec: &ContainerSpec,
    folder: &Path,
    rootfs: &Path,
    in_user_namespace: bool,
) -> Result<Prepared, StartError> {
    let root = Root::open(rootfs).map_err(|error| StartError::Rootfs { reason: error.to_string() })?;
    let user = user::resolve(&root, &spec.user, &spec.extra_groups)?;
    check_mounted(&user, &spec.user, in_user_namespace)?;
    check_sources(&spec.mounts)?;
    make_working_directory(&root, &spec.cwd)?;
    let files = write_files(spec, folder, &root)?;
    make_targets(&root, spec)?;

    let available = Capabilities::available();
    let (mut capabilities, mut warnings) = capabilities::resolve(&spec.security, available)?;
    let filtered = filtered(spec, &mut warnings)?;
    let group = control_group(spec, folder, &mut warnings);
    fail::fail_point!("runtime.shim.cgroup-made");
    withhold_device_nodes(spec, &group, &mut capabilities, &mut warnings);
    let lowered = lower(spec, available.has("SYS_RESOURCE") && !in_user_namespace, &mut warnings);
    let name = cgroup::name(folder);
    let plan = Plan {
        rootfs: rootfs.to_owned(),
        env: environment(spec, &user),
        user,
        capabilities,
        filtered,
        rlimits: lowered.rlimits,
        oom_score_adj: lowered.oom_score_adj,
        cgroup: name,
        has_cgroup: group.cgroup.is_some(),
        hierarchies: group.hierarchies,
        files,
        in_user_namespace,
    };
    Ok(Prepared { plan, cgroup: group.cgroup, warnings })
}

/// The container's environment with what Docker adds: `PATH`, `HOME` and, unless the network is the host's, `HOSTNAME`
/// where absent.
fn environment(spec: &ContainerSpec, user: &User) -> Vec<(String, String)> {
    let mut env = spec.env.clone();
    let mut add = |name: &str, value: &str| {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    };
    add("PATH", DEFAULT_PATH);
    if spec.network != Network::Host {
        add("HOSTNAME", &spec.hostname);
    }
    add("HOME", &user.home);
    env
}

/// In an ordinary user's namespace there is one user: root, which is that user outside.
fn check_mounted(user: &User, given: &str, in_user_namespace: bool) -> Result<(), StartError> {
    let only_root = user.uid == 0 && user.gid == 0;
    if in_user_namespace && !only_root {
        return Err(StartError::UnknownUser {
            user: given.to_owned(),
            reason: "an ordinary user can only run containers as their root; run this as root".to_owned(),
        });
    }
    Ok(())
}

fn check_sources(mounts: &[Mount]) -> Result<(), StartError> {
    let missing = |mount: &&Mount| matches!(mount, Mount::Bind { source, .. } if !source.exists());
    match mounts.iter().find(missing) {
        Some(Mount::Bind { source, .. }) => Err(StartError::MissingMountSource { path: source.clone() }),
        _ => Ok(()),
    }
}

fn make_working_directory(root: &Root, cwd: &Path) -> Result<(), StartError> {
    let bad = |reason: String| StartError::BadWorkingDirectory { path: cwd.to_owned(), reason };
    match root.entry(cwd) {
        Ok(Some(Entry::Folder)) => Ok(()),
        Ok(Some(_)) => Err(bad("it is no folder".to_owned())),
        Ok(None) => root.make_folder(cwd).map_err(|error| bad(error.to_string())),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`, in the container's folder, to be mounted over the image's. A
/// build step's root file system keeps its own: what is mounted over would leave an empty file in the layer.
fn write_files(
    spec: &ContainerSpec,
    folder: &Path,
    root: &Root,
) -> Result<Vec<(PathBuf, PathBuf)>, StartError> {
    let mut texts = Vec::new();
    if let Some(hosts) = &spec.hosts {
        texts.push(("hosts", hosts_text(hosts)));
    }
    if matches!(spec.rootfs, Rootfs::Layers { .. }) {
        texts.push(("hostname", format!("{}\n", spec.hostname)));
    }
    if let Some(text) = &spec.resolv_conf {
        texts.push(("resolv.conf", text.clone()));
    }
    let etc = folder.join("etc");
    let written = || -> io::Result<Vec<(PathBuf, PathBuf)>> {
        fs::create_dir_all(&etc)?;
        let mut files = Vec::new();
        for (name, text) in texts {
            let source = etc.join(name);
            let mut file =
                fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(&source)?;
            io::Write::write_all(&mut file, text.as_bytes())?;
            files.push((source, Path::new("/etc").join(name)));
        }
        Ok(files)
    };
    let mut files = written()
        .map_err(|error| StartError::Host { step: "writing /etc/hosts".into(), reason: error.to_string() })?;
    // An image without /etc (built from scratch, read-only) has nobody who would read them either.
    files.retain(|(_, target)| root.make_file(target).is_ok());
    Ok(files)
}

fn hosts_text(entries: &[HostEntry]) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for entry in entries {
        text.push_str(&format!("{}\t{}\n", entry.address, entry.names.join(" ")));
    }
    text
}

/// Makes what mounts need, so that a bad target is a clear error and never lands outside the root.
fn make_targets(root: &Root, spec: &ContainerSpec) -> Result<(), StartError> {
    for mount in &spec.mounts {
        // What is below another mount is made there, by the engine.
        let covered = |other: &Mount| other != mount && mount.target().starts_with(other.target());
        let system = ["/proc", "/sys", "/dev"].iter().any(|path| mount.target().starts_with(path));
        if system || spec.mounts.iter().any(covered) {
            continue;
        }
        let is_file = matches!(mount, Mount::Bind { source, .. } if !source.is_dir());
        let made = if is_file { root.make_file(mount.target()) } else { root.make_folder(mount.target()) };
        made.map_err(|error| StartError::BadMountTarget {
            path: mount.target().clone(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

fn filtered(spec: &ContainerSpec, warnings: &mut Vec<Warning>) -> Result<bool, StartError> {
    let wanted = spec.security.seccomp == Seccomp::Default && !spec.security.privileged;
    if !wanted || seccomp::is_supported() {
        return Ok(wanted);
    }
    let reason = "this kernel has no seccomp filters".to_owned();
    if !spec.security.insecure {
        return Err(StartError::SeccompNotEnforceable { reason });
    }
    warnings.push(Warning::Weaker { what: "seccomp".to_owned(), reason });
    Ok(false)
}

struct Group {
    hierarchies: Hierarchies,
    cgroup: Option<Cgroup>,
    devices_restricted: bool,
}

/// Without a group there are no limits, and that is said; the container runs.
fn control_group(spec: &ContainerSpec, folder: &Path, warnings: &mut Vec<Warning>) -> Group {
    let hierarchies = Hierarchies::of_this_machine();
    let name = cgroup::name(folder);
    match Cgroup::create(&hierarchies, &name) {
        Ok(cgroup) => {
            warnings.extend(cgroup.limit(&hierarchies, &name, &spec.limits));
            let restricted =
                !spec.security.privileged && cgroup.restrict_devices(&hierarchies, &name).is_ok();
            Group { hierarchies, cgroup: Some(cgroup), devices_restricted: restricted }
        }
        Err(error) => {
            if !spec.limits.is_empty() {
                warnings
                    .push(Warning::LimitsNotEnforced { what: "all".to_owned(), reason: error.to_string() });
            }
            Group { hierarchies, cgroup: None, devices_restricted: false }
        }
    }
}

/// A container that can make any device node must be kept from using it; else it gets no such capability.
fn withhold_device_nodes(
    spec: &ContainerSpec,
    group: &Group,
    capabilities: &mut Capabilities,
    warnings: &mut Vec<Warning>,
) {
    let privileged = spec.security.privileged || spec.security.insecure;
    if group.devices_restricted || privileged || !capabilities.has("MKNOD") {
        return;
    }
    *capabilities = capabilities.without("MKNOD");
    let reason = "this machine can't restrict a container's devices".to_owned();
    warnings.push(Warning::CapabilityWithheld { name: "CAP_MKNOD".to_owned(), reason });
}

struct Lowered {
    rlimits: Vec<Rlimit>,
    oom_score_adj: Option<i32>,
}

/// What needs CAP_SYS_RESOURCE is lowered to what this process has, with one warning for all.
fn lower(spec: &ContainerSpec, may_raise: bool, warnings: &mut Vec<Warning>) -> Lowered {
    let mut what = Vec::new();
    let mut rlimits = Vec::new();
    for limit in &spec.rlimits {
        let own =
            rlimit_resource(&limit.name).map(|resource| getrlimit(resource).maximum.unwrap_or(u64::MAX));
        match own {
            Some(own) if limit.hard > own && !may_raise => {
                what.push(format!("{}={own}", limit.name));
                rlimits.push(Rlimit { name: limit.name.clone(), soft: limit.soft.min(own), hard: own });
            }
            Some(_) => rlimits.push(limit.clone()),
            None => what.push(format!("{} (unknown)", limit.name)),
        }
    }
    let own = fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let oom_score_adj = spec.oom_score_adj.map(|wanted| if may_raise { wanted } else { wanted.max(own) });
    if oom_score_adj != spec.oom_score_adj {
        what.push(format!("oomScoreAdj={own}"));
    }
    if !what.is_empty() {
        warnings.push(Warning::Lowered { what: what.join(", ") });
    }
    Lowered { rlimits, oom_score_adj }
}

pub(super) fn rlimit_resource(name: &str) -> Option<Resource> {
    Some(match name.strip_prefix("RLIMIT_")? {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return None,
    })
}
