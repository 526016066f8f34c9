//! What this machine and this process can enforce, for saying so before anything is started.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::capabilities::Capabilities;
use crate::cgroup::{self, Cgroup, Hierarchies};
use crate::seccomp;

/// What can be enforced here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostSupport {
    /// Runs as root on this machine: own users, limits and a way out are possible.
    pub root: bool,
    /// Where limits go.
    pub control_groups: ControlGroups,
    /// The controllers that can be used for them.
    pub controllers: BTreeSet<String>,
    /// Whether groups can be made; without, nothing is limited and containers get a warning.
    pub can_limit: bool,
    /// Whether the kernel has system call filters; without, containers are refused unless insecure.
    pub seccomp: bool,
    /// Default capabilities that this process can't give.
    pub missing_capabilities: Vec<String>,
}

/// The version of control groups in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ControlGroups {
    /// Version 1, or both with the controllers in version 1.
    Legacy,
    /// Version 2.
    Unified,
    /// None mounted.
    Absent,
}

/// Looks at this machine; makes and removes an empty control group to see whether it can.
pub fn support() -> HostSupport {
    let hierarchies = Hierarchies::of_this_machine();
    let (control_groups, controllers) = match &hierarchies {
        Hierarchies::Legacy(mounts) => {
            let controllers = mounts.iter().flat_map(|mount| mount.controllers.clone());
            (ControlGroups::Legacy, controllers.filter(|name| !name.contains('=')).collect())
        }
        Hierarchies::Unified(root) => {
            let text = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            (ControlGroups::Unified, text.split_whitespace().map(str::to_owned).collect())
        }
        Hierarchies::Absent => (ControlGroups::Absent, BTreeSet::new()),
    };
    let available = Capabilities::available();
    let root = rustix::process::geteuid().is_root();
    let wanted = if root { Capabilities::docker_default() } else { Capabilities::none() };
    HostSupport {
        root,
        control_groups,
        controllers,
        can_limit: can_make_groups(&hierarchies),
        seccomp: seccomp::is_supported(),
        missing_capabilities: wanted.minus(available).names(),
    }
}

fn can_make_groups(hierarchies: &Hierarchies) -> bool {
    let name = cgroup::name(Path::new(&format!("/probe/{}", std::process::id())));
    Cgroup::create(hierarchies, &name).is_ok_and(|group| group.remove().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_leaves_nothing() {
        let first = support();
        assert_eq!(support(), first);
        assert!(first.seccomp);
        if first.root && first.control_groups == ControlGroups::Legacy {
            assert!(first.can_limit && first.controllers.contains("memory"), "{first:?}");
        }
    }
}
