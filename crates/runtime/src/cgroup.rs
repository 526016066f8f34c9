//! A container's control group: made under `minato/<run folder>/<id>` in every hierarchy, limited, read, removed.
//!
//! Version 1 has a folder per controller, version 2 one for all; on a hybrid machine the controllers are where version 1
//! mounts them. Limits that can't be set become warnings, never an end.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::devices;
use crate::outcome::Warning;
use crate::spec::Limits;

/// The folder that all of Minato's groups are under.
const PARENT: &str = "minato";
const CPU_PERIOD_MICROS: u64 = 100_000;

/// What this machine mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    /// Version 1 (or hybrid): one mount per set of controllers.
    Legacy(Vec<LegacyMount>),
    /// Version 2 at this path.
    Unified(PathBuf),
    /// None that can be used.
    Absent,
}

/// One version 1 mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LegacyMount {
    pub(crate) controllers: Vec<String>,
    pub(crate) folder: PathBuf,
}

/// The controllers of version 1; other options of a mount are not controllers. A hierarchy with a name has none, but
/// engines make groups in it.
const LEGACY_CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "hugetlb",
    "memory",
    "pids",
    "perf_event",
    "blkio",
    "net_prio",
    "net_cls",
    "freezer",
];

impl Hierarchies {
    /// Reads `/proc/self/mountinfo`.
    pub(crate) fn of_this_machine() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Only mounts under `/sys/fs/cgroup` count, as for every engine.
    fn parse(mountinfo: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let mut legacy: Vec<LegacyMount> = Vec::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(folder) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut right = right.split(' ');
            let (kind, options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
            match kind {
                "cgroup2" if folder == root => unified = Some(folder),
                "cgroup" if folder.starts_with(root) => {
                    let controllers: Vec<_> = options
                        .split(',')
                        .filter(|word| LEGACY_CONTROLLERS.contains(word) || word.starts_with("name="))
                        .map(str::to_owned)
                        .collect();
                    let seen = legacy.iter().any(|mount| mount.controllers == controllers);
                    if !controllers.is_empty() && !seen {
                        legacy.push(LegacyMount { controllers, folder });
                    }
                }
                _ => {}
            }
        }
        match unified {
            Some(folder) => Self::Unified(folder),
            None if legacy.is_empty() => Self::Absent,
            None => Self::Legacy(legacy),
        }
    }

    /// Where groups named `name` are, one folder per hierarchy.
    fn folders(&self, name: &Path) -> Vec<PathBuf> {
        match self {
            Self::Legacy(mounts) => mounts.iter().map(|mount| mount.folder.join(name)).collect(),
            Self::Unified(folder) => vec![folder.join(name)],
            Self::Absent => Vec::new(),
        }
    }

    fn legacy_folder(&self, controller: &str) -> Option<&PathBuf> {
        match self {
            Self::Legacy(mounts) => mounts
                .iter()
                .find(|mount| mount.controllers.iter().any(|name| name == controller))
                .map(|m| &m.folder),
            _ => None,
        }
    }
}

/// The file that lists the processes of the group that this process is in, in one of the hierarchies.
pub(crate) fn own_processes() -> Option<CString> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = own_folder(&Hierarchies::of_this_machine(), &memberships)?;
    CString::new(folder.join("cgroup.procs").into_os_string().into_encoded_bytes()).ok()
}

/// `memberships` is `/proc/self/cgroup`: a line `NUMBER:CONTROLLERS:PATH` for each hierarchy (cgroups(7)).
fn own_folder(hierarchies: &Hierarchies, memberships: &str) -> Option<PathBuf> {
    memberships.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let root = match hierarchies {
            Hierarchies::Unified(root) => controllers.is_empty().then_some(root),
            _ => hierarchies.legacy_folder(controllers.split(',').next()?),
        };
        Some(root?.join(path.strip_prefix('/')?))
    })
}

/// The group's path below each hierarchy's root.
pub(crate) fn name(container_folder: &Path) -> PathBuf {
    use sha2::Digest;
    use std::os::unix::ffi::OsStrExt;
    let run_folder = container_folder.parent().unwrap_or(Path::new("/"));
    let digest = hex::encode(sha2::Sha256::digest(run_folder.as_os_str().as_bytes()));
    let id = container_folder.file_name().unwrap_or_default();
    Path::new(PARENT).join(digest.get(..12).unwrap_or_default()).join(id)
}

