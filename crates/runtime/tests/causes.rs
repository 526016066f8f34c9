//! A container that can't be started says why, and leaves nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use minato_runtime::{ContainerSpec, Engine, Mount, Rootfs, StartError};
use support::{Bench, Missing, busybox_layer, need_program, nothing_is_left, run};

fn main() {
    run(&[
        ("each_cause_has_its_type", each_cause_has_its_type),
        ("causes_are_the_same_with_crun", || same_with("crun")),
        ("causes_are_the_same_with_runc", || same_with("runc")),
        ("a_failed_start_leaves_nothing", a_failed_start_leaves_nothing),
        ("an_id_is_used_once", an_id_is_used_once),
    ]);
}

fn check(bench: &Bench, spec: &ContainerSpec, is_expected: fn(&StartError) -> bool) {
    match bench.runtime.start(spec) {
        Ok(_) => panic!("{:?} was started", spec.args),
        Err(error) => assert!(is_expected(&error), "{:?}: {error:?}", spec.args),
    }
    assert!(bench.runtime.list().unwrap().is_empty(), "something is left of {:?}", spec.args);
}

fn each_cause_has_its_type() -> Result<(), Missing> {
    let bench = Bench::new()?;
    all_causes(&bench);
    let script = bench.path().join("no-interpreter");
    std::fs::write(&script, "#!/no/such/shell\n").unwrap();
    make_executable(&script);
    let mut spec = bench.command(&["/run-me"]);
    spec.mounts.push(Mount::Bind { source: script.clone(), target: "/run-me".into(), read_only: true });
    check(
        &bench,
        &spec,
        |e| matches!(e, StartError::NotExecutable { reason, .. } if reason.contains("interpreter")),
    );
    std::fs::write(&script, "neither program nor script").unwrap();
    let spec = ContainerSpec { id: bench.shell("").id, ..spec };
    check(&bench, &spec, |e| matches!(e, StartError::NotExecutable { reason, .. } if reason.contains("#!")));
    Ok(())
}

fn same_with(engine: &str) -> Result<(), Missing> {
    all_causes(&Bench::with(Engine::Command(need_program(engine)?))?);
    Ok(())
}

fn all_causes(bench: &Bench) {
    let shell = || bench.shell("true");
    check(bench, &bench.command(&["no-such-command"]), |e| matches!(e, StartError::CommandNotFound { .. }));
    check(bench, &bench.command(&["/no/such/command"]), |e| matches!(e, StartError::CommandNotFound { .. }));
    check(bench, &bench.command(&["/etc/passwd"]), |e| matches!(e, StartError::NotExecutable { .. }));
    let user = |user: &str| ContainerSpec { user: user.to_owned(), ..shell() };
    check(bench, &user("nobody-here"), |e| matches!(e, StartError::UnknownUser { .. }));
    check(bench, &user("app:nogroup"), |e| matches!(e, StartError::UnknownUser { .. }));
    let mount = Mount::Bind { source: "/no/such/source".into(), target: "/x".into(), read_only: false };
    let spec = ContainerSpec { mounts: vec![mount], ..shell() };
    check(bench, &spec, |e| matches!(e, StartError::MissingMountSource { .. }));
    let mount = Mount::Tmpfs { target: "/etc/passwd/x".into(), size: None, mode: None };
    let spec = ContainerSpec { mounts: vec![mount], ..shell() };
    check(bench, &spec, |e| matches!(e, StartError::BadMountTarget { .. }));
    let spec = ContainerSpec { cwd: "/etc/passwd".into(), ..shell() };
    check(bench, &spec, |e| matches!(e, StartError::BadWorkingDirectory { .. }));
    let layers = vec![busybox_layer().to_owned(), "/no/such/layer".into()];
    let spec = ContainerSpec { rootfs: Rootfs::Layers { layers, read_only: false }, ..shell() };
    check(bench, &spec, |e| matches!(e, StartError::Rootfs { .. }));
    let mut spec = shell();
    spec.security.capabilities_add = vec!["FLY".to_owned()];
    check(bench, &spec, |e| matches!(e, StartError::InvalidSpec { .. }));
    let spec = ContainerSpec { args: vec![], ..shell() };
    check(bench, &spec, |e| matches!(e, StartError::InvalidSpec { .. }));
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn a_failed_start_leaves_nothing() -> Result<(), Missing> {
    let bench = Bench::new()?;
    for args in [["no-such-command"], ["/etc/passwd"]] {
        assert!(bench.runtime.start(&bench.command(&args)).is_err());
    }
    nothing_is_left();
    Ok(())
}

fn an_id_is_used_once() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let spec = bench.shell("sleep 100");
    let shim = bench.runtime.start(&spec).unwrap();
    assert!(matches!(bench.runtime.start(&spec), Err(StartError::AlreadyExists { .. })));
    assert!(shim.state().is_ok(), "the second start must not harm the first");
    bench.runtime.remove(&spec.id).unwrap();
    assert!(bench.runtime.start(&spec).is_ok(), "after removal it is free again");
    Ok(())
}
