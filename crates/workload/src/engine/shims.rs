//! The real engine: crate `runtime`'s shims. Its calls block, so each runs on a thread for such calls.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use minato_oci::{Digest, Store};
use minato_runtime::{
    ContainerId, ContainerSpec, Engine, ExecSpec, ExecStdio, ExitOutcome, Limits, LogOptions, Mount, Network,
    OwnNetwork, Rootfs, Runtime, Seccomp, Security, Shim, Signal, StartError, State, Uplink,
};
use tokio::net::UnixStream;

use super::{Containers, Ended, Found, NotStarted, PodNetwork, ReadyMount, Running, Start};
use crate::control::EngineChoice;
use crate::moment::Moment;
use crate::spec::{Container, EnvValue};
use crate::status::Exit;

/// Most output of a probe's program that is kept.
const OUTPUT_LIMIT: u64 = 4096;

/// Containers as shims of this machine.
#[derive(Clone)]
pub(crate) struct Shims {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    store: Store,
    resolv_conf: Option<String>,
}

impl Shims {
    pub(crate) fn new(run: &Path, store: &Path, engine: &EngineChoice) -> io::Result<Shims> {
        let engine = match engine {
            EngineChoice::Embedded => Engine::Embedded,
            EngineChoice::Command(path) => Engine::Command(path.clone()),
        };
        let runtime = Runtime::new(run, engine).map_err(io::Error::other)?;
        let store = Store::open(store).map_err(io::Error::other)?;
        Ok(Shims { inner: Arc::new(Inner { runtime, store, resolv_conf: resolv_conf() }) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> io::Result<T> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(io::Error::other)
    }

    async fn with_shim<T: Send + 'static>(
        &self,
        id: &str,
        work: impl FnOnce(Shim) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let id = id.to_owned();
        self.blocking(move |inner| work(inner.shim(&id)?)).await?
    }
}

#[async_trait]
impl Containers for Shims {
    async fn start(&self, start: Start) -> Result<Running, NotStarted> {
        let passing = |error: io::Error| NotStarted { message: error.to_string(), hopeless: false };
        self.blocking(move |inner| inner.start(&start)).await.map_err(passing)?
    }

    async fn list(&self) -> io::Result<Vec<Found>> {
        self.blocking(|inner| inner.runtime.list().map_err(io::Error::other)).await?.map(|found| {
            let one = |found: minato_runtime::Found| Found {
                id: found.id.to_string(),
                running: match found.state {
                    State::Running { pid, .. } if found.shim_alive => Some(pid),
                    _ => None,
                },
                kept: found.shim_alive,
            };
            found.into_iter().map(one).collect()
        })
    }

    async fn wait(&self, id: &str) -> Ended {
        let watched = self.with_shim(id, |shim| shim.exit_fd().map_err(io::Error::other)).await;
        if let Ok(fd) = watched
            && let Ok(socket) = watched_socket(fd)
        {
            // Readable or broken: either way it is time to look.
            let _ = socket.readable().await;
        }
        match self.with_shim(id, |shim| shim.state().map_err(io::Error::other)).await {
            Ok(State::Exited(exit)) => Ended::Seen(exit_of(&exit)),
            _ => Ended::Lost,
        }
    }

    async fn signal(&self, id: &str, signal: &str) -> io::Result<()> {
        let signal = Signal::from_str(signal).map_err(io::Error::other)?;
        self.with_shim(id, move |shim| shim.signal(signal).map_err(io::Error::other)).await
    }

    async fn exec(&self, id: &str, argv: &[String]) -> io::Result<(i32, String)> {
        let spec = ExecSpec::new(argv.to_vec());
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let handle = self
            .with_shim(id, move |shim| {
                let null = File::open("/dev/null")?;
                let stdio = ExecStdio { stdin: null.as_fd(), stdout: writer.as_fd(), stderr: writer.as_fd() };
                shim.exec(&spec, &stdio).map_err(io::Error::other)
            })
            .await?;
        // Waiting on the handle's descriptor can be dropped, which kills the program; a blocked thread could not.
        let socket = watched_socket(handle.as_fd().try_clone_to_owned()?)?;
        socket.readable().await?;
        socket.into_std()?.set_nonblocking(false)?;
        self.blocking(move |_| {
            let exit = handle.wait().map_err(io::Error::other)?;
            Ok((exit.code(), what_was_said(reader)))
        })
        .await?
    }