/// One container's group.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes the group in every hierarchy.
    pub(crate) fn create(hierarchies: &Hierarchies, name: &Path) -> io::Result<Self> {
        let group = Self { folders: hierarchies.folders(name) };
        if group.folders.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no control groups are mounted at /sys/fs/cgroup",
            ));
        }
        for folder in &group.folders {
            if let Err(error) = make_folder(folder) {
                // The first refusal is the answer; what was made before it must not stay.
                let _cleaned = group.remove();
                return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display())));
            }
        }
        if let Hierarchies::Unified(root) = hierarchies {
            hand_down_controllers(root, name);
        }
        Ok(group)
    }

    /// The group that a container's shim makes, or has made; it may not exist.
    pub(crate) fn of(container_folder: &Path) -> Self {
        Self { folders: Hierarchies::of_this_machine().folders(&name(container_folder)) }
    }

    /// Sets limits; each that is refused is told.
    pub(crate) fn limit(&self, hierarchies: &Hierarchies, name: &Path, limits: &Limits) -> Vec<Warning> {
        settings(hierarchies, limits)
            .into_iter()
            .filter_map(|setting| setting.apply(hierarchies, name).err())
            .collect()
    }

    /// Allows only the devices that Docker allows.
    pub(crate) fn restrict_devices(&self, hierarchies: &Hierarchies, name: &Path) -> io::Result<()> {
        match (hierarchies, hierarchies.legacy_folder("devices")) {
            (Hierarchies::Unified(root), _) => devices::restrict_unified(&root.join(name)),
            (_, Some(folder)) => devices::restrict_legacy(&folder.join(name)),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "there is no device controller")),
        }
    }

    /// Every process in the group.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        let mut pids = BTreeSet::new();
        for folder in &self.folders {
            collect_processes(folder, &mut pids);
        }
        pids
    }

    /// How often the kernel killed in this group for lack of memory.
    pub(crate) fn memory_kills(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        let texts =
            self.folders.iter().flat_map(|folder| files.map(|file| fs::read_to_string(folder.join(file))));
        texts.flatten().filter_map(|text| counter(&text, "oom_kill")).max().unwrap_or(0)
    }

    /// Removes the group from every hierarchy, and its parents when nothing else is in them. Gone already is fine.
    pub(crate) fn remove(&self) -> Result<(), (PathBuf, io::Error)> {
        for folder in &self.folders {
            remove_tree(folder).map_err(|error| (folder.clone(), error))?;
            for parent in folder.ancestors().skip(1).take(2) {
                // Others' groups may be in there; then it stays.
                let _busy = fs::remove_dir(parent);
            }
        }
        Ok(())
    }
}

/// One value in one file.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    what: &'static str,
    controller: &'static str,
    file: &'static str,
    value: String,
    /// Not every kernel has the file; what matters is set by another one.
    optional: bool,
}

impl Setting {
    fn apply(&self, hierarchies: &Hierarchies, name: &Path) -> Result<(), Warning> {
        let refused = |reason: String| Warning::LimitsNotEnforced { what: self.what.to_owned(), reason };
        let folder = match hierarchies {
            Hierarchies::Unified(root) => root.join(name),
            _ => match hierarchies.legacy_folder(self.controller) {
                Some(folder) => folder.join(name),
                None if self.optional => return Ok(()),
                None => return Err(refused(format!("there is no {} controller", self.controller))),
            },
        };
        match fs::write(folder.join(self.file), &self.value) {
            Err(error) if !self.optional => {
                Err(refused(format!("{}: {error}", folder.join(self.file).display())))
            }
            _ => Ok(()),
        }
    }
}

/// The files to write for these limits, in order. Memory with swap is limited to the same amount: above it is killed.
fn settings(hierarchies: &Hierarchies, limits: &Limits) -> Vec<Setting> {
    let unified = matches!(hierarchies, Hierarchies::Unified(_));
    let setting = |what, controller, file, value| Setting { what, controller, file, value, optional: false };
    let mut all = Vec::new();
    if let Some(bytes) = limits.memory_bytes {
        let (limit, swap, swap_value) = if unified {
            ("memory.max", "memory.swap.max", 0)
        } else {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes)
        };
        all.push(setting("memory", "memory", limit, bytes.to_string()));
        all.push(Setting { optional: true, ..setting("memory", "memory", swap, swap_value.to_string()) });
    }
    if let Some(millis) = limits.cpu_millis {
        let quota = (u64::from(millis) * CPU_PERIOD_MICROS / 1000).max(1000);
        if unified {
            all.push(setting("cpu", "cpu", "cpu.max", format!("{quota} {CPU_PERIOD_MICROS}")));
        } else {
            let period = setting("cpu", "cpu", "cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string());
            all.push(Setting { optional: true, ..period });
            all.push(setting("cpu", "cpu", "cpu.cfs_quota_us", quota.to_string()));
        }
    }
    if let Some(millis) = limits.cpu_request_millis {
        let shares = (u64::from(millis) * 1024 / 1000).clamp(2, 262_144);
        all.push(if unified {
            setting("cpu share", "cpu", "cpu.weight", (1 + (shares - 2) * 9999 / 262_142).to_string())
        } else {
            setting("cpu share", "cpu", "cpu.shares", shares.to_string())
        });
    }
    if let Some(pids) = limits.pids {
        all.push(setting("processes", "pids", "pids.max", pids.to_string()));
    }
    all
}

