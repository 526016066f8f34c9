//! The traces of a data folder on this machine: processes, cgroups, namespaces and mounts. The machine is shared with
//! other tests, so only what can be attributed to the folder counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMESPACES: [&str; 6] = ["net", "mnt", "pid", "ipc", "uts", "cgroup"];

/// A process, told apart from a later one with the same number by its start time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub id: u32,
    pub started: u64,
}

/// What ran for a data folder at some moment, or over a time when added up.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// With what each process is, for messages.
    pub processes: BTreeMap<Process, String>,
    pub cgroups: BTreeSet<PathBuf>,
    /// As `/proc/PID/ns` shows them, `net:[4026532345]`, with the time at which they were seen last. The kernel soon
    /// gives the number to another namespace: a process that started later is in another one.
    pub namespaces: BTreeMap<String, u64>,
}

impl Traces {
    /// Finds the processes that mention the folder in their arguments, environment or mounts, and their descendants.
    pub fn of(data: &Path) -> Traces {
        let own_mounts = namespace("self", "mnt");
        let seen = ticks_since_boot();
        let all = processes();
        let mut ours: BTreeSet<u32> = all
            .keys()
            .copied()
            .filter(|&id| id != std::process::id() && mentions(id, data, &own_mounts))
            .collect();
        while let Some(child) =
            all.iter().find(|(id, stat)| ours.contains(&stat.parent) && !ours.contains(id))
        {
            ours.insert(*child.0);
        }
        let host: BTreeSet<_> = NAMESPACES.iter().filter_map(|kind| namespace("self", kind)).collect();
        let mut traces = Traces::default();
        for id in ours {
            let process = Process { id, started: all[&id].started };
            traces.processes.insert(process, format!("{id} {} ({})", all[&id].name, command_line(id)));
            traces.cgroups.extend(cgroups(id));
            let namespaces = NAMESPACES.iter().filter_map(|kind| namespace(&id.to_string(), kind));
            traces.namespaces.extend(namespaces.filter(|name| !host.contains(name)).map(|name| (name, seen)));
        }
        traces
    }

    pub fn add(&mut self, other: &Traces) {
        self.processes.extend(other.processes.clone());
        self.cgroups.extend(other.cgroups.clone());
        self.namespaces.extend(other.namespaces.clone());
    }

    /// The processes whose name or arguments contain a word.
    pub fn named(&self, word: &str) -> Vec<&Process> {
        self.processes.iter().filter(|(_, what)| what.contains(word)).map(|(process, _)| process).collect()
    }

    /// What of these traces, or of the folder in general, is still there; empty is good.
    pub fn left(&self, data: &Path) -> Vec<String> {
        let now = processes();
        let alive =
            self.processes.iter().filter(|(p, _)| now.get(&p.id).is_some_and(|s| s.started == p.started));
        let mut left: Vec<String> = alive.map(|(_, what)| format!("process {what}")).collect();
        left.extend(Traces::of(data).processes.values().map(|what| format!("process {what}")));
        left.extend(
            self.cgroups.iter().filter(|path| path.exists()).map(|path| format!("cgroup {}", path.display())),
        );
        left.extend(mounts(data).iter().map(|path| format!("mount {}", path.display())));
        left.extend(self.namespaces_in_use(&now));
        left
    }

    fn namespaces_in_use(&self, now: &BTreeMap<u32, Stat>) -> Vec<String> {
        let mut left = Vec::new();
        for (id, stat) in now {
            let of_process = NAMESPACES.iter().filter_map(|kind| namespace(&id.to_string(), kind));
            let ours =
                of_process.filter(|name| self.namespaces.get(name).is_some_and(|seen| stat.started <= *seen));
            left.extend(ours.map(|name| format!("namespace {name} of process {id}")));
        }
        let pinned = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let pinned = pinned.lines().filter(|line| line.contains(" nsfs "));
        left.extend(
            pinned
                .filter(|line| self.namespaces.keys().any(|name| line.contains(&**name)))
                .map(str::to_owned),
        );
        left
    }
}