    async fn sockets(&self, id: &str, count: u32) -> io::Result<Vec<OwnedFd>> {
        self.with_shim(id, move |shim| shim.sockets(count).map_err(io::Error::other)).await
    }

    async fn listen(&self, id: &str, address: SocketAddrV4, keep: bool) -> io::Result<Option<OwnedFd>> {
        self.with_shim(id, move |shim| {
            if keep {
                shim.listen(address).map(Some).map_err(io::Error::other)
            } else {
                shim.unlisten(address).map(|()| None).map_err(io::Error::other)
            }
        })
        .await
    }

    async fn remove(&self, id: &str) -> io::Result<()> {
        let id: ContainerId = id.parse().map_err(io::Error::other)?;
        self.blocking(move |inner| {
            if let Ok(Some(shim)) = inner.runtime.adopt(&id) {
                // What a refused or cut-short release leaves, the removal takes.
                let _ = shim.release();
            }
            inner.runtime.remove(&id).map_err(io::Error::other)
        })
        .await?
    }
}

impl Inner {
    fn shim(&self, id: &str) -> io::Result<Shim> {
        let id: ContainerId = id.parse().map_err(io::Error::other)?;
        let shim = self.runtime.adopt(&id).map_err(io::Error::other)?;
        shim.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("container {id}: its shim is gone"))
        })
    }

    fn start(&self, start: &Start) -> Result<Running, NotStarted> {
        let passing = |message: String| NotStarted { message, hopeless: false };
        let layers = self.layers(&start.container).map_err(passing)?;
        let network = match &start.holder {
            Some(holder) => Network::Join(
                self.shim(holder).map_err(|error| passing(error.to_string()))?.identity().clone(),
            ),
            None => Network::Own(own_network(&start.network)),
        };
        let spec = container_spec(start, layers, network, self.resolv_conf.clone()).map_err(passing)?;
        let shim = self
            .runtime
            .start(&spec)
            .map_err(|error| NotStarted { message: error.to_string(), hopeless: is_hopeless(&error) })?;
        let warnings = shim.warnings().iter().map(ToString::to_string).collect();
        let pid = match shim.state() {
            Ok(State::Running { pid, .. }) => pid,
            // Over already; whoever waits for it learns how.
            _ => 0,
        };
        Ok(Running { pid, warnings })
    }

    fn layers(&self, container: &Container) -> Result<Vec<PathBuf>, String> {
        let one = |diff_id: &Digest| match self.store.layer(diff_id) {
            Ok(Some(layer)) => Ok(layer.path),
            Ok(None) => Err(format!(
                "image {}: layer {diff_id} is not on this machine any more; build or pull it again",
                container.image.reference
            )),
            Err(error) => Err(error.to_string()),
        };
        container.image.layers.iter().map(one).collect()
    }
}

