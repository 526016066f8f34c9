//! `minato exec APP -- COMMAND`: runs a command inside a running container.

use std::io;
use std::os::fd::AsFd;

use anyhow::anyhow;
use minato_runtime::{ContainerId, ExecSpec, ExecStdio, Runtime};
use minato_workload::{ContainerStatus, ReplicaStatus, Status};

use crate::application;
use crate::arguments::ExecArguments;
use crate::exit::Failure;
use crate::machine::Machine;

/// The command's exit code becomes ours.
pub async fn run(machine: &Machine, arguments: &ExecArguments) -> Result<(), Failure> {
    let filter = application::filter(machine, Some(&arguments.application)).await?;
    let supervisor =
        machine.running_supervisor().await?.ok_or_else(|| anyhow!("nothing runs on this machine"))?;
    let status = supervisor.status(&filter).await?;
    let container = choose(&status, arguments)?;
    let id: ContainerId = container.runtime_id.parse()?;
    let containers = machine.containers()?;
    let command = arguments.command.clone();
    // Waiting for the program blocks; it must not hold up the threads of the asynchronous part.
    let code = tokio::task::spawn_blocking(move || execute(&containers, &id, command)).await??;
    if code == 0 { Ok(()) } else { Err(Failure::Program(code)) }
}

fn execute(containers: &Runtime, id: &ContainerId, command: Vec<String>) -> anyhow::Result<i32> {
    let shim =
        containers.adopt(id)?.ok_or_else(|| anyhow!("the container has just ended; see `minato status`"))?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let stdio = ExecStdio { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd() };
    Ok(shim.exec(&ExecSpec::new(command), &stdio)?.wait()?.code())
}

fn choose<'a>(status: &'a Status, arguments: &ExecArguments) -> anyhow::Result<&'a ContainerStatus> {
    let replicas: Vec<&ReplicaStatus> =
        status.workloads.iter().flat_map(|workload| &workload.replicas).collect();
    let replica = match &arguments.replica {
        Some(id) => replicas.iter().find(|replica| replica.id == *id),
        None => replicas.iter().find(|replica| replica.ready).or_else(|| replicas.first()),
    };
    let replica = replica.ok_or_else(|| {
        no_such("replica", arguments.replica.as_deref(), replicas.iter().map(|one| one.id.as_str()))
    })?;
    let main = replica.containers.iter().filter(|container| container.is_running());
    let mut named =
        main.filter(|container| arguments.container.as_ref().is_none_or(|name| container.name == *name));
    named.next().ok_or_else(|| {
        no_such(
            "running container",
            arguments.container.as_deref(),
            replica.containers.iter().map(|one| one.name.as_str()),
        )
    })
}

fn no_such<'a>(what: &str, wanted: Option<&str>, there: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let there = there.collect::<Vec<_>>().join(", ");
    let there = if there.is_empty() { "there is none".to_owned() } else { format!("there are: {there}") };
    match wanted {
        Some(name) => anyhow!("no {what} {name}; {there}"),
        None => anyhow!("no {what}; {there}"),
    }
}
