//! `minato status`: what stands, whether it is what was asked for, and whether it is healthy; the same on every engine.

use minato_resource::ResourceKey;
use minato_sync::{ApplicationRecord, Health, ObjectState, ObjectStatus, Silent, Tempo};
use minato_workload::{Filter, PublishedPort, RolloutStatus, ServiceStatus, WorkloadStatus};
use serde::Serialize;

use super::live;
use crate::adapter::secrets_of_record;
use crate::application;
use crate::arguments::StatusArguments;
use crate::engine::Engine;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::{self, Printer, Table};

/// Prints the state; exit code 1 when something is not healthy, 2 when an engine can't be asked.
pub async fn run(machine: &Machine, printer: &Printer, arguments: &StatusArguments) -> Result<(), Failure> {
    let records = application::all_or_meant(machine, &arguments.application).await?;
    let mut rows = Vec::new();
    let mut unanswered = None;
    for record in &records {
        match row(machine, record).await {
            Ok(row) => rows.push(row),
            // One engine that can't be reached must not hide how the others are.
            Err(failure) => {
                if let Some(earlier) = unanswered.replace(failure) {
                    print::failure(printer, &earlier);
                }
            }
        }
    }
    print::data(arguments.output.output, &rows, || table(&rows))?;
    match unanswered {
        Some(failure) => Err(failure),
        None if rows.iter().all(|row| row.healthy) => Ok(()),
        None => Err(Failure::No),
    }
}

/// One Application, as `-o json` shows it.
#[derive(Serialize)]
struct Row {
    application: String,
    destination: String,
    /// The revision that stands; `null` before the first is out.
    revision: Option<String>,
    sync: &'static str,
    health: Health,
    healthy: bool,
    objects: Vec<ObjectRow>,
    /// Replicas, where they run on this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    workloads: Vec<WorkloadStatus>,
    /// Addresses, where they run on this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    services: Vec<ServiceStatus>,
}

/// One Object of it.
#[derive(Serialize)]
struct ObjectRow {
    key: ResourceKey,
    sync: &'static str,
    health: Health,
    /// Ready and wanted replicas, where they run on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<String>,
    /// What it waits for, why it is not healthy, or where it is reached.
    message: Option<String>,
}

async fn row(machine: &Machine, record: &ApplicationRecord) -> Result<Row, Failure> {
    let application = application::parsed(record)?;
    let engine = Engine::of(machine, &application, secrets_of_record(record)?, &[]).await?;
    let status = minato_sync::status(&engine.seams(&Silent, Tempo::default()), &application).await?;
    let mut row = Row {
        application: record.name.to_string(),
        destination: application.destination.to_string(),
        revision: status.revision.map(|revision| revision.content.revision),
        sync: if status.synced { "Synced" } else { "OutOfSync" },
        health: Health::Healthy,
        healthy: false,
        objects: status.objects.into_iter().map(object_row).collect(),
        workloads: Vec::new(),
        services: Vec::new(),
    };
    if engine.runs_images_here() {
        add_replicas(machine, &mut row).await?;
    }
    let under_way = status.operation.is_some_and(|operation| !operation.phase.is_finished());
    let least = if under_way { Health::Progressing } else { Health::Healthy };
    row.health = Health::roll_up(row.objects.iter().map(|object| object.health).chain([least]));
    row.healthy = matches!(row.health, Health::Healthy | Health::Suspended);
    Ok(row)
}

fn object_row(status: ObjectStatus) -> ObjectRow {
    let sync = match status.state {
        ObjectState::Synced => "Synced",
        ObjectState::OutOfSync { .. } => "OutOfSync",
        ObjectState::Missing => "Missing",
        ObjectState::Extra => "Extra",
    };
    ObjectRow { key: status.key, sync, health: status.health, ready: None, message: status.message }
}

/// What the supervisor knows beyond the last change: replicas that died since, and addresses.
async fn add_replicas(machine: &Machine, row: &mut Row) -> Result<(), Failure> {
    let Some(supervisor) = machine.running_supervisor().await? else { return Ok(()) };
    let mut status = supervisor.status(&Filter::application(row.application.clone())).await?;
    for workload in &mut status.workloads {
        let key = minato_local::take_object(&mut workload.annotations);
        if let Some(object) = object_of(row, key) {
            add_workload(object, workload);
        }
    }
    for service in &mut status.services {
        let key = minato_local::take_object(&mut service.annotations);
        if let Some(object) = object_of(row, key) {
            let addresses: Vec<String> = service.published.iter().map(PublishedPort::address).collect();
            object.message =
                object.message.take().or(Some(addresses.join(" "))).filter(|text| !text.is_empty());
        }
    }
    row.workloads = status.workloads;
    row.services = status.services;
    Ok(())
}

fn object_of(row: &mut Row, key: Option<ResourceKey>) -> Option<&mut ObjectRow> {
    let key = key?;
    row.objects.iter_mut().find(|object| object.key == key)
}

fn add_workload(object: &mut ObjectRow, workload: &WorkloadStatus) {
    object.ready = Some(format!("{}/{}", workload.ready, workload.desired));
    if workload.stopped_by_reboot {
        object.health = Health::Degraded;
        object.message = Some("stopped by reboot".to_owned());
    } else if workload.rollout_status == RolloutStatus::Healthy && !live::is_healthy(workload) {
        object.health = Health::Degraded;
        object.message = Some(live::trouble(workload));
    }
    let restarts: u32 = workload.replicas.iter().map(|replica| replica.restarts).sum();
    if restarts > 0 && object.message.is_none() {
        object.message = Some(format!("{restarts} restart{}", if restarts == 1 { "" } else { "s" }));
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["APPLICATION", "OBJECT", "SYNC", "HEALTH", "READY", "MESSAGE"]);
    for row in rows {
        if row.objects.is_empty() {
            let cell = || "-".to_owned();
            table.row([
                row.application.clone(),
                cell(),
                row.sync.to_owned(),
                row.health.to_string(),
                cell(),
                cell(),
            ]);
        }
        for object in &row.objects {
            table.row([
                row.application.clone(),
                object.key.to_string(),
                object.sync.to_owned(),
                object.health.to_string(),
                object.ready.clone().unwrap_or_else(|| "-".to_owned()),
                object.message.clone().unwrap_or_default(),
            ]);
        }
    }
    table
}
