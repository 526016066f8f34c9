//! Replicas: what `decide::pod` says becomes calls of the engine, each in a task that reports back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::dialler::Dialler;
use super::prober::Target;
use super::record::ReplicaRecord;
use super::{Event, Happening, PodWork, Supervisor, place, prober};
use crate::decide::pod::{self, PodAction, Reason, Stage, Stopping};
use crate::engine::{Ended, Start};
use crate::moment::Moment;
use crate::proxy::Traffic;
use crate::spec::{Container, Pod, WorkloadKey};
use crate::status::Exit;

/// What of a replica lives in this process only.
pub(super) struct LiveReplica {
    pub(super) traffic: Arc<Traffic>,
    pub(super) dialler: Arc<Dialler>,
    /// Somebody waits for its requests in flight.
    draining: bool,
    /// Somebody clears its containers away.
    clearing: bool,
    /// Its folder and volumes are there.
    prepared: bool,
    /// What its `/etc/hosts` says.
    pub(super) hosts: String,
}

impl Supervisor {
    /// Moves every replica forward.
    pub(super) fn step_replicas(&mut self, now: Moment) -> Option<Moment> {
        let ids: Vec<(WorkloadKey, String)> = self
            .record
            .workloads
            .iter()
            .flat_map(|workload| {
                workload.replicas.iter().map(|replica| (workload.wanted.key.clone(), replica.id.clone()))
            })
            .collect();
        let mut wakes = Vec::new();
        for (key, id) in ids {
            self.live(&id);
            let Some((replica, pod)) = self.record.replica(&id) else { continue };
            let actions = pod::next_step(&pod, &mut replica.life, now);
            note_readiness(replica, &pod, now);
            wakes.extend(pod::wake(&pod, &replica.life));
            let phase = replica.life.phase(&pod);
            for action in actions {
                self.perform(&key, &pod, PodWork { replica: id.clone(), action });
            }
            self.drain(&id);
            if phase.is_over() {
                self.clear(&id, &pod);
            }
        }
        self.forget_cleared();
        wakes.into_iter().min()
    }

    /// Takes in what happened to one run of a container; an older run's news is no news.
    pub(super) fn happened(&mut self, id: &str, index: usize, attempt: u32, what: Happening) {
        let now = self.clock.now();
        let Some(key) = self.key_of(id) else { return };
        let Some((replica, pod)) = self.record.replica(id) else { return };
        if replica.life.containers.get(index).is_none_or(|life| life.attempts != attempt) {
            return;
        }
        let action = match what {
            Happening::Started(Ok(running)) => {
                fail::fail_point!("workload.replica.started");
                replica.warnings.insert(index, running.warnings);
                replica.holder.get_or_insert_with(|| place::runtime_id(id, index, attempt));
                let action = replica.life.started(&pod, index, running.pid, now);
                self.watch_container(id, index, attempt);
                action
            }
            Happening::Started(Err(refused)) => {
                replica.life.not_started(&pod, index, refused.message, refused.hopeless, now);
                None
            }
            Happening::Ended(ended) => {
                let exit = match ended {
                    Ended::Seen(exit) => exit,
                    Ended::Lost => Exit { code: None, signal: None, out_of_memory: false, at: now },
                };
                fail::fail_point!("workload.container.ended");
                replica.life.exited(&pod, index, exit, now);
                self.after_exit(id, index, attempt, ended);
                None
            }
            Happening::Probed(kind, answer) => replica.life.probed(&pod, index, kind, &answer, now),
            Happening::PostStart(outcome) => replica.life.post_start_done(&pod, index, outcome, now),
            Happening::PreStop => replica.life.pre_stop_done(index),
        };
        if let Some(action) = action {
            self.perform(&key, &pod, PodWork { replica: id.to_owned(), action });
        }
        // What is no longer ready leaves the proxy before anything else happens to it.
        if let Some((replica, pod)) = self.record.replica(id) {
            note_readiness(replica, &pod, now);
        }
        self.update_backends();
    }

