//! The live view of `up`: the replicas of this machine as they come and go.

use minato_workload::{
    ContainerState, Filter, PublishedPort, ReplicaPhase, ReplicaStatus, RolloutStatus, Status, WorkloadStatus,
};

use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{Printer, Table};

/// Shows the state on a terminal until Ctrl-C, which stops no container.
pub async fn run(machine: &Machine, printer: &Printer, filter: &Filter) -> Result<(), Failure> {
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
pub fn is_healthy(workload: &WorkloadStatus) -> bool {
    !workload.stopped_by_reboot
        && match workload.rollout_status {
            RolloutStatus::Healthy => workload.ready >= workload.desired || workload.desired == 0,
            RolloutStatus::Progressing { .. } | RolloutStatus::Failed { .. } | RolloutStatus::Superseded => {
                false
            }
        }
}

fn table(status: &Status) -> Table {
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
pub fn trouble(workload: &WorkloadStatus) -> String {
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
