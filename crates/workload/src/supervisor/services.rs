//! Services: their addresses and host ports, who listens for them, and who is behind them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::dialler::SharedDialler;
use super::record::{Record, ReplicaRecord, ServiceRecord, WorkloadRecord};
use super::{Supervisor, place};
use crate::decide::cause;
use crate::proxy::{self, Backend, Backends, HOLD, Port};
use crate::spec::{Pod, Publish, Service, ServiceKey, ServicePort, TargetPort};

/// Host ports are taken from here: outside the range from which the kernel gives ports to outgoing connections, so that
/// none takes one while the supervisor is being replaced.
const HOST_PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Services' addresses inside pods: 127.64.0.1 and on.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);

/// What of a service lives in this process only.
pub(super) struct LiveService {
    ports: Vec<LivePort>,
    /// Listeners inside pods, by replica and port.
    inside: BTreeMap<(String, u16), AbortHandle>,
    closing: watch::Sender<bool>,
    pub(super) problem: Option<String>,
}

/// Listeners on host ports that were just given to a service.
pub(super) type Reserved = BTreeMap<u16, TcpListener>;

struct LivePort {
    description: ServicePort,
    port: Arc<Port>,
    backends: Arc<Backends>,
    /// Replicas behind it, and the trouble where there is none.
    behind: (Vec<String>, String),
    host: Option<AbortHandle>,
}

impl Supervisor {
    /// Makes listeners be as recorded, and tells the proxy who is ready.
    pub(super) async fn step_services(&mut self) {
        let keys: Vec<ServiceKey> = self.services.keys().cloned().collect();
        for key in keys {
            if self.record.service(&key).is_none() {
                self.close_service(&key);
            }
        }
        for record in self.record.services.clone() {
            self.open_service(&record);
            self.listen_inside(&record).await;
        }
        self.update_hosts();
        self.update_backends();
    }

    /// Takes a service in: gives it an address and host ports that stay.
    pub(super) fn take_service(&mut self, service: Service) {
        let key = service.key.clone();
        if self.record.service(&key).is_some_and(|record| record.service.ports != service.ports) {
            self.close_service(&key);
        }
        let before = self.record.service(&key).cloned();
        let address = before.as_ref().map_or_else(|| free_address(&self.record), |record| record.address);
        let salt = self.paths.run.display().to_string();
        let published = host_ports(&self.record, &service, before.as_ref(), &salt, &mut self.reserved);
        self.record.services.retain(|record| record.service.key != key);
        self.record.services.push(ServiceRecord { service, address, published });
        self.record.services.sort_by(|left, right| left.service.key.cmp(&right.service.key));
    }

    pub(super) fn close_service(&mut self, key: &ServiceKey) {
        let Some(live) = self.services.remove(key) else { return };
        live.closing.send_replace(true);
        for port in &live.ports {
            if let Some(host) = &port.host {
                host.abort();
            }
        }
        let address = self.record.service(key).map(|record| record.address);
        for ((replica, port), task) in live.inside {
            task.abort();
            let holder = self.record.replica(&replica).and_then(|(record, _)| record.holder.clone());
            if let (Some(holder), Some(address)) = (holder, address) {
                let containers = self.containers.clone();
                tokio::spawn(async move {
                    // The namespace may be gone, and the listener with it.
                    let _ = containers.listen(&holder, SocketAddrV4::new(address, port), false).await;
                });
            }
        }
    }

    /// The proxy learns at once who may take requests.
    pub(super) fn update_backends(&mut self) {
        for record in &self.record.services {
            let Some(live) = self.services.get_mut(&record.service.key) else { continue };
            for port in &mut live.ports {
                let mut ready = Vec::new();
                let mut trouble = String::new();
                for (workload, replica, pod) in selected(&self.record.workloads, &record.service) {
                    let Some(number) = target_port(&port.description.target, pod) else {
                        trouble = format!(
                            "no container of {} has the port {:?}",
                            replica.id, port.description.target
                        );
                        continue;
                    };
                    let Some(own) = self.replicas.get(&replica.id) else { continue };
                    if replica.takes_requests() {
                        own.dialler.keep(replica.holder.clone());
                        ready.push(Backend {
                            replica: replica.id.clone(),
                            address: SocketAddrV4::new(replica.address, number),
                            dial: Arc::new(SharedDialler(own.dialler.clone())),
                            traffic: own.traffic.clone(),
                        });
                    } else if trouble.is_empty() {
                        trouble = why_not(workload, replica, pod);
                    }
                }
                let behind = (ready.iter().map(|backend| backend.replica.clone()).collect(), trouble.clone());
                if behind != port.behind {
                    port.behind = behind;
                    port.backends.set(ready, trouble);
                }
            }
        }
    }

