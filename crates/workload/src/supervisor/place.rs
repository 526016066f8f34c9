//! What a replica finds around it: its folder with volumes and `/etc/hosts`, its address, its ids.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::record::{Record, ReplicaRecord, ServiceRecord};
use crate::engine::{PodNetwork, ReadyMount};
use crate::spec::{Container, FileContent, Pod, Volume, WorkloadKey};

/// Where pods get their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    /// The network's own address; its first host is the bridge.
    pub(crate) base: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) bridge: Option<String>,
}

impl Network {
    /// A network of 1022 pods for this data folder, apart from every one that the machine has a route to.
    pub(crate) fn of_machine(data: &Path) -> Network {
        let hash = Sha256::digest(data.as_os_str().as_encoded_bytes());
        let taken = routes(&fs::read_to_string("/proc/net/route").unwrap_or_default());
        let start = u32::from_be_bytes([0, 0, hash[0], hash[1]]) % 2048;
        let candidates =
            (0..2048).map(|step| u32::from(Ipv4Addr::new(10, 88, 0, 0)) + ((start + step) % 2048) * 1024);
        let bridge = format!("minato{}", hex::encode(&hash[2..6]));
        // While the bridge is there, its network stays what it is.
        let own = taken.iter().find(|(name, ..)| *name == bridge).map(|(_, net, _)| *net);
        let is_free =
            |base: &u32| !taken.iter().any(|(_, net, mask)| base & mask == *net || net & !1023 == *base);
        let base = own.or_else(|| candidates.into_iter().find(is_free));
        let base = Ipv4Addr::from(base.unwrap_or(u32::from(Ipv4Addr::new(10, 88, 0, 0))));
        Network { base, prefix: 22, bridge: Some(bridge) }
    }

    pub(crate) fn pod(&self, address: Ipv4Addr) -> PodNetwork {
        let gateway = Ipv4Addr::from(u32::from(self.base) + 1);
        PodNetwork { address, uplink: self.bridge.clone().map(|bridge| (bridge, gateway, self.prefix)) }
    }

    /// The first address after the last given one that no replica has.
    pub(crate) fn free_address(&self, record: &Record) -> Option<Ipv4Addr> {
        let base = u32::from(self.base);
        let size = 1u32 << (32 - u32::from(self.prefix));
        let start = record.counter as u32;
        let used = |address: u32| {
            let replicas = record.workloads.iter().flat_map(|workload| &workload.replicas);
            replicas.into_iter().any(|replica| u32::from(replica.address) == address)
        };
        // Without the network's own, the bridge's and the broadcast address.
        (0..size - 3)
            .map(|step| base + 2 + (start + step) % (size - 3))
            .find(|address| !used(*address))
            .map(Ipv4Addr::from)
    }
}

/// (interface, network, mask) of each line of `/proc/net/route`, without the default route.
fn routes(text: &str) -> Vec<(String, u32, u32)> {
    let hex = |field: Option<&str>| u32::from_str_radix(field?, 16).ok().map(u32::from_be);
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        Some(((*fields.first()?).to_owned(), hex(fields.get(1).copied())?, hex(fields.get(7).copied())?))
    };
    text.lines().skip(1).filter_map(line).filter(|(_, _, mask)| *mask != 0).collect()
}

/// A replica's id: its workload's name, its revision's first digits, a number that is never used again; at most 36 bytes.
pub(crate) fn replica_id(key: &WorkloadKey, revision: &str, number: u64) -> String {
    let name: String = key.name.chars().filter(char::is_ascii).take(18).collect();
    let name = name.trim_matches(|byte: char| !byte.is_ascii_alphanumeric());
    let name = if name.is_empty() { "pod" } else { name };
    format!("{name}-{}-{number}", &revision[..revision.len().min(6)])
}

/// A container's id in the runtime: its replica's, its place in the pod, the number of its run.
pub(crate) fn runtime_id(replica: &str, container: usize, attempt: u32) -> String {
    format!("{replica}.{container}.{attempt}")
}

/// The inverse of [`runtime_id`]: the replica's id.
pub(crate) fn replica_of(runtime_id: &str) -> Option<&str> {
    let (rest, attempt) = runtime_id.rsplit_once('.')?;
    let (replica, container) = rest.rsplit_once('.')?;
    (attempt.parse::<u32>().is_ok() && container.parse::<usize>().is_ok()).then_some(replica)
}

/// Folder of a container's logs.
pub(crate) fn log_folder(logs: &Path, key: &WorkloadKey, replica: &str, container: &str) -> PathBuf {
    workload_logs(logs, key).join(replica).join(container)
}

/// Folder of all logs of a workload.
pub(crate) fn workload_logs(logs: &Path, key: &WorkloadKey) -> PathBuf {
    logs.join(&key.application).join(&key.namespace).join(&key.name)
}

/// Keeps the logs of the youngest replicas only. Ids end in a number that grows.
pub(crate) fn prune_logs(folder: &Path, keep: usize) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &str| name.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    let mut known: Vec<(u64, PathBuf)> =
        entries.filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path()))).collect();
    known.sort();
    let surplus = known.len().saturating_sub(keep);
    for (_, path) in known.drain(..surplus) {
        // Tried again with the next replica.
        let _ = fs::remove_dir_all(path);
    }
}

