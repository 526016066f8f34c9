//! A container's life: start, output, signal, exit, release.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use minato_runtime::{ExitOutcome, Signal, State, Stream};
use support::{Bench, Missing, exit_of, nothing_is_left, run, stream_output};

fn main() {
    run(&[
        ("output_and_exit_code_are_kept", output_and_exit_code_are_kept),
        ("a_signal_ends_it", a_signal_ends_it),
        ("nothing_is_left_after_release", nothing_is_left_after_release),
    ]);
}

fn output_and_exit_code_are_kept() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = bench.shell("echo out; echo err >&2; exit 7");
    let (exit, _) = bench.run(&spec);
    assert_eq!(exit.outcome, ExitOutcome::Code(7));
    assert!(!exit.oom_killed);
    assert_eq!(stream_output(&spec, &[Stream::Stdout]), "out\n");
    assert_eq!(stream_output(&spec, &[Stream::Stderr]), "err\n");
    Ok(())
}

fn a_signal_ends_it() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = bench.shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    let shim = bench.runtime.start(&spec).unwrap();
    let State::Running { pid, .. } = shim.state().unwrap() else { panic!("it does not run") };
    assert!(pid > 1);
    support::eventually("the trap is set", || support::output(&spec) == "ready\n");
    shim.signal(Signal::TERM).unwrap();
    assert_eq!(exit_of(&shim).outcome, ExitOutcome::Code(3));
    assert!(shim.signal(Signal::KILL).is_err(), "it has ended already");
    shim.release().unwrap();
    Ok(())
}

fn nothing_is_left_after_release() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = bench.shell("true");
    bench.run(&spec);
    assert!(bench.runtime.list().unwrap().is_empty());
    nothing_is_left();
    Ok(())
}