    fn open_service(&mut self, record: &ServiceRecord) {
        let live = self
            .services
            .entry(record.service.key.clone())
            .or_insert_with(|| LiveService::new(&record.service));
        live.problem = None;
        for (index, port) in live.ports.iter_mut().enumerate() {
            let Some((_, host_port)) = record.published.get(index).copied() else {
                if let Some(host) = port.host.take() {
                    host.abort();
                }
                continue;
            };
            if port.host.as_ref().is_some_and(|host| !host.is_finished()) {
                continue;
            }
            let reserved = self.reserved.remove(&host_port);
            match reserved.map_or_else(|| listen_on_host(host_port), Ok) {
                Ok(listener) => {
                    let task =
                        tokio::spawn(proxy::serve(listener, port.port.clone(), live.closing.subscribe()));
                    port.host = Some(task.abort_handle());
                }
                Err(error) => {
                    live.problem = Some(format!("127.0.0.1:{host_port} can't be listened on: {error}"))
                }
            }
        }
    }

    /// Listens for a service in every pod's namespace.
    async fn listen_inside(&mut self, record: &ServiceRecord) {
        let Some(live) = self.services.get_mut(&record.service.key) else { return };
        let replicas = self.record.workloads.iter().flat_map(|workload| &workload.replicas);
        let open: BTreeMap<&str, &str> = replicas
            .filter(|replica| !replica.cleared && replica.has_running_container())
            .filter_map(|replica| Some((replica.id.as_str(), replica.holder.as_deref()?)))
            .collect();
        live.inside.retain(|(replica, _), task| {
            let keep = open.contains_key(replica.as_str());
            if !keep {
                task.abort();
            }
            keep
        });
        for (replica, holder) in open {
            for port in &live.ports {
                let place = (replica.to_owned(), port.description.port);
                if live.inside.get(&place).is_some_and(|task| !task.is_finished()) {
                    continue;
                }
                let address = SocketAddrV4::new(record.address, port.description.port);
                let (containers, holder) = (self.containers.clone(), holder.to_owned());
                let (port, closing) = (port.port.clone(), live.closing.subscribe());
                let task = tokio::spawn(async move {
                    match containers.listen(&holder, address, true).await.and_then(listener_of) {
                        Ok(listener) => proxy::serve(listener, port, closing).await,
                        Err(error) => {
                            super::process::say(&format!("{holder}: no listener on {address}: {error}"));
                            // Tried again with the next change, not at once.
                            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
                        }
                    }
                });
                live.inside.insert(place, task.abort_handle());
            }
        }
    }

    /// Services that came or went are seen by replicas that run already.
    fn update_hosts(&mut self) {
        for workload in &self.record.workloads {
            for replica in
                workload.replicas.iter().filter(|replica| replica.holder.is_some() && !replica.cleared)
            {
                let (Some(pod), Some(live)) = (workload.pod_of(replica), self.replicas.get_mut(&replica.id))
                else {
                    continue;
                };
                let text = place::hosts(&workload.wanted.key, replica, pod, &self.record.services);
                let folder = self.paths.pods.join(&replica.id);
                if live.hosts == text || !folder.exists() {
                    continue;
                }
                match place::write_hosts(&folder, &text) {
                    Ok(()) => live.hosts = text,
                    Err(error) => super::process::say(&format!("{}: hosts not written: {error}", replica.id)),
                }
            }
        }
    }
}

impl LiveService {
    fn new(service: &Service) -> LiveService {
        let ports = service.ports.iter().map(|description| {
            let name = format!("{}/{}:{}", service.key.namespace, service.key.name, description.port);
            let backends = Backends::new(HOLD);
            let port = Port::new(name, description.application, backends.clone());
            let behind = (Vec::new(), String::new());
            LivePort { description: description.clone(), port, backends, behind, host: None }
        });
        let (ports, closing) = (ports.collect(), watch::Sender::new(false));
        LiveService { ports, inside: BTreeMap::new(), closing, problem: None }
    }

    pub(super) fn ready_replicas(&self) -> u32 {
        self.ports.iter().map(|port| port.behind.0.len() as u32).max().unwrap_or(0)
    }

    /// Connections end after the answers they are at, and no new ones are taken.
    pub(super) fn end(&self) {
        self.closing.send_replace(true);
    }
}

/// Replicas that a service selects, with their workloads.
fn selected<'a>(
    workloads: &'a [WorkloadRecord],
    service: &'a Service,
) -> impl Iterator<Item = (&'a WorkloadRecord, &'a ReplicaRecord, &'a Pod)> {
    let of_application =
        workloads.iter().filter(|workload| workload.wanted.key.application == service.key.application);
    of_application.flat_map(move |workload| {
        workload.replicas.iter().filter_map(move |replica| {
            let pod = workload.pod_of(replica)?;
            let takes = service.selects(&workload.wanted.key.namespace, &pod.labels);
            takes.then_some((workload, replica, pod))
        })
    })
}

fn target_port(target: &TargetPort, pod: &Pod) -> Option<u16> {
    match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            let ports = pod.all_containers().flat_map(|container| &container.ports);
            ports.into_iter().find(|port| port.name == *name).map(|port| port.port)
        }
    }
}