    /// The shim that kept the pod's network namespace was killed: the replica can't go on.
    pub(super) fn holder_lost(&mut self, id: &str) {
        let Some((replica, pod)) = self.record.replica(id) else { return };
        if !replica.life.phase(&pod).is_over() && replica.life.stopping.is_none() {
            let reason = Reason::Finished { well: false };
            replica.life.stopping = Some(Stopping { reason, drained: false, drain_until: Moment::default() });
        }
        self.update_backends();
    }

    pub(super) fn cleared(&mut self, id: &str) {
        if let Some((replica, _)) = self.record.replica(id) {
            replica.cleared = true;
        }
        if let Some(live) = self.replicas.get_mut(id) {
            live.clearing = false;
        }
    }

    /// Reports the end of a running container.
    pub(super) fn watch_container(&self, id: &str, index: usize, attempt: u32) {
        let (containers, events) = (self.containers.clone(), self.events.clone());
        let (replica, runtime_id) = (id.to_owned(), place::runtime_id(id, index, attempt));
        tokio::spawn(async move {
            let ended = containers.wait(&runtime_id).await;
            let _ = events.send(Event::Container { replica, index, attempt, what: Happening::Ended(ended) });
        });
    }

    /// Does what a pod's decision says; what comes of it arrives as an event.
    pub(super) fn perform(&mut self, key: &WorkloadKey, pod: &Pod, work: PodWork) {
        let PodWork { replica: id, action } = work;
        let index = index_of(action);
        let Some(container) = pod.all_containers().nth(index).cloned() else { return };
        let Some((replica, _)) = self.record.replica(&id) else { return };
        let attempt = replica.life.containers[index].attempts;
        match action {
            PodAction::Start { .. } => self.start(key, pod, &id, index, attempt, container),
            PodAction::Probe { kind, .. } => {
                let Some(probe) = kind.of(&container).cloned() else { return };
                let target = self.target(&id, index, attempt);
                self.report(&id, index, attempt, async move {
                    Happening::Probed(kind, prober::ask(&target, &probe).await)
                });
            }
            PodAction::PostStart { .. } => {
                let target = self.target(&id, index, attempt);
                let grace = Duration::from_secs(pod.grace_seconds.max(1).into());
                self.report(&id, index, attempt, async move {
                    Happening::PostStart(
                        prober::run_hook(&target, container.post_start.as_ref(), grace).await,
                    )
                });
            }
            PodAction::PreStop { .. } => {
                let target = self.target(&id, index, attempt);
                let grace = Duration::from_secs(pod.grace_seconds.max(1).into());
                self.report(&id, index, attempt, async move {
                    // As in Kubernetes a failed hook does not hold the end up.
                    let _ = prober::run_hook(&target, container.pre_stop.as_ref(), grace).await;
                    Happening::PreStop
                });
            }
            PodAction::Signal { .. } => {
                let named = container.stop_signal.trim();
                self.signal(&id, index, attempt, if named.is_empty() { "SIGTERM" } else { named });
            }
            PodAction::Kill { .. } => self.signal(&id, index, attempt, "SIGKILL"),
        }
    }

    fn start(
        &mut self,
        key: &WorkloadKey,
        pod: &Pod,
        id: &str,
        index: usize,
        attempt: u32,
        container: Container,
    ) {
        let folder = self.paths.pods.join(id);
        let prepared = self.prepare(key, pod, id, &folder);
        let mounts = prepared.and_then(|()| place::mounts(&folder, pod, &container));
        let Some((replica, _)) = self.record.replica(id) else { return };
        let (holder, address) = (replica.holder.clone(), replica.address);
        let mounts = match mounts {
            Ok(mounts) => mounts,
            Err(error) => {
                let message = format!("volumes of {id}: {error}");
                let refused = crate::engine::NotStarted { message, hopeless: false };
                let what = Happening::Started(Err(refused));
                let _ = self.events.send(Event::Container { replica: id.to_owned(), index, attempt, what });
                return;
            }
        };
        let start = Start {
            id: place::runtime_id(id, index, attempt),
            replica: id.to_owned(),
            holder,
            network: self.network.pod(address),
            hostname: pod.hostname.clone().unwrap_or_else(|| id.to_owned()),
            mounts,
            logs: place::log_folder(&self.paths.logs, key, id, &container.name),
            container,
        };
        let containers = self.containers.clone();
        self.report(id, index, attempt, async move {
            fail::fail_point!("workload.replica.before-start");
            Happening::Started(containers.start(start).await)
        });
    }

