//! Removes what a container left when its shim can't do it any more. Works from the record, the command lines in
//! `/proc` and the control group; touches nothing else.
//!
//! Mounts need no cleaning: they live in the shim's own mount namespace and go with its last process.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::identity::Identity;
use crate::network;
use crate::record::{self, Record};
use crate::reexec::is_shim_of;
use crate::runtime::RuntimeError;
use crate::signal::Signal;
use crate::spec::ContainerId;

const PATIENCE: Duration = Duration::from_secs(10);

/// Ends everything of the container in `folder` and removes the folder.
pub(crate) fn remove(id: &ContainerId, folder: &Path) -> Result<(), RuntimeError> {
    if !folder.exists() {
        return Ok(());
    }
    // An unreadable record must not keep its container alive: what it would have told is found in /proc.
    let record = Record::read(folder).unwrap_or_default();
    let network = record::read_spec(folder).ok().map(|spec| spec.network);
    let cgroup = Cgroup::of(folder);
    end_processes(id, folder, record.as_ref(), &cgroup)?;
    fail::fail_point!("runtime.remove.killed");
    if let Some(network) = network {
        network::leave(&network, folder);
    }
    cgroup.remove().map_err(|(path, source)| RuntimeError::Io { path, source })?;
    fail::fail_point!("runtime.remove.cgroup-removed");
    remove_folder(folder).map_err(|source| RuntimeError::Io { path: folder.to_owned(), source })
}

/// The shim first, so that nothing new appears; then until nothing is left.
fn end_processes(
    id: &ContainerId,
    folder: &Path,
    record: Option<&Record>,
    cgroup: &Cgroup,
) -> Result<(), RuntimeError> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        let left = survivors(folder, record, cgroup);
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            return Err(RuntimeError::WontDie { id: id.clone(), left: left.len() });
        }
        for process in &left {
            process.kill(Signal::KILL);
        }
        // SIGKILL is not immediate, and nobody tells when somebody else's child is gone from its group.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn survivors(folder: &Path, record: Option<&Record>, cgroup: &Cgroup) -> Vec<Identity> {
    let recorded = record.into_iter().flat_map(|record| std::iter::once(&record.shim).chain(&record.init));
    let mut left: Vec<Identity> = recorded.filter(|process| process.is_alive()).cloned().collect();
    left.extend(shims_of(folder));
    let grouped = cgroup.processes();
    left.extend(grouped.into_iter().filter_map(|pid| Identity::of(pid).ok()).filter(Identity::is_alive));
    left
}

/// The shim of this folder and those of its children that have not become the container's program yet.
fn shims_of(folder: &Path) -> Vec<Identity> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| is_shim_of(&line, folder)))
        .filter_map(|pid| Identity::of(pid).ok())
        .filter(Identity::is_alive)
        .collect()
}

/// Removes a folder whole, making its folders writable when the container left some that are not. Where the root file
/// system is still mounted, nothing is removed: it may be somebody's own folder.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder.join("rootfs")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(folder)?;
            fs::remove_dir_all(folder)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}
