//! A build, a push or a collection of garbage may be killed at any moment: what is kept stays whole, and the same command
//! again goes on and ends as if nothing had been. `MINATO_KILL_SEED` and `MINATO_KILL_ROUNDS` choose the moments.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/random.rs"]
mod random;
#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use random::Random;
use registry::Registry;
use support::machine::Machine;
use support::parts::{Part, busybox, present};

const DOCKERFILE: &str = "FROM scratch AS tool\nCOPY busybox /bin/\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n\
    FROM tool AS sums\nCOPY files /files\nRUN cd /files && for f in *; do busybox sha256sum $f; done >/sums\n\
    FROM tool\nCOPY --from=sums /sums /sums\nCOPY . /all\n";
const FILES: u64 = 60;
const FILE: usize = 40_000;

#[test]
fn a_build_or_push_that_was_killed_goes_on() {
    let test = "a_build_or_push_that_was_killed_goes_on";
    if !present(test, &[Part::Root, Part::Command("busybox"), Part::Command("docker-registry")]) {
        return;
    }
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, rounds) = (number("MINATO_KILL_SEED", 1), number("MINATO_KILL_ROUNDS", 8));
    eprintln!("{test}: MINATO_KILL_SEED={seed} MINATO_KILL_ROUNDS={rounds}");
    let mut bench = Bench::new(Random(seed));
    let mut killed = 0;
    for round in 0..rounds {
        bench.change(round);
        killed += u64::from(bench.kill(&format!("the build of round {round}"), Bench::build));
        killed += u64::from(bench.kill(&format!("the push of round {round}"), Bench::push));
        killed += u64::from(bench.kill(&format!("the collection of round {round}"), Bench::collect));
    }
    eprintln!("{test}: {killed} of {} commands were killed before they ended", rounds * 3);
    assert!(killed >= rounds, "most commands ended before they were killed");
    bench.pull();
    bench.machine.assert_nothing_is_left();
}

/// A context, the machine whose commands are killed, and one where nobody is.
struct Bench {
    machine: Machine,
    calm: Machine,
    registry: Registry,
    _storage: tempfile::TempDir,
    context: PathBuf,
    random: Random,
}

/// Whose command: each machine has its own name in the registry, or the second would have nothing to send.
#[derive(Clone, Copy)]
enum Whose {
    Killed,
    Calm,
}

impl Bench {
    fn new(random: Random) -> Bench {
        let (machine, storage) = (Machine::new(), tempfile::tempdir().unwrap());
        let context = machine.folder().join("context");
        fs::create_dir_all(context.join("files")).unwrap();
        fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
        fs::copy(busybox(), context.join("busybox")).unwrap();
        let registry = Registry::serve(storage.path());
        let calm = Machine::new();
        let mut bench = Bench { machine, calm, registry, _storage: storage, context, random };
        (0..FILES).for_each(|file| bench.write(file));
        bench
    }

    /// Another version: some files change.
    fn change(&mut self, round: u64) {
        (0..FILES / 10).for_each(|_| {
            let file = self.random.below(FILES);
            self.write(file);
        });
        fs::write(self.context.join("files/version"), round.to_string()).unwrap();
    }

    /// Content that does not compress, so that there is something to send.
    fn write(&mut self, file: u64) {
        let bytes: Vec<u8> = (0..FILE).map(|_| self.random.below(256) as u8).collect();
        fs::write(self.context.join(format!("files/{file}")), bytes).unwrap();
    }

    /// Kills the command at a random moment and runs it again: it ends well, and what is here is what a machine has
    /// where nothing was killed. True when the command had not ended by itself.
    fn kill(&mut self, what: &str, command: fn(&Bench, Whose) -> Vec<String>) -> bool {
        let began = Instant::now();
        self.calm.minato(&command(self, Whose::Calm)).expect(0);
        let usual = began.elapsed().as_millis() as u64;
        let after = Duration::from_millis(self.random.below(usual.max(1)));
        let mut running = self.machine.start(&command(self, Whose::Killed), &[]);
        thread::sleep(after);
        let was_running = running.is_running();
        running.kill();
        eprintln!(
            "{what}: killed after {after:?} of {usual} ms{}",
            if was_running { "" } else { " (had ended)" }
        );
        self.machine.look();
        self.machine.minato(&command(self, Whose::Killed)).expect(0);
        let here = self.machine.minato(&self.build(Whose::Killed));
        let calm = self.calm.minato(&self.build(Whose::Calm));
        assert_eq!(here.expect(0).stdout, calm.expect(0).stdout, "{what}: another image");
        was_running
    }

    fn build(&self, whose: Whose) -> Vec<String> {
        self.arguments(&["build", "--tag", &self.image(whose), &self.context.to_string_lossy()])
    }

    fn push(&self, whose: Whose) -> Vec<String> {
        self.arguments(&["push", &self.image(whose)])
    }

    /// A build that lets go of nearly all that the next one would need.
    fn collect(&self, whose: Whose) -> Vec<String> {
        let mut arguments = self.build(whose);
        arguments.extend(["--store-limit", "3MB"].map(str::to_owned));
        arguments
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    }

    fn image(&self, whose: Whose) -> String {
        let name = match whose {
            Whose::Killed => "killed",
            Whose::Calm => "calm",
        };
        format!("{}/{name}:1", self.registry.host())
    }

    /// What was pushed in the end is whole.
    fn pull(&self) {
        let fresh = Machine::new();
        let folder = fresh.folder().join("from");
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("Dockerfile"),
            format!("FROM {}\nLABEL pulled=yes\n", self.image(Whose::Killed)),
        )
        .unwrap();
        fresh.minato(&["build".as_ref(), folder.as_os_str()]).expect(0);
    }
}
