//! Any process may be killed at any time: the container is found again, judged rightly, or removed without a trace.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::process::{Command, Stdio};

use minato_runtime::{
    ContainerSpec, Engine, ExitOutcome, Identity, Network, OwnNetwork, Runtime, Signal, State, Uplink,
};
use support::{Bench, Missing, eventually, exec, exit_of, need_program, nothing_is_left, output, run, shell};

fn main() {
    arm();
    // The caller that is killed: another process of this program.
    match std::env::args().nth(1).as_deref() {
        Some("start-and-wait") => return start_and_wait(),
        Some("whole-life") => return whole_life(),
        _ => {}
    }
    run(&[
        ("a_killed_container_is_known_to_be_killed", a_killed_container_is_known_to_be_killed),
        (
            "a_killed_shim_leaves_a_container_that_can_be_removed",
            a_killed_shim_leaves_a_container_that_can_be_removed,
        ),
        ("a_killed_caller_takes_nothing_along", a_killed_caller_takes_nothing_along),
        ("a_tied_container_ends_with_its_owner", a_tied_container_ends_with_its_owner),
        ("another_process_adopts", another_process_adopts),
        ("an_ended_container_waits_for_its_adopter", an_ended_container_waits_for_its_adopter),
        ("killed_at_any_point_it_is_removed_without_a_trace", || killed_at_any_point(Engine::Embedded)),
        ("killed_at_any_point_with_crun", || killed_at_any_point(Engine::Command(need_program("crun")?))),
        ("two_hundred_starts_leave_nothing", two_hundred_starts_leave_nothing),
    ]);
}

fn a_killed_container_is_known_to_be_killed() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let shim = bench.runtime.start(&bench.shell("sleep 100")).unwrap();
        let State::Running { pid, .. } = shim.state().unwrap() else { panic!("it does not run") };
        Identity::of(pid).unwrap().kill(Signal::KILL);
        assert_eq!(exit_of(&shim).outcome, ExitOutcome::Signal(9));
        assert!(exit_of(&shim).at <= std::time::SystemTime::now());
        shim.release().unwrap();
    }
    nothing_is_left();
    Ok(())
}

fn a_killed_shim_leaves_a_container_that_can_be_removed() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let spec = bench.shell("while :; do sleep 0.01; done");
        let shim = bench.runtime.start(&spec).unwrap();
        let State::Running { pid, .. } = shim.state().unwrap() else { panic!("it does not run") };
        let container = Identity::of(pid).unwrap();
        let watch = shim.exit_fd().unwrap();
        shim.identity().kill(Signal::KILL);
        eventually("the shim is gone", || !shim.identity().is_alive());
        assert!(shim.signal(Signal::TERM).is_err());
        assert!(
            matches!(shim.state().unwrap(), State::Running { .. }),
            "the container lives on without its shim"
        );
        let mut byte = [0];
        assert!(!matches!(rustix::io::read(&watch, &mut byte), Ok(1..)), "who watched is told");
        assert!(bench.runtime.adopt(&spec.id).unwrap().is_none(), "there is nobody to adopt");
        let found = bench.runtime.list().unwrap();
        assert!(!found[0].shim_alive && matches!(found[0].state, State::Running { .. }));
        bench.runtime.remove(&spec.id).unwrap();
        assert!(!container.is_alive());
        assert!(bench.runtime.list().unwrap().is_empty());
    }
    nothing_is_left();
    Ok(())
}

fn a_killed_caller_takes_nothing_along() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let spec = bench.shell("echo one; while :; do sleep 0.01; done");
        let mut caller = Command::new("/proc/self/exe");
        caller.arg("start-and-wait").arg(bench.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut caller = caller.spawn().unwrap();
        serde_json::to_writer(caller.stdin.take().unwrap(), &spec).unwrap();
        eventually("it is started", || output(&spec) == "one\n");
        caller.kill().unwrap();
        caller.wait().unwrap();
        let shim = bench.runtime.adopt(&spec.id).unwrap().unwrap();
        assert!(matches!(shim.state().unwrap(), State::Running { .. }));
        shim.signal(Signal::KILL).unwrap();
        exit_of(&shim);
        shim.release().unwrap();
    }
    nothing_is_left();
    Ok(())
}

fn a_tied_container_ends_with_its_owner() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let mut owner = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut spec = bench.shell("while :; do sleep 0.01; done");
        spec.tied_to = Some(Identity::of(owner.id()).unwrap());
        bench.runtime.start(&spec).unwrap();
        owner.kill().unwrap();
        owner.wait().unwrap();
        eventually("it is gone", || bench.runtime.list().unwrap().is_empty());
        let late = ContainerSpec { id: bench.shell("").id, ..spec };
        bench.runtime.start(&late).unwrap();
        eventually("it is gone at once", || bench.runtime.list().unwrap().is_empty());
    }
    nothing_is_left();
    Ok(())
}

fn start_and_wait() {
    minato_runtime::reexec();
    let run_dir = std::env::args().nth(2).unwrap();
    let runtime = Runtime::new(run_dir.as_ref(), Engine::Embedded).unwrap();
    let spec = serde_json::from_reader(std::io::stdin()).unwrap();
    runtime.start(&spec).unwrap().wait().unwrap();
}

