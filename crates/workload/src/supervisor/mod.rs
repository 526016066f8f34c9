//! The supervisor proper: one task that owns all state, takes events in one by one, and acts on what `decide` says.
//!
//! ```text
//! requests ┐                      ┌► workloads: rollouts ─► create, admit, stop replicas
//! exits    ├► Event ─► take in ─► ┼► replicas:  pods     ─► start, probe, hook, signal (each a task of its own)
//! answers  ┘                      └► services:  listeners and who is behind them ─► proxy
//!                                          │
//!                                          └► record file, watchers
//! ```
//! `place` is what a replica finds around it, `prober` asks probes, `view` tells the status, `takeover` adopts what an
//! earlier supervisor left, `process` is the process around all this.

mod dialler;
mod place;
mod prober;
mod process;
mod record;
mod replicas;
mod requests;
mod services;
mod takeover;
#[cfg(test)]
mod tests;
mod view;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use minato_oci::{Digest, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::control::{Paths, Reply, Request};
use crate::decide::health::{Answer, ProbeKind};
use crate::decide::pod;
use crate::engine::{Containers, Ended, NotStarted, Running};
use crate::moment::{Clock, Moment};
use crate::spec::ServiceKey;
use crate::status::{Filter, Status};
use place::Network;
pub(crate) use process::run_if_asked;
use record::Record;
use replicas::LiveReplica;
use services::LiveService;

/// With nothing to look after, it stays this long for the next request.
const LINGER: Duration = Duration::from_secs(2);

/// Under this name the content store keeps the images in use.
const PIN_OWNER: &str = "workload";

/// Something that happened.
pub(crate) enum Event {
    Request(Request, oneshot::Sender<Reply>),
    /// A client came or went.
    Clients(i64),
    Container {
        replica: String,
        index: usize,
        attempt: u32,
        what: Happening,
    },
    /// Nothing is in flight towards it any more.
    Drained {
        replica: String,
    },
    /// Nothing of its containers is left.
    Cleared {
        replica: String,
    },
    /// Its network namespace is gone with the shim that kept it.
    HolderLost {
        replica: String,
    },
}

/// Something that happened to one run of a container.
pub(crate) enum Happening {
    Started(Result<Running, NotStarted>),
    Ended(Ended),
    Probed(ProbeKind, Answer),
    PostStart(Result<(), String>),
    PreStop,
}

/// Tells the supervisor what happened.
pub(crate) type Events = mpsc::UnboundedSender<Event>;

/// All state of a data folder's supervisor.
pub(crate) struct Supervisor {
    paths: Paths,
    clock: Clock,
    network: Network,
    containers: Arc<dyn Containers>,
    events: Events,
    record: Record,
    saved: Option<Record>,
    replicas: BTreeMap<String, LiveReplica>,
    services: BTreeMap<ServiceKey, LiveService>,
    reserved: services::Reserved,
    deletions: Vec<(Filter, oneshot::Sender<Reply>)>,
    status: watch::Sender<Status>,
    clients: i64,
    idle_since: Option<Moment>,
    leaving: bool,
    pinned: BTreeSet<Digest>,
}

impl Supervisor {
    /// Looks after what the record names until nothing is left to look after, or another build wants to.
    pub(crate) async fn run(mut self, mut received: mpsc::UnboundedReceiver<Event>) {
        self.take_over().await;
        loop {
            let wake = self.reconcile().await;
            if self.is_over() {
                break;
            }
            let pause = wake.map_or(Duration::from_secs(3600), |wake| wake.since(self.clock.now()));
            let event = tokio::select! {
                event = received.recv() => event,
                () = tokio::time::sleep(pause) => None,
            };
            if let Some(event) = event {
                self.take_in(event).await;
                while let Ok(more) = received.try_recv() {
                    self.take_in(more).await;
                }
            }
        }
        self.leave().await;
    }