/// Ends and removes whatever a failed test has left for this data folder, by the process ids found for it.
pub fn clean(data: &Path) {
    let mut cgroups = BTreeSet::new();
    for _ in 0..20 {
        let traces = Traces::of(data);
        let ids: Vec<String> = traces.processes.keys().map(|process| process.id.to_string()).collect();
        if !ids.is_empty() {
            Command::new("kill").arg("-9").args(&ids).output().ok();
        }
        for mount in mounts(data).iter().rev() {
            Command::new("umount").arg("--lazy").arg(mount).output().ok();
        }
        cgroups.extend(traces.cgroups);
        // A group can go when the last process in it has gone.
        cgroups.iter().rev().for_each(|cgroup| drop(fs::remove_dir(cgroup)));
        if ids.is_empty() && mounts(data).is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// In the unit of a process's start time: a hundredth of a second.
pub fn ticks_since_boot() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    (seconds * 100.0) as u64
}

struct Stat {
    name: String,
    parent: u32,
    started: u64,
}

/// Every process on this machine that is not a zombie.
fn processes() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id| Some((id, stat(id)?))).collect()
}

/// See proc_pid_stat(5); the name is in brackets and may contain spaces and brackets itself.
fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (head, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields[0] == "Z" {
        return None;
    }
    let name = head.split_once('(')?.1.to_owned();
    Some(Stat { name, parent: fields[1].parse().ok()?, started: fields[19].parse().ok()? })
}

fn mentions(id: u32, data: &Path, own_mounts: &Option<String>) -> bool {
    let file = |name: &str| fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
    let contains = |text: Vec<u8>| {
        let needle = data.as_os_str().as_encoded_bytes();
        text.windows(needle.len()).any(|window| window == needle)
    };
    // In the host's mount namespace every process sees every mount, so only other namespaces tell something.
    contains(file("cmdline"))
        || contains(file("environ"))
        || (namespace(&id.to_string(), "mnt") != *own_mounts && contains(file("mountinfo")))
}

fn command_line(id: u32) -> String {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

fn namespace(id: &str, kind: &str) -> Option<String> {
    Some(fs::read_link(format!("/proc/{id}/ns/{kind}")).ok()?.to_string_lossy().into_owned())
}

/// The cgroups of a process other than those that this test itself is in.
fn cgroups(id: u32) -> Vec<PathBuf> {
    let list = |id: &str| fs::read_to_string(format!("/proc/{id}/cgroup")).unwrap_or_default();
    let own = list("self");
    let other = list(&id.to_string());
    let of_process = other.lines().filter(|line| !own.lines().any(|o| o == *line)).filter_map(cgroup_folder);
    of_process.flat_map(|folder| [of_data_folder(&folder), Some(folder)]).flatten().collect()
}

/// The group of all containers of a data folder, which must go with the last of them.
fn of_data_folder(container: &Path) -> Option<PathBuf> {
    let parent = container.parent()?;
    parent.parent()?.ends_with("minato").then(|| parent.to_owned())
}

/// `4:memory:/a/b` or `0::/a/b` as a folder; see cgroups(7).
fn cgroup_folder(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let named = mounts[0].join(controllers.trim_start_matches("name="));
    let hierarchies = if controllers.is_empty() { mounts.to_vec() } else { vec![named] };
    hierarchies.into_iter().map(|mount| mount.join(path)).find(|folder| !path.is_empty() && folder.is_dir())
}

/// What is mounted in this test's namespace inside the folder, or from it.
fn mounts(data: &Path) -> Vec<PathBuf> {
    let data = data.to_string_lossy().into_owned();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = table.lines().filter(|line| line.contains(&data));
    ours.filter_map(|line| Some(PathBuf::from(line.split(' ').nth(4)?))).collect()
}