    fn prepare(
        &mut self,
        key: &WorkloadKey,
        pod: &Pod,
        id: &str,
        folder: &std::path::Path,
    ) -> std::io::Result<()> {
        let prepared = self.replicas.get(id).is_some_and(|live| live.prepared);
        if !prepared {
            place::prepare(folder, pod)?;
            if let Some(live) = self.replicas.get_mut(id) {
                live.prepared = true;
            }
        }
        let Some((replica, _)) = self.record.replica(id) else { return Ok(()) };
        let replica = replica.clone();
        place::write_hosts(folder, &place::hosts(key, &replica, pod, &self.record.services))
    }

    fn signal(&self, id: &str, index: usize, attempt: u32, signal: &str) {
        let (containers, signal) = (self.containers.clone(), signal.to_owned());
        let runtime_id = place::runtime_id(id, index, attempt);
        tokio::spawn(async move {
            if let Err(error) = containers.signal(&runtime_id, &signal).await {
                // Whatever its reason, the deadline of the grace period follows.
                super::process::say(&format!("{runtime_id}: {signal} not sent: {error}"));
            }
        });
    }

    /// After a container's end: what it left is taken away, unless it keeps the pod's network namespace.
    fn after_exit(&mut self, id: &str, index: usize, attempt: u32, ended: Ended) {
        let runtime_id = place::runtime_id(id, index, attempt);
        let Some((replica, _)) = self.record.replica(id) else { return };
        if replica.holder.as_deref() == Some(runtime_id.as_str()) {
            if ended == Ended::Lost {
                self.holder_lost(id);
            } else {
                self.watch_holder(id, &runtime_id);
            }
            return;
        }
        let containers = self.containers.clone();
        tokio::spawn(async move {
            if let Err(error) = containers.remove(&runtime_id).await {
                super::process::say(&format!("{runtime_id}: not removed: {error}"));
            }
        });
    }

    /// The container that keeps the namespace has ended, its shim stays: it is asked for now and then.
    pub(super) fn watch_holder(&self, id: &str, holder: &str) {
        let (containers, events) = (self.containers.clone(), self.events.clone());
        let (replica, holder) = (id.to_owned(), holder.to_owned());
        tokio::spawn(async move {
            while containers.sockets(&holder, 1).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let _ = events.send(Event::HolderLost { replica });
        });
    }

    /// Waits for the requests in flight of a replica that ends.
    fn drain(&mut self, id: &str) {
        let Some((replica, _)) = self.record.replica(id) else { return };
        let stopping = replica.life.stopping.as_ref().is_some_and(|stopping| !stopping.drained);
        let Some(live) = self.replicas.get_mut(id) else { return };
        if !stopping || live.draining {
            return;
        }
        live.draining = true;
        self.update_backends();
        let Some(live) = self.replicas.get(id) else { return };
        let (traffic, events, replica) = (live.traffic.clone(), self.events.clone(), id.to_owned());
        tokio::spawn(async move {
            traffic.idle().await;
            let _ = events.send(Event::Drained { replica });
        });
    }

