//! A machine with control groups version 2 only, played in a mount namespace: devices are restricted by a program, and
//! limits whose controller is elsewhere are told.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::process::Command;

use minato_runtime::{ControlGroups, Limits, Warning};
use support::{Bench, Missing, need_program, nothing_is_left, run};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("in-its-own-mounts") {
        minato_runtime::reexec();
        return in_its_own_mounts();
    }
    run(&[("a_machine_with_version_2_only", a_machine_with_version_2_only)]);
}

fn a_machine_with_version_2_only() -> Result<(), Missing> {
    support::need_root()?;
    need_program("busybox")?;
    let unshare = need_program("unshare")?;
    let script = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 3; exec /proc/$PPID/exe \
                  in-its-own-mounts";
    let script = script.replace("/proc/$PPID/exe", std::env::current_exe().unwrap().to_str().unwrap());
    let outcome = Command::new(unshare).args(["--mount", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr);
    match outcome.status.code() {
        Some(0) => Ok(()),
        Some(3) => Err(Missing(format!("version 2 of control groups: {said}"))),
        _ => panic!("{said}"),
    }
}

/// Complaints and answers; the two streams come in any order.
fn split(text: &str) -> (String, String) {
    let (complaints, answers): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains(':'));
    (complaints.join(" "), answers.join(" "))
}

fn in_its_own_mounts() {
    let host = minato_runtime::support();
    assert_eq!(host.control_groups, ControlGroups::Unified);
    let Ok(bench) = Bench::new() else { panic!("busybox and root were there") };
    let mut spec = bench.shell(
        "mknod /tmp/disk b 8 0; head -c 1 /tmp/disk; mknod /tmp/fuse c 10 229; head -c 1 /tmp/fuse; \
         head -c 1 /dev/zero | wc -c; mknod /tmp/null c 1 3; echo x > /tmp/null && echo written; \
         cat /proc/self/cgroup | grep -c '^0::/$'; grep ' /sys/fs/cgroup ' /proc/self/mountinfo | grep -c cgroup2",
    );
    spec.limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    let shim = bench.runtime.start(&spec).unwrap();
    let memory = host.controllers.contains("memory");
    let told = shim.warnings().iter().any(|warning| matches!(warning, Warning::LimitsNotEnforced { .. }));
    assert_eq!(told, !memory, "{:?}", shim.warnings());
    assert!(!shim.warnings().iter().any(|warning| matches!(warning, Warning::CapabilityWithheld { .. })));
    support::exit_of(&shim);
    let text = support::output(&spec);
    assert_eq!(text.matches("Operation not permitted").count(), 2, "{text}");
    let (_, answers) = split(&text);
    assert_eq!(answers, "1 written 1 1", "{text}");
    let (exit, text) = bench.run(&bench.shell("exit 3"));
    assert_eq!(exit.code(), 3, "{text}");
    shim.release().unwrap();
    nothing_is_left();
}
