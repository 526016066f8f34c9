//! What an ordinary user's shim does first: a user namespace in which that user is root, and mounts of its own.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;

use rustix::mount::{MountFlags, mount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::cgroup::{Hierarchies, LegacyMount};
use crate::outcome::StartError;
use crate::spec::Network;

/// Enters a new user namespace, or that of the shim whose network is to be joined (the network belongs to it).
pub(super) fn enter_user_namespace(network: &Network) -> Result<(), StartError> {
    let outcome = match network {
        Network::Join(shim) => File::open(format!("/proc/{}/ns/user", shim.pid)).and_then(|namespace| {
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))?)
        }),
        _ => new_user_namespace(),
    };
    outcome.map_err(|error| StartError::NoUserNamespace { reason: error.to_string() })
}

/// One user and one group: the caller's, which become root.
fn new_user_namespace() -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: the shim has one thread; its user namespace changes, nothing in memory.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// libcontainer insists on control groups. Where none can be made, it gets a folder in memory that looks like them, in
/// the shim's own mounts; nothing is limited, which was said.
pub(super) fn pretend_control_groups(
    hierarchies: &Hierarchies,
    name: &std::path::Path,
) -> Result<(), StartError> {
    let failed = |error: io::Error| StartError::CgroupRefused { reason: error.to_string() };
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MountFlags::empty(), None)
        .map_err(|error| failed(error.into()))?;
    let Hierarchies::Legacy(mounts) = hierarchies else { return Ok(()) };
    for LegacyMount { folder, .. } in mounts {
        let group = folder.join(name);
        fs::create_dir_all(&group)
            .and_then(|()| fs::write(group.join("cgroup.procs"), ""))
            .map_err(failed)?;
        // Values that libcontainer looks for from the root down.
        for level in group.ancestors().take_while(|level| level.starts_with(folder)) {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(level.join(file), "0").map_err(failed)?;
            }
        }
    }
    Ok(())
}