const POINTS: &[&str] = &[
    "runtime.start.folder-made",
    "runtime.shim.recorded",
    "runtime.shim.network-made",
    "runtime.shim.cgroup-made",
    "runtime.shim.prepared",
    "runtime.shim.created",
    "runtime.shim.started",
    "runtime.shim.exit-recorded",
    "runtime.shim.unmounted",
    "runtime.shim.cgroup-removed",
    "runtime.remove.killed",
    "runtime.remove.cgroup-removed",
];

/// `MINATO_KILL_AT=POINT`, `MINATO_KILL_MARK=FILE`: the first process that comes to the point makes the file and dies.
fn arm() {
    let (Ok(point), Some(mark)) = (std::env::var("MINATO_KILL_AT"), std::env::var_os("MINATO_KILL_MARK"))
    else {
        return;
    };
    let die = move || {
        if std::fs::File::create_new(&mark).is_ok() {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    };
    fail::cfg_callback(point, die).unwrap();
}

fn killed_at_any_point(engine: Engine) -> Result<(), Missing> {
    if !fail::has_failpoints() {
        return Err(Missing("built without the feature failpoints".to_owned()));
    }
    let engine_name = match &engine {
        Engine::Embedded => "embedded".to_owned(),
        Engine::Command(path) => path.display().to_string(),
    };
    for point in POINTS {
        let bench = Bench::with(engine.clone())?;
        let bridge = format!("mk{}", std::process::id());
        let uplink = Uplink { bridge: bridge.clone(), gateway: [10, 214, 0, 1].into(), prefix: 24 };
        let network = Network::Own(OwnNetwork { address: [10, 214, 0, 2].into(), uplink: Some(uplink) });
        let spec = ContainerSpec { network, ..bench.shell("echo x") };
        let mark = bench.path().join("mark");
        let mut caller = Command::new("/proc/self/exe");
        caller
            .arg("whole-life")
            .arg(bench.path())
            .arg(&engine_name)
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        caller.env("MINATO_KILL_AT", point).env("MINATO_KILL_MARK", &mark);
        let mut caller = caller.spawn().unwrap();
        serde_json::to_writer(caller.stdin.take().unwrap(), &spec).unwrap();
        caller.wait().unwrap();
        assert!(mark.exists(), "nobody came to {point}");
        bench.runtime.remove(&spec.id).unwrap();
        nothing_is_left();
        assert!(
            !std::path::Path::new("/sys/class/net").join(&bridge).exists(),
            "{point}: the bridge is left"
        );
        let again = bench.runtime.start(&spec).unwrap_or_else(|error| panic!("{point}: {error}"));
        exit_of(&again);
        again.release().unwrap();
        println!("  {point}: removed without a trace, started again");
    }
    nothing_is_left();
    Ok(())
}

/// Starts, waits, releases; then the same ended by force.
fn whole_life() {
    minato_runtime::reexec();
    let engine = match std::env::args().nth(3).unwrap().as_str() {
        "embedded" => Engine::Embedded,
        path => Engine::Command(path.into()),
    };
    let runtime = Runtime::new(std::env::args().nth(2).unwrap().as_ref(), engine).unwrap();
    let spec: ContainerSpec = serde_json::from_reader(std::io::stdin()).unwrap();
    let shim = runtime.start(&spec).unwrap();
    shim.wait().unwrap();
    shim.release().unwrap();
    runtime.start(&spec).unwrap();
    runtime.remove(&spec.id).unwrap();
}

fn another_process_adopts() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = bench.shell("while :; do sleep 0.01; done");
    let started = bench.runtime.start(&spec).unwrap();
    let later = Runtime::new(bench.path(), Engine::Embedded).unwrap();
    let adopted = later.adopt(&spec.id).unwrap().unwrap();
    assert_eq!(adopted.identity(), started.identity());
    assert_eq!(exec(&adopted, &shell("echo hello")).1, "hello\n");
    adopted.signal(Signal::KILL).unwrap();
    assert_eq!(exit_of(&started).outcome, ExitOutcome::Signal(9));
    adopted.release().unwrap();
    assert_eq!(started.state().unwrap(), State::Lost, "nothing is known of what was released");
    Ok(())
}

fn an_ended_container_waits_for_its_adopter() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = bench.shell("echo bye; exit 5");
    exit_of(&bench.runtime.start(&spec).unwrap());
    let adopted = bench.runtime.adopt(&spec.id).unwrap().unwrap();
    assert_eq!(exit_of(&adopted).outcome, ExitOutcome::Code(5));
    assert!(adopted.sockets(1).is_ok(), "its network is still there");
    adopted.release().unwrap();
    Ok(())
}

fn two_hundred_starts_leave_nothing() -> Result<(), Missing> {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let open_before = descriptors();
    {
        let bench = Bench::new()?;
        for _ in 0..200 {
            let (exit, text) = bench.run(&bench.shell("echo x"));
            assert_eq!((exit.outcome, text.as_str()), (ExitOutcome::Code(0), "x\n"));
        }
    }
    assert_eq!(descriptors(), open_before);
    nothing_is_left();
    Ok(())
}
