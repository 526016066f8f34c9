//! Programs run beside a container's first one, and what happens when memory runs out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::fs::File;
use std::os::fd::AsFd;

use minato_runtime::{
    ContainerSpec, ControlError, Engine, ExecSpec, ExecStdio, ExitOutcome, Limits, Shim, Signal, StartError,
    State,
};
use support::{Bench, Missing, eventually, exec, need_program, nothing_is_left, run, shell};

fn main() {
    run(&[
        ("it_shares_everything_with_the_container", || {
            it_shares_everything_with_the_container(Engine::Embedded)
        }),
        ("it_does_so_with_crun", || {
            it_shares_everything_with_the_container(Engine::Command(need_program("crun")?))
        }),
        ("it_does_so_with_runc", || {
            it_shares_everything_with_the_container(Engine::Command(need_program("runc")?))
        }),
        ("its_failures_are_typed", its_failures_are_typed),
        ("dropping_its_handle_ends_it", dropping_its_handle_ends_it),
        ("it_may_have_a_terminal", it_may_have_a_terminal),
        ("many_at_once", many_at_once),
        ("running_out_of_memory_is_reported", || running_out_of_memory_is_reported(Engine::Embedded)),
        ("crun_reports_it_too", || running_out_of_memory_is_reported(Engine::Command(need_program("crun")?))),
    ]);
}

const FOREVER: &str = "while :; do sleep 0.05; done";

fn it_shares_everything_with_the_container(engine: Engine) -> Result<(), Missing> {
    {
        let bench = Bench::with(engine)?;
        let mut spec = bench.shell(&format!("echo mine > /tmp/file; {FOREVER}"));
        spec.env = vec![("ONE".to_owned(), "1".to_owned()), ("TWO".to_owned(), "2".to_owned())];
        spec.limits = Limits { pids: Some(50), ..Limits::default() };
        let shim = bench.runtime.start(&spec).unwrap();
        eventually("the file is written", || exec(&shim, &shell("cat /tmp/file")).1 == "mine\n");
        let mut program = shell("echo $ONE $TWO $HOME; pwd; id -u; id -G; exit 9");
        program.env = vec![("TWO".to_owned(), "two".to_owned())];
        program.cwd = Some("/etc".into());
        program.user = Some("app".to_owned());
        let (exit, text) = exec(&shim, &program);
        assert_eq!(exit.outcome, ExitOutcome::Code(9));
        assert_eq!(text, "1 two /home/app\n/etc\n1000\n1000 29\n");
        let group = "grep -E ':(pids|memory):' /proc/self/cgroup | sort";
        let (_, own) = exec(&shim, &shell(group));
        let (_, first) = exec(&shim, &shell(&group.replace("self", "1")));
        assert_eq!(own, first);
        for namespace in ["pid", "mnt", "net", "ipc", "uts"] {
            let same =
                format!("[ $(readlink /proc/self/ns/{namespace}) = $(readlink /proc/1/ns/{namespace}) ]");
            assert!(exec(&shim, &shell(&same)).0.success(), "{namespace}");
        }
        assert_eq!(exec(&shim, &shell("kill -9 $$")).0.outcome, ExitOutcome::Signal(9));
        assert!(matches!(shim.state().unwrap(), State::Running { .. }));
    }
    nothing_is_left();
    Ok(())
}

