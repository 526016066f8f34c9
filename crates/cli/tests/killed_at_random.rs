//! Any process may be killed at any moment: what serves goes on or is back soon, the next `up` ends healthy, and `delete`
//! leaves nothing. `MINATO_KILL_SEED` and `MINATO_KILL_ROUNDS` choose the moments; see `bench/kill`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says so and ends"
)]

#[path = "support/probe.rs"]
mod probe;
#[path = "support/random.rs"]
mod random;
#[path = "support/recovery.rs"]
mod recovery;
mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use probe::Probe;
use random::Random;
use recovery::{Victim, assert_service};
use support::application::{Application, Version};
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, present};
use support::traces::Process;

/// So many machines have their processes killed side by side.
const SIDE_BY_SIDE: u64 = 2;
/// An update takes about 1.5 s: a command must be killed before it has ended by itself, the others also later.
const LATEST_FOR_COMMAND: u64 = 1500;
const LATEST: u64 = 4000;
/// After so many rounds everything is deleted, and the machine must be as it was.
const ROUNDS_OF_ONE_LIFE: u64 = 10;
const VICTIMS: [Victim; 4] = [Victim::Command, Victim::Supervisor, Victim::Shim, Victim::Container];

#[test]
fn at_random_moments_the_next_up_ends_healthy() {
    let test = "at_random_moments_the_next_up_ends_healthy";
    if !present(test, &[Part::Root]) {
        return;
    }
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, rounds) = (number("MINATO_KILL_SEED", 1), number("MINATO_KILL_ROUNDS", 20));
    eprintln!("{test}: MINATO_KILL_SEED={seed} MINATO_KILL_ROUNDS={rounds}");
    let killed = thread::scope(|scope| {
        let machines = (0..SIDE_BY_SIDE).map(|number| {
            let rounds = rounds / SIDE_BY_SIDE + u64::from(number < rounds % SIDE_BY_SIDE);
            scope.spawn(move || live(number, rounds, Random(seed * SIDE_BY_SIDE + number)))
        });
        let machines: Vec<_> = machines.collect();
        machines.into_iter().flat_map(|machine| machine.join().unwrap()).collect::<Vec<_>>()
    });
    let count = |victim| killed.iter().filter(|killed| **killed == Some(victim)).count();
    let counts: BTreeMap<_, _> = VICTIMS.map(|victim| (format!("{victim:?}"), count(victim))).into();
    let failed = killed.iter().filter(|killed| killed.is_none()).count();
    eprintln!("{test}: {} rounds, {failed} failed; killed: {counts:?}", killed.len());
    assert_eq!(failed, 0);
}

/// So many rounds on one machine, in lives of some rounds each. `None` for a round that failed, which ends its life.
fn live(number: u64, rounds: u64, mut random: Random) -> Vec<Option<Victim>> {
    let mut killed = Vec::new();
    while (killed.len() as u64) < rounds {
        let left = (rounds - killed.len() as u64).min(ROUNDS_OF_ONE_LIFE);
        let done = catch_unwind(AssertUnwindSafe(|| {
            let (mut life, before) = (Life::begin(), killed.len() as u64);
            for round in before + 1..=before + left {
                killed.push(None);
                let victim = life.kill_one(&format!("{number}.{round}"), &mut random);
                *killed.last_mut().unwrap() = Some(victim);
            }
            life.end();
        }));
        if let (Err(_), Some(last)) = (done, killed.last_mut()) {
            *last = None;
        }
    }
    killed
}

/// An application from its first `up` to `delete`.
struct Life {
    machine: Machine,
    application: Application,
    address: String,
    newest: u64,
}

impl Life {
    fn begin() -> Life {
        let (machine, application) = (Machine::new(), Application::new(&version(0)));
        let address = machine.up(application.path());
        Life { machine, application, address, newest: 0 }
    }

    /// A new version is brought by `up`, and at some moment, then or later, one process is killed.
    fn kill_one(&mut self, round: &str, random: &mut Random) -> Victim {
        self.newest += 1;
        self.application.write(&version(self.newest));
        let victim = VICTIMS[random.below(VICTIMS.len() as u64) as usize];
        let latest = if victim == Victim::Command { LATEST_FOR_COMMAND } else { LATEST };
        let moment = Duration::from_millis(random.below(latest));
        let probe = Probe::on(&self.address);
        let (began, mut up) = (Instant::now(), self.start_up());
        thread::sleep(moment);
        let settled = !up.is_running();
        let standing = settled.then(|| self.standing());
        let run = if victim == Victim::Command {
            up.kill()
        } else {
            self.kill_a(victim, random);
            up.wait()
        };
        let code = run.code;
        let took = began.elapsed();

        let again = self.machine.up(self.application.path());
        let answers = probe.stop();
        eprintln!(
            "round {round}: {victim:?} after {moment:?}{}, `up` ended with {code} after {took:.1?}; {} of {} requests failed",
            if settled { " (settled)" } else { "" },
            answers.failures_since(0).len(),
            answers.count(),
        );
        assert_eq!(again, self.address, "round {round}: the same address");
        self.assert_newest_is_whole(round);
        assert_service(&self.machine, victim, &answers, &format!("round {round}"));
        if let (Some(before), Victim::Command | Victim::Supervisor) = (standing, victim) {
            assert_eq!(before, self.standing(), "round {round}: the same containers run");
        }
        victim
    }

    fn start_up(&self) -> support::machine::Running {
        self.machine.start(&[Path::new("up"), Path::new("--detach"), self.application.path()], &[])
    }

    fn kill_a(&self, victim: Victim, random: &mut Random) {
        let word = match victim {
            Victim::Supervisor => "__supervisor",
            Victim::Shim => "__container-shim",
            Victim::Container | Victim::Command => "(/application)",
        };
        loop {
            let now = self.machine.look();
            let found = now.named(word);
            if !found.is_empty() && kill(found[random.below(found.len() as u64) as usize]) {
                return;
            }
        }
    }

    /// The programs in the containers, once no old version is ending any more.
    fn standing(&self) -> Vec<Process> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let standing: Vec<_> = self.machine.look().named("(/application)").into_iter().cloned().collect();
            if standing.len() == version(0).replicas as usize {
                return standing;
            }
            assert!(Instant::now() < deadline, "{} containers run", standing.len());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every replica is of the newest version and ready.
    fn assert_newest_is_whole(&self, round: &str) {
        self.machine.minato(&["status"]).expect(0);
        let body = page(&self.address, "/");
        assert!(body.contains(&format!("version={} ", self.newest)), "round {round}: {body}");
    }

    fn end(self) {
        self.standing();
        self.machine.minato(&["delete", "--all"]).expect(0);
        self.machine.assert_nothing_is_left();
    }
}

fn version(number: u64) -> Version {
    Version::good(&number.to_string()).soaking_shortly()
}

/// Whether it was still there.
fn kill(process: &Process) -> bool {
    Command::new("kill").args(["-9", &process.id.to_string()]).output().unwrap().status.success()
}