    /// Takes away what is left of a replica that ended: containers, volumes.
    fn clear(&mut self, id: &str, pod: &Pod) {
        let Some((replica, _)) = self.record.replica(id) else { return };
        let Some(live) = self.replicas.get_mut(id) else { return };
        if replica.cleared || live.clearing {
            return;
        }
        live.clearing = true;
        let ids = runtime_ids(replica);
        let folder: PathBuf = self.paths.pods.join(id);
        let (containers, events, replica) = (self.containers.clone(), self.events.clone(), id.to_owned());
        let (traffic, grace) = (live.traffic.clone(), Duration::from_secs(pod.grace_seconds.into()));
        self.update_backends();
        tokio::spawn(async move {
            // Normally nothing is in flight; after a killed shim its program may still answer.
            let _ = tokio::time::timeout(grace, traffic.idle()).await;
            for runtime_id in ids {
                fail::fail_point!("workload.replica.before-removal");
                while let Err(error) = containers.remove(&runtime_id).await {
                    super::process::say(&format!("{runtime_id}: not removed: {error}"));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            let _ = std::fs::remove_dir_all(folder);
            let _ = events.send(Event::Cleared { replica });
        });
    }

    fn forget_cleared(&mut self) {
        for workload in &mut self.record.workloads {
            workload.replicas.retain(|replica| !(replica.unwanted && replica.cleared));
        }
        let known: Vec<String> = self.replicas.keys().cloned().collect();
        for id in known {
            if self.record.replica(&id).is_none() {
                self.replicas.remove(&id);
            }
        }
    }

    /// The replica's part in this process, made when it is first needed.
    fn live(&mut self, id: &str) {
        if self.replicas.contains_key(id) {
            return;
        }
        let live = LiveReplica {
            traffic: Traffic::new(),
            dialler: Dialler::new(self.containers.clone()),
            draining: false,
            clearing: false,
            prepared: false,
            hosts: String::new(),
        };
        self.replicas.insert(id.to_owned(), live);
    }

    fn target(&mut self, id: &str, index: usize, attempt: u32) -> Target {
        let (holder, address) =
            self.record.replica(id).map_or((None, std::net::Ipv4Addr::LOCALHOST), |(replica, _)| {
                (replica.holder.clone(), replica.address)
            });
        self.live(id);
        let dialler = self.replicas[id].dialler.clone();
        dialler.keep(holder);
        Target {
            containers: self.containers.clone(),
            dialler,
            address,
            runtime_id: place::runtime_id(id, index, attempt),
        }
    }

    fn report(
        &self,
        id: &str,
        index: usize,
        attempt: u32,
        work: impl Future<Output = Happening> + Send + 'static,
    ) {
        let (events, replica) = (self.events.clone(), id.to_owned());
        tokio::spawn(async move {
            let what = work.await;
            let _ = events.send(Event::Container { replica, index, attempt, what });
        });
    }

    fn key_of(&self, id: &str) -> Option<WorkloadKey> {
        let workload = self
            .record
            .workloads
            .iter()
            .find(|workload| workload.replicas.iter().any(|replica| replica.id == id));
        workload.map(|workload| workload.wanted.key.clone())
    }
}

/// Every container that may be there: each last run, and the one that keeps the network namespace, last.
fn runtime_ids(replica: &ReplicaRecord) -> Vec<String> {
    let runs = replica.life.containers.iter().enumerate().filter(|(_, life)| life.attempts > 0);
    let mut ids: Vec<String> =
        runs.map(|(index, life)| place::runtime_id(&replica.id, index, life.attempts)).collect();
    ids.retain(|id| replica.holder.as_ref() != Some(id));
    ids.extend(replica.holder.clone());
    ids
}

fn note_readiness(replica: &mut ReplicaRecord, pod: &Pod, now: Moment) {
    let ready = replica.life.is_ready(pod);
    match (ready, replica.ready_since) {
        (true, None) => replica.ready_since = Some(now),
        (false, Some(_)) => {
            replica.ready_since = None;
            if replica.life.stopping.is_none() {
                replica.lost_ready += 1;
                replica.lost_ready_at = Some(now);
            }
        }
        _ => {}
    }
}

fn index_of(action: PodAction) -> usize {
    match action {
        PodAction::Start { container, .. }
        | PodAction::Probe { container, .. }
        | PodAction::PostStart { container }
        | PodAction::PreStop { container }
        | PodAction::Signal { container }
        | PodAction::Kill { container } => container,
    }
}

impl ReplicaRecord {
    /// Its containers answer and it may be sent requests.
    pub(super) fn takes_requests(&self) -> bool {
        self.admitted && self.ready_since.is_some() && !self.unwanted && self.life.stopping.is_none()
    }

    pub(super) fn has_running_container(&self) -> bool {
        self.life
            .containers
            .iter()
            .any(|life| matches!(life.stage, Stage::Running { .. } | Stage::Stopping { .. }))
    }
}
