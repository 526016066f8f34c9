//! What clients ask for.

use tokio::sync::oneshot;

use super::Supervisor;
use super::record::WorkloadRecord;
use crate::control::{Reply, Request};
use crate::spec::{ServiceKey, Workload, WorkloadKey};
use crate::status::{Filter, RolloutId};

impl Supervisor {
    pub(super) async fn request(&mut self, request: Request, reply: oneshot::Sender<Reply>) {
        let answer = match request {
            Request::ApplyWorkload(workload) => self.apply_workload(*workload),
            Request::ApplyService(service) => match service.validate() {
                Ok(()) => {
                    let key = service.key.clone();
                    self.take_service(service);
                    self.save();
                    fail::fail_point!("workload.service.recorded");
                    self.step_services().await;
                    self.service_status(&key)
                }
                Err(problem) => Reply::Refused(problem.to_string()),
            },
            Request::DeleteWorkload(key) => return self.delete_workloads(Filter::workload(&key), reply),
            Request::DeleteApplication(application) => {
                let filter = Filter::application(application);
                self.delete_services(&filter);
                return self.delete_workloads(filter, reply);
            }
            Request::DeleteService(key) => {
                let ServiceKey { application, namespace, name } = key;
                self.delete_services(&Filter {
                    application: Some(application),
                    namespace: Some(namespace),
                    name: Some(name),
                });
                Reply::Done
            }
            Request::Rollout(id) => self.rollout(&id),
            Request::Status(filter) | Request::Watch(filter) => Reply::Status(self.view(&filter)),
            Request::Restart(key) => self.change(&key, WorkloadRecord::restart),
            Request::Scale(key, replicas) => self.change(&key, |workload, now| {
                let wanted = Workload { replicas, ..workload.target_workload() };
                workload.apply(wanted, now)
            }),
            Request::Resume => self.resume(),
            Request::Replace => {
                self.leaving = true;
                Reply::Done
            }
        };
        // Saved before it is promised.
        self.save();
        let _ = reply.send(answer);
    }

    /// Tells those who wait for a deletion that nothing is left.
    pub(super) fn answer_deletions(&mut self) {
        let workloads = &self.record.workloads;
        let over = |filter: &Filter| {
            !workloads.iter().any(|workload| workload.deleting && workload.is_selected(filter))
        };
        let (done, waiting) =
            std::mem::take(&mut self.deletions).into_iter().partition(|(filter, _)| over(filter));
        self.deletions = waiting;
        let done: Vec<(Filter, oneshot::Sender<Reply>)> = done;
        for (_, reply) in done {
            let _ = reply.send(Reply::Done);
        }
    }

    fn apply_workload(&mut self, workload: Workload) -> Reply {
        if let Err(problem) = workload.validate() {
            return Reply::Refused(problem.to_string());
        }
        let now = self.clock.now();
        match self.record.workload(&workload.key) {
            Some(known) if known.deleting => {
                Reply::Refused(format!("{} is being deleted; apply it again when it is gone", workload.key))
            }
            Some(known) => Reply::Rollout(known.apply(workload, now)),
            None => {
                let record = WorkloadRecord::new(workload, now);
                let id = record.rollout.clone();
                self.record.workloads.push(record);
                self.record.workloads.sort_by(|left, right| left.wanted.key.cmp(&right.wanted.key));
                Reply::Rollout(id)
            }
        }
    }

    fn change(
        &mut self,
        key: &WorkloadKey,
        change: impl FnOnce(&mut WorkloadRecord, crate::moment::Moment) -> RolloutId,
    ) -> Reply {
        let now = self.clock.now();
        match self.record.workload(key) {
            Some(workload) if !workload.deleting => Reply::Rollout(change(workload, now)),
            _ => Reply::Refused(format!("there is no workload {key}")),
        }
    }

    fn rollout(&self, id: &RolloutId) -> Reply {
        let status = self.record.workloads.iter().find_map(|workload| workload.status_of(id));
        status.map_or_else(
            || Reply::Refused(format!("there is no rollout {id} (any more)")),
            Reply::RolloutStatus,
        )
    }

    fn resume(&mut self) -> Reply {
        let now = self.clock.now();
        for workload in self.record.workloads.iter_mut().filter(|workload| workload.stopped_by_reboot) {
            workload.resume(now);
        }
        Reply::Done
    }

    fn delete_workloads(&mut self, filter: Filter, reply: oneshot::Sender<Reply>) {
        for workload in self.record.workloads.iter_mut().filter(|workload| workload.is_selected(&filter)) {
            workload.deleting = true;
        }
        self.save();
        fail::fail_point!("workload.deletion.recorded");
        self.deletions.push((filter, reply));
    }

    fn delete_services(&mut self, filter: &Filter) {
        let doomed: Vec<ServiceKey> = self
            .record
            .services
            .iter()
            .map(|record| record.service.key.clone())
            .filter(|key| filter.takes(&key.application, &key.namespace, &key.name))
            .collect();
        for key in doomed {
            self.close_service(&key);
            self.record.services.retain(|record| record.service.key != key);
        }
    }

    fn service_status(&self, key: &ServiceKey) -> Reply {
        let filter = Filter {
            application: Some(key.application.clone()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
        };
        match self.view(&filter).services.pop() {
            Some(status) => Reply::Service(status),
            None => Reply::Refused(format!("service {key} was not taken")),
        }
    }
}