    /// Brings everything one step nearer to what is wanted. Returns when to look again.
    async fn reconcile(&mut self) -> Option<Moment> {
        let now = self.clock.now();
        let mut wake = self.step_workloads(now);
        // Replicas must stand in the record before anything of them is started.
        self.save();
        let of_replicas = self.step_replicas(now);
        wake = wake.into_iter().chain(of_replicas).min();
        self.step_services().await;
        self.save();
        self.answer_deletions();
        self.publish();
        let idle = self.notice_idleness(now);
        wake.into_iter().chain(idle).min()
    }

    async fn take_in(&mut self, event: Event) {
        match event {
            Event::Request(request, reply) => self.request(request, reply).await,
            Event::Clients(change) => self.clients += change,
            Event::Container { replica, index, attempt, what } => {
                self.happened(&replica, index, attempt, what)
            }
            Event::Drained { replica } => {
                if let Some((record, _)) = self.record.replica(&replica) {
                    record.life.drained();
                }
            }
            Event::Cleared { replica } => self.cleared(&replica),
            Event::HolderLost { replica } => self.holder_lost(&replica),
        }
    }

    /// Writes the record when it changed.
    fn save(&mut self) {
        if self.saved.as_ref() == Some(&self.record) {
            return;
        }
        if let Err(error) = self.record.save(&self.paths.record) {
            process::say(&format!("the record can't be written: {error}"));
            return;
        }
        self.saved = Some(self.record.clone());
        self.pin_images();
    }

    /// Images of everything recorded are kept from the content store's garbage collection.
    fn pin_images(&mut self) {
        let images = self.record.workloads.iter().flat_map(|workload| &workload.revisions);
        let images =
            images.flat_map(|workload| workload.pod.all_containers()).map(|container| container.image.id);
        let images: BTreeSet<Digest> = images.collect();
        if images == self.pinned {
            return;
        }
        let ids: Vec<Digest> = images.iter().copied().collect();
        let pinned = Store::open(&self.paths.store).and_then(|store| {
            if ids.is_empty() { store.unpin(PIN_OWNER).map(drop) } else { store.pin(PIN_OWNER, &ids) }
        });
        match pinned {
            Ok(()) => self.pinned = images,
            Err(error) => process::say(&format!("images in use can't be pinned: {error}")),
        }
    }

    fn publish(&self) {
        let status = self.view(&Filter::default());
        self.status.send_if_modified(|before| {
            let changed = *before != status;
            *before = status;
            changed
        });
    }

    fn notice_idleness(&mut self, now: Moment) -> Option<Moment> {
        let busy = self.clients > 0 || self.record.workloads.iter().any(record::WorkloadRecord::is_active);
        if busy {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert(now);
        Some(since.plus(LINGER))
    }

    fn is_over(&self) -> bool {
        let idle = self.idle_since.is_some_and(|since| self.clock.now().since(since) >= LINGER);
        self.leaving || idle
    }

    /// Ends; containers stay with their shims.
    async fn leave(&mut self) {
        self.services.values().for_each(LiveService::end);
        self.save();
        if self.record.is_empty() {
            let _ = std::fs::remove_file(&self.paths.record);
        }
        // Requests on their way get a moment to be answered.
        let busy = self.replicas.values().map(|live| live.traffic.clone()).collect::<Vec<_>>();
        let answered = async {
            for traffic in busy {
                traffic.idle().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), answered).await;
        // Answers that are written already leave the process before it does.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl record::WorkloadRecord {
    /// Something of it runs or should.
    fn is_active(&self) -> bool {
        let alive = self.replicas.iter().any(|replica| !replica.cleared);
        let wanted = match self.wanted.run {
            crate::spec::Run::Forever => self.wanted.replicas > 0,
            crate::spec::Run::Once { .. } => matches!(self.outcome, record::Outcome::Progressing),
        };
        alive || self.deleting || (wanted && !self.stopped_by_reboot)
    }
}

/// Actions of pods, with who they concern.
pub(crate) struct PodWork {
    replica: String,
    action: pod::PodAction,
}
