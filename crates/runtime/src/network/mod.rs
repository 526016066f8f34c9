//! Puts the shim, and with it the container that it makes, into the right network namespace.
//!
//! ```text
//! Own ─► new namespace ─ lo up ─┬─ no uplink: address on lo
//!                               └─ uplink: bridge, pair of links, address on eth0, default route, masquerade
//! Join ─► the other shim's namespace        Host ─► stays        Isolated ─► new namespace, lo up
//! ```
//!
//! Nothing here needs a program of the machine (`ip`, `nft`).

mod links;
mod masquerade;
mod netlink;
mod redirect;
mod tables;

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::identity::Identity;
use crate::outcome::{StartError, Warning};
use crate::spec::{Network, OwnNetwork, Uplink};
use links::{LOOPBACK, Links, or_exists};

pub(crate) use redirect::Redirect;

const OWN_NAMESPACE: &str = "/proc/self/ns/net";
/// Held while a bridge gains or loses a link, so that none is removed under an arriving one.
const LOCK: &str = "/run/minato-network.lock";

/// Where this process came from, for going back.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) warnings: Vec<Warning>,
    /// Whether this is not the namespace of the one who asked.
    pub(crate) elsewhere: bool,
    host: Option<File>,
}

/// Enters the namespace that `network` asks for. `folder` is the container's.
pub(crate) fn enter(network: &Network, folder: &Path, privileged: bool) -> Result<Entered, StartError> {
    let host =
        File::open(OWN_NAMESPACE).map_err(|error| failed("looking at the host's namespace", &error))?;
    let warnings = match network {
        Network::Host => Vec::new(),
        Network::Join(shim) => join(shim).map(|()| Vec::new())?,
        Network::Isolated => own_namespace().map(|_| Vec::new())?,
        Network::Own(own) => enter_own(own, folder, privileged)?,
    };
    let elsewhere =
        is_elsewhere(&host).map_err(|error| failed("looking at the container's namespace", &error))?;
    Ok(Entered { warnings, elsewhere, host: privileged.then_some(host) })
}

impl Entered {
    /// As [`leave`], for a process that is still inside.
    pub(crate) fn leave(&self, network: &Network, folder: &Path) {
        let back = |host: &File| move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network));
        if self.host.as_ref().is_some_and(|host| back(host).is_ok()) {
            leave(network, folder);
        }
    }
}

/// Removes the container's link on the host and, when it was the last, the bridge and its rule. For after the
/// container's end; what can't be removed goes with the namespace.
pub(crate) fn leave(network: &Network, folder: &Path) {
    let Network::Own(OwnNetwork { uplink: Some(uplink), .. }) = network else { return };
    let (Ok(_lock), Ok(host)) = (lock(), Links::open()) else { return };
    let _gone = host.remove(&link_name(folder));
    let mut ports = match fs::read_dir(format!("/sys/class/net/{}/brif", uplink.bridge)) {
        Ok(ports) => ports,
        Err(_) => return,
    };
    if ports.next().is_none() {
        let _gone = masquerade::remove(uplink).and_then(|()| host.remove(&uplink.bridge));
    }
}

fn is_elsewhere(host: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(host.metadata()?.ino() != fs::metadata(OWN_NAMESPACE)?.ino())
}

fn enter_own(own: &OwnNetwork, folder: &Path, privileged: bool) -> Result<Vec<Warning>, StartError> {
    let Some(uplink) = &own.uplink else {
        return on_loopback(&own_namespace()?, own.address).map(|()| Vec::new());
    };
    let host = if privileged {
        prepare_host(uplink)
    } else {
        Err("an ordinary user can't make links on the host".to_owned())
    };
    let inside = own_namespace()?;
    let connected = host.and_then(|host| {
        host.connect(&inside, uplink, own.address, &link_name(folder)).map(|()| host.warning)
    });
    match connected {
        Ok(warning) => Ok(warning.into_iter().collect()),
        Err(reason) => {
            on_loopback(&inside, own.address)?;
            Ok(vec![Warning::NoWayOut { reason }])
        }
    }
}