/// Makes a replica's folder and its volumes. Done again after a crash it ends the same.
pub(crate) fn prepare(folder: &Path, pod: &Pod) -> io::Result<()> {
    make_folder(folder, 0o700)?;
    for (name, volume) in &pod.volumes {
        let place = volume_folder(folder, name);
        match volume {
            Volume::Empty { .. } => make_folder(&place, 0o777)?,
            Volume::Files(files) => write_files(&place, files)?,
            Volume::Host(_) => {}
        }
        fail::fail_point!("workload.volume.written");
    }
    Ok(())
}

fn write_files(place: &Path, files: &BTreeMap<String, FileContent>) -> io::Result<()> {
    make_folder(place, 0o755)?;
    for (name, content) in files {
        let path = place.join(name);
        if let Some(parent) = path.parent() {
            make_folder(parent, 0o755)?;
        }
        fs::write(&path, content.bytes.reveal())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(content.mode & 0o7777))?;
    }
    Ok(())
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn volume_folder(folder: &Path, name: &str) -> PathBuf {
    folder.join("volumes").join(name)
}

/// A container's mounts, its pod's `/etc/hosts` among them. A volume in memory that only one container sees is one of
/// its own; a shared one is a folder.
pub(crate) fn mounts(folder: &Path, pod: &Pod, container: &Container) -> io::Result<Vec<ReadyMount>> {
    let mut ready = vec![ReadyMount::Bind {
        source: folder.join("hosts"),
        target: PathBuf::from("/etc/hosts"),
        read_only: false,
    }];
    for mount in &container.mounts {
        let Some(volume) = pod.volumes.get(&mount.volume) else { continue };
        let target = mount.path.clone();
        let users =
            pod.all_containers().flat_map(|other| &other.mounts).filter(|other| other.volume == mount.volume);
        let source = match volume {
            Volume::Empty { memory: true, size_bytes } if users.count() == 1 && mount.sub_path.is_none() => {
                ready.push(ReadyMount::Memory { target, size_bytes: *size_bytes });
                continue;
            }
            Volume::Host(path) => path.clone(),
            Volume::Empty { .. } | Volume::Files(_) => volume_folder(folder, &mount.volume),
        };
        let source = match &mount.sub_path {
            Some(inner) => source.join(inner),
            None => source,
        };
        if matches!(volume, Volume::Empty { .. }) {
            make_folder(&source, 0o777)?;
        }
        ready.push(ReadyMount::Bind { source, target, read_only: mount.read_only });
    }
    Ok(ready)
}

/// Writes a replica's `/etc/hosts` in place: containers have the very file mounted.
pub(crate) fn write_hosts(folder: &Path, text: &str) -> io::Result<()> {
    let path = folder.join("hosts");
    if fs::read_to_string(&path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
}

/// The text of a replica's `/etc/hosts`: itself, its aliases, and every service by the names Kubernetes gives it. Where
/// two Applications have a service of one name, a replica sees its own Application's.
pub(crate) fn hosts(
    key: &WorkloadKey,
    replica: &ReplicaRecord,
    pod: &Pod,
    services: &[ServiceRecord],
) -> String {
    let hostname = pod.hostname.as_deref().unwrap_or(&replica.id);
    let mut text = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{}\t{hostname}\n", replica.address);
    for alias in &pod.host_aliases {
        text.push_str(&format!("{}\t{}\n", alias.address, alias.names.join(" ")));
    }
    let mut ordered: Vec<&ServiceRecord> = services.iter().collect();
    ordered.sort_by_key(|record| {
        (record.service.key.application != key.application, record.service.key.clone())
    });
    let mut told: Vec<(&str, &str)> = Vec::new();
    for record in ordered {
        let (name, namespace) = (record.service.key.name.as_str(), record.service.key.namespace.as_str());
        if told.contains(&(name, namespace)) {
            continue;
        }
        told.push((name, namespace));
        let short = if namespace == key.namespace { format!("{name} ") } else { String::new() };
        text.push_str(&format!(
            "{}\t{short}{name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local\n",
            record.address
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_the_runtime_and_lead_back() {
        let key =
            |name: &str| WorkloadKey { application: "a".into(), namespace: "b".into(), name: name.into() };
        let id =
            replica_id(&key("a-very-long-name-of-a-deployment"), "0123456789abcdef", u64::from(u32::MAX));
        let container = runtime_id(&id, 12, 1000);
        assert!(container.len() <= 64, "{container}");
        assert_eq!(replica_of(&container), Some(id.as_str()));
        assert_eq!(replica_id(&key("_.-"), "abcdef12", 3), "pod-abcdef-3");
        assert_eq!(replica_of("something"), None);
    }

    #[test]
    fn only_the_youngest_logs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for number in [9, 10, 11, 100] {
            fs::create_dir_all(folder.path().join(format!("web-abc-{number}/web"))).unwrap();
        }
        prune_logs(folder.path(), 2);
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["web-abc-100", "web-abc-11"]);
    }

    #[test]
    fn the_route_table_is_read() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                    eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\n\
                    br0\t0004580A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\n";
        let expected = (u32::from(Ipv4Addr::new(10, 88, 4, 0)), u32::from(Ipv4Addr::new(255, 255, 252, 0)));
        assert_eq!(routes(text), [("br0".to_owned(), expected.0, expected.1)]);
    }

    #[test]
    fn two_data_folders_get_two_bridges() {
        let (one, two) = (Network::of_machine(Path::new("/a")), Network::of_machine(Path::new("/b")));
        assert_ne!(one.bridge, two.bridge);
        assert!(one.bridge.unwrap().len() <= 15);
        assert_eq!(u32::from(one.base) & 1023, 0);
    }
}