/// A parent may be removed by another container's clean-up between two steps; then it is made again.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut attempts = 0;
    loop {
        match fs::create_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < 20 => attempts += 1,
            other => return other,
        }
    }
}

/// Version 2: a group has the controllers that its parents hand down. Those that are missing show when limits are set.
fn hand_down_controllers(root: &Path, name: &Path) {
    let mut folder = root.to_owned();
    for part in name {
        for controller in ["+memory", "+cpu", "+pids"] {
            let _missing = fs::write(folder.join("cgroup.subtree_control"), controller);
        }
        folder.push(part);
    }
}

fn collect_processes(folder: &Path, pids: &mut BTreeSet<u32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    for child in subfolders(folder) {
        collect_processes(&child, pids);
    }
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    for child in subfolders(folder) {
        remove_tree(&child)?;
    }
    let mut attempts = 0;
    loop {
        match fs::remove_dir(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A killed process leaves its group a moment after it can't be seen any more.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempts < 200 => {
                attempts += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error),
        }
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 24 0:28 / /elsewhere rw - cgroup cgroup rw,memory";

    #[test]
    fn controllers_are_where_version_1_mounts_them() {
        let Hierarchies::Legacy(mounts) = Hierarchies::parse(HYBRID) else { panic!("not legacy") };
        let folders: Vec<_> = mounts.iter().map(|mount| mount.folder.to_str().unwrap()).collect();
        assert_eq!(
            folders,
            ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"]
        );
        let unified = "30 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(Hierarchies::parse(unified), Hierarchies::Unified("/sys/fs/cgroup".into()));
        assert_eq!(Hierarchies::parse("nothing"), Hierarchies::Absent);
    }

    #[test]
    fn a_process_finds_its_own_group() {
        let own =
            |mountinfo: &str, memberships: &str| own_folder(&Hierarchies::parse(mountinfo), memberships);
        let memberships = "4:freezer:/gone\n2:memory:/user/1\n1:cpu,cpuacct:/user/1\n0::/unified/1\n";
        assert_eq!(own(HYBRID, memberships), Some("/sys/fs/cgroup/memory/user/1".into()));
        let unified = "30 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(own(unified, memberships), Some("/sys/fs/cgroup/unified/1".into()));
        assert_eq!(own("nothing", memberships), None);
    }

    #[test]
    fn limits_become_files() {
        let limits = Limits {
            memory_bytes: Some(64 << 20),
            cpu_millis: Some(500),
            cpu_request_millis: Some(250),
            pids: Some(50),
        };
        let written = |hierarchies: &Hierarchies| -> Vec<(&'static str, String)> {
            settings(hierarchies, &limits).into_iter().map(|setting| (setting.file, setting.value)).collect()
        };
        let expected = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("cpu.max", "50000 100000"),
            ("cpu.weight", "10"),
            ("pids.max", "50"),
        ];
        assert_eq!(
            written(&Hierarchies::Unified("/".into())),
            expected.map(|(file, value)| (file, value.to_owned()))
        );
        let legacy = written(&Hierarchies::Legacy(vec![]));
        assert!(legacy.contains(&("cpu.cfs_quota_us", "50000".to_owned())));
        assert!(legacy.contains(&("cpu.shares", "256".to_owned())));
    }

    #[test]
    fn the_kernel_counts_its_kills() {
        assert_eq!(counter("low 0\noom 3\noom_kill 2\noom_group_kill 1\n", "oom_kill"), Some(2));
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "oom_kill"), Some(1));
        assert_eq!(counter("", "oom_kill"), None);
    }
}
