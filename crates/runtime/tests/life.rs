//! A container's life: start, output, signal, exit, release.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use minato_runtime::{ExitOutcome, Signal, State, Stream};
use support::{Bench, Missing, exit_of, nothing_is_left, run, stream_output};

fn main() {
    run(&[
        ("output_and_exit_code_are_kept", output_and_exit_code_are_kept),
        ("a_signal_ends_it", a_signal_ends_it),
        ("an_image_may_have_many_layers_and_one_twice", an_image_may_have_many_layers_and_one_twice),
        ("a_kept_upper_folder_is_complete", a_kept_upper_folder_is_complete),
        ("a_long_line_and_much_output_are_kept", a_long_line_and_much_output_are_kept),
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

fn an_image_may_have_many_layers_and_one_twice() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let mut layers = vec![support::busybox_layer().to_owned()];
    for number in 0..150 {
        let layer =
            bench.path().join("a folder, with: odd signs").join(format!("{number}-{}", "x".repeat(100)));
        std::fs::create_dir_all(&layer).unwrap();
        std::fs::write(layer.join(format!("file{number}")), "").unwrap();
        std::fs::write(layer.join("top"), number.to_string()).unwrap();
        layers.push(layer);
    }
    layers.push(layers[5].clone());
    let mut spec = bench.shell("ls / | grep -c file; cat /top");
    spec.rootfs = minato_runtime::Rootfs::Layers { layers, read_only: true };
    assert_eq!(bench.run(&spec).1, "150\n4\n");
    Ok(())
}

fn a_kept_upper_folder_is_complete() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let (upper, work) = (bench.path().join("upper"), bench.path().join("work"));
    std::fs::create_dir(&upper).unwrap();
    std::fs::create_dir(&work).unwrap();
    let mut spec = bench.shell("chmod 700 /home/app; mv /etc /etc2; echo new > /file; rm /bin/ls");
    let layers = vec![support::busybox_layer().to_owned()];
    spec.rootfs = minato_runtime::Rootfs::Overlay { layers, upper: upper.clone(), work };
    assert!(bench.run(&spec).0.success());
    assert_eq!(std::fs::read_to_string(upper.join("file")).unwrap(), "new\n");
    assert!(
        std::fs::read_to_string(upper.join("etc2/passwd")).unwrap().contains("app"),
        "moved folders are copied whole"
    );
    assert!(!upper.join("etc/hostname").exists(), "what engines mount over leaves nothing");
    Ok(())
}

fn a_long_line_and_much_output_are_kept() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let script = "head -c 300000 /dev/zero | tr '\\0' x; echo; for i in $(seq 2000); do echo line $i; done";
    let (_, text) = bench.run(&bench.shell(script));
    let mut lines = text.lines();
    assert_eq!(lines.next().map(str::len), Some(300_000));
    assert_eq!(lines.next_back(), Some("line 2000"));
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