/// A shim's channel is a Unix socket; nothing is read here, only waited for.
fn watched_socket(fd: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(fd);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

fn container_spec(
    start: &Start,
    layers: Vec<PathBuf>,
    network: Network,
    resolv_conf: Option<String>,
) -> Result<ContainerSpec, String> {
    let container = &start.container;
    let id: ContainerId =
        start.id.parse().map_err(|error: minato_runtime::InvalidContainerId| error.to_string())?;
    let rootfs = Rootfs::Layers { layers, read_only: container.security.read_only_root };
    let mut spec = ContainerSpec::new(id, rootfs, container.args.clone());
    spec.env = container.env.iter().map(|var| (var.name.clone(), value(&var.value, start))).collect();
    spec.cwd = PathBuf::from(if container.cwd.is_empty() { "/" } else { &container.cwd });
    spec.user.clone_from(&container.user);
    spec.extra_groups.clone_from(&container.extra_groups);
    spec.hostname = start.hostname.chars().take(63).collect();
    spec.mounts = start.mounts.iter().map(mount).collect();
    spec.resolv_conf = resolv_conf;
    spec.limits = limits(container);
    spec.security = security(container);
    spec.network = network;
    spec.log = LogOptions { folder: Some(start.logs.clone()), ..LogOptions::default() };
    Ok(spec)
}

fn value(value: &EnvValue, start: &Start) -> String {
    match value {
        EnvValue::Text(text) => text.reveal().to_owned(),
        EnvValue::ReplicaName => start.replica.clone(),
        EnvValue::ReplicaAddress => start.network.address.to_string(),
    }
}

fn mount(ready: &ReadyMount) -> Mount {
    match ready.clone() {
        ReadyMount::Bind { source, target, read_only } => Mount::Bind { source, target, read_only },
        ReadyMount::Memory { target, size_bytes } => Mount::Tmpfs { target, size: size_bytes, mode: None },
    }
}

fn limits(container: &Container) -> Limits {
    let small = |value: Option<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    Limits {
        memory_bytes: container.limits.memory_bytes,
        cpu_millis: small(container.limits.cpu_millis),
        cpu_request_millis: small(container.limits.cpu_request_millis),
        pids: small(container.limits.pids),
    }
}

fn security(container: &Container) -> Security {
    let asked = &container.security;
    Security {
        privileged: asked.privileged,
        capabilities_add: asked.capabilities_add.clone(),
        capabilities_drop: asked.capabilities_drop.clone(),
        no_new_privileges: asked.no_new_privileges,
        seccomp: if asked.seccomp_unconfined { Seccomp::Unconfined } else { Seccomp::Default },
        insecure: asked.insecure,
    }
}

fn own_network(network: &PodNetwork) -> OwnNetwork {
    let uplink = network.uplink.as_ref().map(|(bridge, gateway, prefix)| Uplink {
        bridge: bridge.clone(),
        gateway: *gateway,
        prefix: *prefix,
    });
    OwnNetwork { address: network.address, uplink }
}

/// Whether only another image or description helps.
fn is_hopeless(error: &StartError) -> bool {
    matches!(
        error,
        StartError::InvalidSpec { .. }
            | StartError::CommandNotFound { .. }
            | StartError::NotExecutable { .. }
            | StartError::UnknownUser { .. }
    )
}

fn exit_of(exit: &minato_runtime::Exit) -> Exit {
    let at = exit.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (code, signal) = match exit.outcome {
        ExitOutcome::Code(code) => (Some(code), None),
        ExitOutcome::Signal(signal) => (None, Some(signal)),
    };
    Exit { code, signal, out_of_memory: exit.oom_killed, at: Moment::default().plus(at) }
}

fn what_was_said(reader: OwnedFd) -> String {
    let mut bytes = Vec::new();
    // A program that went into the background may hold the pipe open for ever.
    let _ = rustix::io::ioctl_fionbio(&reader, true);
    let _ = File::from(reader).take(OUTPUT_LIMIT).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The machine's name servers, but none on its loopback, which pods do not see.
fn resolv_conf() -> Option<String> {
    let usable = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let loopback = |line: &&str| {
            let server = line
                .strip_prefix("nameserver")
                .map(str::trim)
                .and_then(|server| server.parse::<IpAddr>().ok());
            !server.is_some_and(|server| server.is_loopback())
        };
        let kept: Vec<&str> = text.lines().filter(loopback).collect();
        kept.iter().any(|line| line.starts_with("nameserver")).then(|| kept.join("\n") + "\n")
    };
    usable("/etc/resolv.conf").or_else(|| usable("/run/systemd/resolve/resolv.conf"))
}
