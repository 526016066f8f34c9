//! `minato logs`: what the containers wrote, oldest first, each line with the replica it came from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minato_workload::{Filter, KeptLogs, Status, Supervisor, kept_logs};

use crate::application;
use crate::arguments::LogsArguments;
use crate::exit::Failure;
use crate::log_files::{Entry, LogFiles};
use crate::machine::Machine;
use crate::print::{self, Printer, style, styled};

/// How often the files are looked at with `--follow`.
const LOOK: Duration = Duration::from_millis(150);

pub async fn run(machine: &Machine, printer: &Printer, arguments: &LogsArguments) -> Result<(), Failure> {
    let record = application::choose(machine, arguments.application.application.as_deref()).await?;
    let filter = Filter::application(record.name.as_str());
    let supervisor = machine.running_supervisor().await?;
    let mut logs = Logs::default();
    if let Some(supervisor) = &supervisor {
        logs.add(&supervisor.status(&filter).await?, arguments.container.as_deref());
    }
    if arguments.previous {
        logs.add_gone(&kept_logs(machine.data(), record.name.as_str())?, arguments.container.as_deref());
    }
    logs.print(arguments.tail)?;
    match supervisor {
        Some(supervisor) if arguments.follow => follow(&supervisor, &filter, &mut logs, arguments).await,
        None if arguments.follow => {
            printer.warning("nothing runs; there is nothing to follow");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Prints what comes until Ctrl-C, which is how a follower ends and no failure.
async fn follow(
    supervisor: &Supervisor,
    filter: &Filter,
    logs: &mut Logs,
    arguments: &LogsArguments,
) -> Result<(), Failure> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        logs.add(&supervisor.status(filter).await?, arguments.container.as_deref());
        logs.print(None)?;
    }
}

/// The files of every container, by their folder.
#[derive(Default)]
struct Logs {
    containers: BTreeMap<PathBuf, (String, LogFiles)>,
}

impl Logs {
    fn add(&mut self, status: &Status, only: Option<&str>) {
        for replica in status.workloads.iter().flat_map(|workload| &workload.replicas) {
            for container in replica.containers.iter().filter(|one| only.is_none_or(|name| name == one.name))
            {
                self.add_folder(&container.logs, format!("{}/{}", replica.id, container.name));
            }
        }
    }

    fn add_gone(&mut self, kept: &[KeptLogs], only: Option<&str>) {
        for logs in kept.iter().filter(|logs| only.is_none_or(|name| name == logs.container)) {
            self.add_folder(&logs.folder, format!("{}/{}", logs.replica, logs.container));
        }
    }

    fn add_folder(&mut self, folder: &Path, label: String) {
        self.containers.entry(folder.to_owned()).or_insert_with(|| (label, LogFiles::new(folder)));
    }

    /// What is new, in the order of time over all containers; of each at most `tail` lines.
    fn print(&mut self, tail: Option<usize>) -> Result<(), Failure> {
        let mut lines: Vec<(Entry, &str)> = Vec::new();
        for (label, files) in self.containers.values_mut() {
            let entries = files.look()?;
            let skipped = tail.map_or(0, |tail| entries.len().saturating_sub(tail));
            lines.extend(entries.into_iter().skip(skipped).map(|entry| (entry, label.as_str())));
        }
        // Stable: lines of one container that have the same time stay in their order.
        lines.sort_by(|(one, _), (other, _)| one.time.cmp(&other.time));
        let mut text = String::new();
        for (entry, label) in lines {
            let _ = writeln!(text, "{} {}", styled(style::FAINT, format_args!("{label} |")), entry.text);
        }
        print::to_stdout(&text)
    }
}