fn why_not(workload: &WorkloadRecord, replica: &ReplicaRecord, pod: &Pod) -> String {
    if workload.stopped_by_reboot {
        return "stopped by a restart of this machine".to_owned();
    }
    let seen = cause::of_replica(&replica.id, pod, &replica.life).summary;
    if seen.is_empty() { format!("{} is starting", replica.id) } else { format!("{}: {seen}", replica.id) }
}

fn free_address(record: &Record) -> Ipv4Addr {
    let used = |address: &Ipv4Addr| record.services.iter().any(|service| service.address == *address);
    let mut candidates = (u32::from(FIRST_ADDRESS)..).map(Ipv4Addr::from);
    candidates.find(|address| !used(address)).unwrap_or(FIRST_ADDRESS)
}

/// A host port for each port of a published service: those it had, else the preferred one, else a free one whose search
/// begins at a place that the name gives, so that it is often the same again after a deletion. A new one is listened on
/// at once: between a look whether it is free and its use another program could take it.
fn host_ports(
    record: &Record,
    service: &Service,
    before: Option<&ServiceRecord>,
    salt: &str,
    reserved: &mut Reserved,
) -> Vec<(u16, u16)> {
    let Publish::Yes { preferred } = service.publish else { return Vec::new() };
    let mut taken: Vec<u16> = record
        .services
        .iter()
        .filter(|other| other.service.key != service.key)
        .flat_map(|other| other.published.iter().map(|(_, host)| *host))
        .collect();
    let kept = |port: u16| before?.published.iter().find(|(own, _)| *own == port).map(|(_, host)| *host);
    let mut published = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        let preferred = preferred.filter(|_| index == 0);
        let host = kept(port.port)
            .or_else(|| preferred.filter(|host| !taken.contains(host) && reserve(*host, reserved)))
            .or_else(|| free_host_port(&format!("{salt} {} {}", service.key, port.port), &taken, reserved));
        if let Some(host) = host {
            taken.push(host);
            published.push((port.port, host));
        }
    }
    published
}

fn free_host_port(name: &str, taken: &[u16], reserved: &mut Reserved) -> Option<u16> {
    let hash = Sha256::digest(name);
    let count = HOST_PORTS.end - HOST_PORTS.start;
    let start = u16::from_be_bytes([hash[0], hash[1]]) % count;
    (0..count)
        .map(|step| HOST_PORTS.start + (start + step) % count)
        .find(|port| !taken.contains(port) && reserve(*port, reserved))
}

/// Listens on a port until its service opens it.
fn reserve(port: u16, reserved: &mut Reserved) -> bool {
    let Ok(listener) = listen_on_host(port) else { return false };
    reserved.insert(port, listener);
    true
}

fn listen_on_host(port: u16) -> std::io::Result<TcpListener> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn listener_of(fd: Option<OwnedFd>) -> std::io::Result<TcpListener> {
    let fd = fd.ok_or_else(|| std::io::Error::other("the shim gave no listener"))?;
    let listener = StdListener::from(fd);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::PortProtocol;

    fn service(name: &str, ports: &[u16], publish: Publish) -> Service {
        let port = |port: &u16| ServicePort {
            name: String::new(),
            port: *port,
            target: TargetPort::Number(*port),
            protocol: PortProtocol::Tcp,
            application: None,
        };
        Service {
            key: ServiceKey { application: "a".into(), namespace: "b".into(), name: name.into() },
            selector: BTreeMap::new(),
            ports: ports.iter().map(port).collect(),
            publish,
            annotations: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn host_ports_stay_and_are_not_given_twice() {
        let mut record = Record::new(String::new());
        let one = service("one", &[80, 443], Publish::Yes { preferred: None });
        let given = host_ports(&record, &one, None, "", &mut Reserved::new());
        assert!(given.len() == 2 && given[0].1 != given[1].1);
        assert!(given.iter().all(|(_, host)| HOST_PORTS.contains(host)));
        let kept = ServiceRecord { service: one.clone(), address: FIRST_ADDRESS, published: given.clone() };
        record.services.push(kept.clone());
        assert_eq!(free_address(&record), Ipv4Addr::new(127, 64, 0, 2));
        assert_eq!(host_ports(&record, &one, Some(&kept), "", &mut Reserved::new()), given);
        let wants = Publish::Yes { preferred: Some(given[0].1) };
        let other = host_ports(&record, &service("two", &[80], wants), None, "", &mut Reserved::new());
        assert_ne!(other[0].1, given[0].1, "it is another service's");
        let occupied = listen_on_host(given[0].1).unwrap();
        let again = host_ports(&Record::new(String::new()), &one, None, "", &mut Reserved::new());
        assert_ne!(again[0].1, given[0].1, "another program has it");
        drop(occupied);
        assert_eq!(
            host_ports(&record, &service("three", &[80], Publish::No), None, "", &mut Reserved::new()),
            []
        );
    }
}
