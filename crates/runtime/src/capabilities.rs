//! Which capabilities a container gets: Docker's default set, what is added and dropped, and what this process has.

use rustix::thread::CapabilitySet;

use crate::outcome::{StartError, Warning};
use crate::spec::Security;

/// By number, without the prefix `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const DOCKER_DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities(u64);

impl Capabilities {
    pub(crate) fn none() -> Self {
        Self(0)
    }

    pub(crate) fn all() -> Self {
        Self((1 << NAMES.len()) - 1)
    }

    pub(crate) fn docker_default() -> Self {
        DOCKER_DEFAULT.iter().filter_map(|name| bit(name)).fold(Self::none(), |set, bit| Self(set.0 | bit))
    }

    /// What this process may give: its bounding set, as far as it has it itself.
    pub(crate) fn available() -> Self {
        let permitted = rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits());
        let bounded = |number: &usize| {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false)
        };
        let bounding: u64 = (0..NAMES.len()).filter(bounded).map(|number| 1 << number).sum();
        Self(permitted & bounding)
    }

    /// `SYS_ADMIN` and the like.
    pub(crate) fn has(self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.0 & bit != 0)
    }

    pub(crate) fn without(self, name: &str) -> Self {
        Self(self.0 & !bit(name).unwrap_or(0))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// `CAP_SYS_ADMIN` and the like, by number.
    pub(crate) fn names(self) -> Vec<String> {
        let inside = |(number, _): &(usize, &&str)| self.0 & (1 << number) != 0;
        NAMES.iter().enumerate().filter(inside).map(|(_, name)| format!("CAP_{name}")).collect()
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The set for a container. Drops are made before additions, as Docker and Kubernetes do; `ALL` in the additions is all
/// that can be given. What was asked for by name and can't be given is an error, unless `insecure`.
pub(crate) fn resolve(
    security: &Security,
    available: Capabilities,
) -> Result<(Capabilities, Vec<Warning>), StartError> {
    let (added, add_all) = read(&security.capabilities_add)?;
    let (dropped, drop_all) = read(&security.capabilities_drop)?;
    let base = if drop_all { Capabilities::none() } else { Capabilities::docker_default().minus(dropped) };
    let wanted = if security.privileged || add_all {
        Capabilities::all().minus(if security.privileged { Capabilities::none() } else { dropped })
    } else {
        Capabilities(base.0 | added.0)
    };
    let missing = wanted.minus(available);
    let refused = missing.and(added);
    if refused != Capabilities::none() && !security.insecure {
        return Err(StartError::CapabilityNotAvailable { names: refused.names() });
    }
    let withheld =
        |name| Warning::CapabilityWithheld { name, reason: "this process does not have it".to_owned() };
    Ok((wanted.and(available), missing.names().into_iter().map(withheld).collect()))
}

fn read(names: &[String]) -> Result<(Capabilities, bool), StartError> {
    let mut set = Capabilities::none();
    let mut all = false;
    for given in names {
        let upper = given.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match bit(name) {
            Some(bit) => set = Capabilities(set.0 | bit),
            None if name == "ALL" => all = true,
            None => {
                return Err(StartError::InvalidSpec {
                    reason: format!("capabilities: {given:?} is unknown"),
                });
            }
        }
    }
    Ok((set, all))
}

fn bit(name: &str) -> Option<u64> {
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(add: &[&str], drop: &[&str]) -> Capabilities {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let security =
            Security { capabilities_add: owned(add), capabilities_drop: owned(drop), ..Security::default() };
        resolve(&security, Capabilities::all()).unwrap().0
    }

    #[test]
    fn dockers_default_set_has_its_known_number() {
        assert_eq!(resolved(&[], &[]).bits(), 0xa804_25fb);
    }

    #[test]
    fn drops_are_made_before_additions() {
        assert_eq!(resolved(&["NET_ADMIN"], &["ALL"]).names(), ["CAP_NET_ADMIN"]);
        assert!(!resolved(&[], &["cap_chown"]).has("CHOWN"));
        assert!(!resolved(&["ALL"], &["SYS_ADMIN"]).has("SYS_ADMIN"));
    }

    #[test]
    fn what_can_not_be_given_is_refused_or_told() {
        let security = Security { capabilities_add: vec!["SYS_RESOURCE".into()], ..Security::default() };
        let available = Capabilities::all().without("SYS_RESOURCE");
        let refused = StartError::CapabilityNotAvailable { names: vec!["CAP_SYS_RESOURCE".into()] };
        assert_eq!(resolve(&security, available), Err(refused));
        let (set, warnings) = resolve(&Security { insecure: true, ..security }, available).unwrap();
        assert_eq!((set, warnings.len()), (Capabilities::docker_default(), 1));
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let security = Security { capabilities_add: vec!["NET_ADMINS".into()], ..Security::default() };
        assert!(resolve(&security, Capabilities::all()).is_err());
    }
}