/// A new namespace with loopback up, and the rules that Docker sets in it: any user may listen on any port and ping.
fn own_namespace() -> Result<Links, StartError> {
    // SAFETY: the shim has one thread; only its network changes, nothing in memory.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(|error| failed("making a network namespace", &error.into()))?;
    let inside = Links::open().map_err(|error| failed("speaking to the kernel", &error))?;
    inside.set_up(LOOPBACK).map_err(|error| failed("bringing up lo", &error))?;
    for (file, value) in [("ip_unprivileged_port_start", "0"), ("ping_group_range", "0 2147483647")] {
        // In a user namespace only some groups are known; then ping asks for the capability, as it did for ages.
        let _not_settable = fs::write(format!("/proc/sys/net/ipv4/{file}"), value);
    }
    Ok(inside)
}

fn on_loopback(inside: &Links, address: Ipv4Addr) -> Result<(), StartError> {
    or_exists(inside.add_address(LOOPBACK, address, 32))
        .map_err(|error| failed("giving lo the pod's address", &error))
}

fn join(shim: &Identity) -> Result<(), StartError> {
    let reason = format!("the shim whose namespace to join (pid {}) is gone", shim.pid);
    let gone = || StartError::Network { reason: reason.clone() };
    let namespace = File::open(format!("/proc/{}/ns/net", shim.pid)).map_err(|_| gone())?;
    // Looked up by pid first and checked after: what is held open belongs to the one that is meant.
    if !shim.is_alive() {
        return Err(gone());
    }
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| failed("joining the network namespace", &error.into()))
}

/// The host's side, made before this process leaves it. A socket stays in its namespace, so it goes on working.
#[derive(Debug)]
struct Host {
    links: Links,
    bridge: u32,
    warning: Option<Warning>,
    /// Until the container's link is in the bridge.
    _lock: File,
}

fn prepare_host(uplink: &Uplink) -> Result<Host, String> {
    let said = |step: &str| {
        let step = step.to_owned();
        move |error: io::Error| format!("{step}: {error}")
    };
    let lock = lock().map_err(said(LOCK))?;
    let links = Links::open().map_err(said("speaking to the kernel"))?;
    let name = &uplink.bridge;
    or_exists(links.add_bridge(name)).map_err(said(&format!("making the bridge {name}")))?;
    let bridge = links::index(name).map_err(said(name))?;
    or_exists(links.add_address(bridge, uplink.gateway, uplink.prefix))
        .map_err(said("addressing the bridge"))?;
    let out = forward().and_then(|()| masquerade::ensure(uplink));
    let warning =
        out.err().map(|error| Warning::NoWayOut { reason: format!("masquerade for {name}: {error}") });
    Ok(Host { links, bridge, warning, _lock: lock })
}

impl Host {
    /// Called inside the container's namespace.
    fn connect(&self, inside: &Links, uplink: &Uplink, address: Ipv4Addr, name: &str) -> Result<(), String> {
        let own = File::open(OWN_NAMESPACE).map_err(|error| format!("{OWN_NAMESPACE}: {error}"))?;
        self.links
            .remove(name)
            .and_then(|()| self.links.add_pair(name, self.bridge, "eth0", own.as_fd()))
            .map_err(|error| format!("making a pair of links: {error}"))?;
        let link = links::index("eth0").map_err(|error| format!("eth0: {error}"))?;
        inside
            .add_address(link, address, uplink.prefix)
            .and_then(|()| inside.set_up(link))
            .and_then(|()| inside.add_default_route(link, uplink.gateway))
            .map_err(|error| format!("configuring eth0: {error}"))
    }
}

/// Lets the host pass packets between links; an administrator's "1" is left alone.
fn forward() -> io::Result<()> {
    let file = "/proc/sys/net/ipv4/ip_forward";
    if fs::read_to_string(file)?.trim() == "1" { Ok(()) } else { fs::write(file, "1") }
}

fn lock() -> io::Result<File> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(LOCK)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// The name of the host's end: the same for everybody who knows the container's folder. At most 15 bytes.
fn link_name(folder: &Path) -> String {
    use sha2::Digest;
    use std::os::unix::ffi::OsStrExt;
    let digest = hex::encode(sha2::Sha256::digest(folder.as_os_str().as_bytes()));
    format!("mn{}", digest.get(..12).unwrap_or_default())
}

fn failed(step: &str, error: &io::Error) -> StartError {
    StartError::Network { reason: format!("{step}: {error}") }
}