fn start_failure(shim: &Shim, spec: &ExecSpec) -> StartError {
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let stdio = ExecStdio { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() };
    match shim.exec(spec, &stdio) {
        Err(ControlError::NotStarted { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

fn its_failures_are_typed() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&bench.shell(FOREVER)).unwrap();
    let command = |name: &str| ExecSpec::new(vec![name.to_owned()]);
    assert!(matches!(start_failure(&shim, &command("nope")), StartError::CommandNotFound { .. }));
    assert!(matches!(start_failure(&shim, &command("/etc/passwd")), StartError::NotExecutable { .. }));
    let spec = ExecSpec { user: Some("nobody-here".to_owned()), ..command("id") };
    assert!(matches!(start_failure(&shim, &spec), StartError::UnknownUser { .. }));
    assert!(matches!(start_failure(&shim, &ExecSpec::new(vec![])), StartError::InvalidSpec { .. }));
    assert!(exec(&shim, &shell("true")).0.success(), "the shim goes on");
    shim.signal(Signal::KILL).unwrap();
    let ended = || matches!(shim.state().unwrap(), State::Exited(_));
    eventually("the container ends, whatever could not be run beside it", ended);
    Ok(())
}

fn dropping_its_handle_ends_it() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&bench.shell(FOREVER)).unwrap();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let stdio = ExecStdio { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() };
    let handle = shim.exec(&shell("sleep 4711"), &stdio).unwrap();
    let running = || exec(&shim, &shell("ps | grep -c '[s]leep 4711'")).1 != "0\n";
    assert!(running());
    drop(handle);
    eventually("the program is gone", || !running());
    Ok(())
}

fn it_may_have_a_terminal() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&bench.shell(FOREVER)).unwrap();
    let (terminal, program_end) = pseudo_terminal();
    let stdio =
        ExecStdio { stdin: program_end.as_fd(), stdout: program_end.as_fd(), stderr: program_end.as_fd() };
    let spec =
        ExecSpec { terminal: true, ..shell("[ -t 0 ] && echo yes > /dev/tty; read line; exit ${#line}") };
    let handle = shim.exec(&spec, &stdio).unwrap();
    drop(program_end);
    let mut terminal = File::from(terminal);
    std::io::Write::write_all(&mut terminal, b"hello\n").unwrap();
    assert_eq!(handle.wait().unwrap().outcome, ExitOutcome::Code(5));
    let mut text = [0; 64];
    let length = std::io::Read::read(&mut terminal, &mut text).unwrap();
    assert!(String::from_utf8_lossy(&text[..length]).contains("yes"));
    Ok(())
}

fn pseudo_terminal() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    use std::os::fd::{FromRawFd, OwnedFd};
    let (mut ours, mut theirs) = (0, 0);
    // SAFETY: the two numbers are written; names and settings are left out.
    let answer = unsafe {
        let none = std::ptr::null_mut();
        libc::openpty(&raw mut ours, &raw mut theirs, none, std::ptr::null(), std::ptr::null())
    };
    assert_eq!(answer, 0);
    // SAFETY: the call above made this descriptor for us.
    let ours = unsafe { OwnedFd::from_raw_fd(ours) };
    // SAFETY: as above.
    (ours, unsafe { OwnedFd::from_raw_fd(theirs) })
}

fn many_at_once() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let shim = bench.runtime.start(&bench.shell(FOREVER)).unwrap();
    std::thread::scope(|scope| {
        let programs: Vec<_> = (0..20)
            .map(|number| {
                let shim = &shim;
                scope.spawn(move || exec(shim, &shell(&format!("sleep 0.1; exit {number}"))).0.code())
            })
            .collect();
        let codes: Vec<_> = programs.into_iter().map(|program| program.join().unwrap()).collect();
        assert_eq!(codes, (0..20).collect::<Vec<_>>());
    });
    Ok(())
}

fn running_out_of_memory_is_reported(engine: Engine) -> Result<(), Missing> {
    let bench = Bench::with(engine)?;
    let limits = Limits { memory_bytes: Some(16 << 20), ..Limits::default() };
    let spec = ContainerSpec { limits: limits.clone(), ..bench.command(&["tail", "/dev/zero"]) };
    let shim = bench.runtime.start(&spec).unwrap();
    if let Some(warning) = shim.warnings().iter().find(|warning| warning.to_string().contains("memory")) {
        return Err(Missing(warning.to_string()));
    }
    let exit = support::exit_of(&shim);
    assert_eq!(exit.outcome, ExitOutcome::Signal(9));
    assert!(exit.oom_killed);
    shim.release().unwrap();
    let (exit, _) = bench.run(&ContainerSpec { limits, ..bench.shell("tail /dev/zero; exit 0") });
    assert!(exit.success() && !exit.oom_killed, "a program that survives its child's end is not killed");
    Ok(())
}
