//! `minato status`: what runs, and whether it is healthy.

use std::collections::BTreeSet;

use minato_workload::{
    ContainerState, Filter, PublishedPort, ReplicaPhase, ReplicaStatus, RolloutStatus, ServiceStatus, Status,
    WorkloadStatus,
};
use serde::Serialize;

use crate::application;
use crate::arguments::StatusArguments;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, Table};

/// Prints the state; exit code 1 when something is not healthy.
pub async fn run(machine: &Machine, arguments: &StatusArguments) -> Result<(), Failure> {
    let filter = application::filter(machine, arguments.application.application.as_deref()).await?;
    let status = match machine.running_supervisor().await? {
        Some(supervisor) => supervisor.status(&filter).await?,
        None => Status::default(),
    };
    print::data(arguments.output.output, &rows(&status), || table(&status))?;
    if status.workloads.iter().all(is_healthy) { Ok(()) } else { Err(Failure::No) }
}

/// One Application, as `-o json` shows it.
#[derive(Serialize)]
struct Row<'a> {
    application: &'a str,
    healthy: bool,
    workloads: Vec<&'a WorkloadStatus>,
    services: Vec<&'a ServiceStatus>,
}

fn rows(status: &Status) -> Vec<Row<'_>> {
    let of_workloads = status.workloads.iter().map(|workload| workload.key.application.as_str());
    let of_services = status.services.iter().map(|service| service.key.application.as_str());
    let names: BTreeSet<&str> = of_workloads.chain(of_services).collect();
    let row = |application| {
        let workloads = status.workloads.iter().filter(|workload| workload.key.application == application);
        let workloads: Vec<_> = workloads.collect();
        let services = status.services.iter().filter(|service| service.key.application == application);
        Row {
            application,
            healthy: workloads.iter().all(|one| is_healthy(one)),
            workloads,
            services: services.collect(),
        }
    };
    names.into_iter().map(row).collect()
}

/// Shows the state on a terminal until Ctrl-C, which stops no container.
pub async fn live(machine: &Machine, printer: &Printer, filter: &Filter) -> Result<(), Failure> {
    let supervisor = machine.supervisor().await?;
    let mut states = supervisor.watch(filter).await?;
    let screen = printer.step("");
    let mut changes = std::pin::pin!(async {
        while let Some(status) = states.next().await? {
            screen.show(&table(&status).to_string());
        }
        Ok::<(), minato_workload::SupervisorError>(())
    });
    tokio::select! {
        ended = &mut changes => Ok(ended?),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Whether everything that should run does, whatever became of the last change.
fn is_healthy(workload: &WorkloadStatus) -> bool {
    !workload.stopped_by_reboot
        && match workload.rollout_status {
            RolloutStatus::Healthy => workload.ready >= workload.desired || workload.desired == 0,
            RolloutStatus::Progressing { .. } | RolloutStatus::Failed { .. } | RolloutStatus::Superseded => {
                false
            }
        }
}

pub fn table(status: &Status) -> Table {
    let mut table = Table::new(["APPLICATION", "WORKLOAD", "READY", "STATE", "RESTARTS", "AT"]);
    for workload in &status.workloads {
        let restarts: u32 = workload.replicas.iter().map(|replica| replica.restarts).sum();
        table.row([
            workload.key.application.clone(),
            workload.key.name.clone(),
            format!("{}/{}", workload.ready, workload.desired),
            state(workload),
            restarts.to_string(),
            addresses(status, workload),
        ]);
    }
    table
}

fn state(workload: &WorkloadStatus) -> String {
    if workload.stopped_by_reboot {
        return "stopped by reboot".to_owned();
    }
    match &workload.rollout_status {
        RolloutStatus::Healthy if is_healthy(workload) => "healthy".to_owned(),
        RolloutStatus::Healthy => format!("degraded: {}", trouble(workload)),
        RolloutStatus::Progressing { message } => message.clone(),
        RolloutStatus::Failed { cause } => format!("failed: {}", cause.summary),
        RolloutStatus::Superseded => "superseded".to_owned(),
    }
}

/// What the first replica that is not ready does instead.
fn trouble(workload: &WorkloadStatus) -> String {
    let unready =
        workload.replicas.iter().filter(|replica| !replica.ready && replica.phase != ReplicaPhase::Stopping);
    unready.map(replica_trouble).next().unwrap_or_else(|| "a replica is missing".to_owned())
}

fn replica_trouble(replica: &ReplicaStatus) -> String {
    let waiting = replica.containers.iter().find_map(|container| match &container.state {
        ContainerState::Waiting { reason } => Some(format!("{}: {reason}", container.name)),
        ContainerState::Exited(exit) => Some(format!("{} {exit}", container.name)),
        ContainerState::Running { .. } => None,
    });
    waiting.unwrap_or_else(|| "a replica is not ready".to_owned())
}

/// The addresses of the Services that the workload's Application publishes.
fn addresses(status: &Status, workload: &WorkloadStatus) -> String {
    let of_application =
        status.services.iter().filter(|service| service.key.application == workload.key.application);
    let ports = of_application.flat_map(|service| &service.published);
    ports.map(PublishedPort::address).collect::<Vec<_>>().join(" ")
}
