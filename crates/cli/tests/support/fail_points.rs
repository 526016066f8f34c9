//! The named points at which a process of Minato can be told to die; see `src/fail_points.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::support::machine::Machine;
use super::support::parts::repository;

/// The names in `fail_point!("…")` of every crate's sources.
pub fn fail_points() -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    let crates = fs::read_dir(repository().join("crates")).unwrap();
    let mut folders: Vec<_> = crates.flatten().map(|entry| entry.path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                points.extend(points_in(&fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    points
}

fn points_in(source: &str) -> Vec<String> {
    let calls = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let calls = calls.filter_map(|line| line.split_once("fail_point!(\"")?.1.split_once('"'));
    calls.map(|(name, _)| name.to_owned()).filter(|name| name.contains('.')).collect()
}

/// Tells the processes of one machine where to die.
pub struct Order {
    file: PathBuf,
}

impl Order {
    /// A machine whose processes obey.
    pub fn on(machine: Machine) -> (Machine, Order) {
        let file = machine.folder().join("order");
        let points = Vec::from_iter(fail_points()).join(",");
        let variables = [("MINATO_KILL_POINTS", &*points), ("MINATO_KILL_ORDER", file.to_str().unwrap())];
        (machine.with_environment(&variables), Order { file })
    }

    /// The next process that comes to the point dies.
    pub fn give(&self, point: &str) {
        let unfinished = self.file.with_extension("unfinished");
        fs::write(&unfinished, point).unwrap();
        fs::rename(unfinished, &self.file).unwrap();
    }

    /// What the process was that died: the first argument of its command line.
    pub fn victim(&self) -> Option<String> {
        let taken = fs::read_to_string(self.file.with_extension("taken")).ok();
        taken.filter(|_| !self.file.exists())
    }

    pub fn await_victim(&self, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        while self.victim().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.victim()
    }
}
