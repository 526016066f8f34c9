//! The engine that is built in: libcontainer makes the container, this crate takes the last steps.
//!
//! libcontainer without libseccomp enforces no filter, and it drops capabilities before its executor is called, when a
//! filter can't be installed any more. So it is told to hand over root with all capabilities, and [`Program`] does both
//! in the right order.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::engine::{Addition, Engine, Stdio};
use super::program::{Program, Report, Rules};
use crate::outcome::StartError;

/// libcontainer's own name for the one container in its folder; never seen outside.
const NAME: &str = "container";
/// How libcontainer names its processes until they execute a program.
const UNBORN: &str = "youki:";

/// The state of one container made by libcontainer.
pub(super) struct Embedded {
    folder: PathBuf,
    program: Program,
    rules: Rules,
    created: Option<(Container, Report)>,
}

impl Embedded {
    pub(super) fn new(folder: &Path, program: Program, rules: Rules) -> Self {
        Self { folder: folder.to_owned(), program, rules, created: None }
    }

    fn builder(
        &self,
        program: Program,
        report: &Report,
        stdio: Stdio,
    ) -> Result<ContainerBuilder, StartError> {
        let state = self.folder.join("engine");
        fs::create_dir_all(&state).map_err(|error| engine(&error))?;
        let last_steps = LastSteps { program: Rc::new(program), report: report.theirs.as_raw_fd() };
        Ok(ContainerBuilder::new(NAME.to_owned(), SyscallType::default())
            .with_executor(last_steps)
            .with_root_path(state)
            .map_err(refused)?
            .with_stdin(stdio.stdin)
            .with_stdout(stdio.stdout)
            .with_stderr(stdio.stderr))
    }
}

impl Engine for Embedded {
    fn create(&mut self, stdio: Stdio) -> Result<u32, StartError> {
        let report = Report::new().map_err(|error| engine(&error))?;
        let builder = self.builder(self.program.clone(), &report, stdio)?;
        let made = builder.as_init(self.folder.clone()).with_systemd(false).with_detach(true).build();
        let container = made.map_err(refused)?;
        let pid = container.pid().map(|pid| pid.as_raw()).and_then(|pid| u32::try_from(pid).ok());
        self.created = Some((container, report));
        pid.ok_or_else(|| StartError::Engine {
            reason: "libcontainer made a container without a process".to_owned(),
        })
    }

    fn start(&mut self) -> Result<(), StartError> {
        let (mut container, report) = self
            .created
            .take()
            .ok_or_else(|| StartError::Engine { reason: "the container was not made".to_owned() })?;
        let started = container.start();
        match (report.read(), started) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(refused(error)),
            (None, Ok(())) => Ok(()),
        }
    }

    fn add(&mut self, addition: Addition, stdio: Stdio) -> Result<u32, StartError> {
        let Addition { args, env, cwd, user, terminal } = addition;
        let program = Program::new(&args, &env, user, self.rules.clone(), terminal)
            .map_err(|error| StartError::InvalidSpec { reason: error.to_string() })?;
        let report = Report::new().map_err(|error| engine(&error))?;
        let tenant = self.builder(program, &report, stdio)?.as_tenant();
        let made = tenant.with_container_args(args).with_cwd(Some(cwd)).with_detach(true).build();
        match (report.read(), made) {
            (Some(error), _) => {
                collect_unborn();
                Err(error)
            }
            (None, Err(error)) => {
                collect_unborn();
                Err(refused(error))
            }
            (None, Ok(pid)) => {
                u32::try_from(pid.as_raw()).map_err(|error| StartError::Engine { reason: error.to_string() })
            }
        }
    }
}

/// Waits for processes that did not become their program, which libcontainer leaves. As long as they can be waited for,
/// the container's namespace of processes is not empty, and its first process can't end.
fn collect_unborn() {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    for pid in children.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
        if name.starts_with(UNBORN) {
            // It has said why and is about to end.
            let _ended = kill_process(pid, Signal::KILL);
            let _collected = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

/// Called by libcontainer in the container's process when everything else is done.
#[derive(Clone)]
struct LastSteps {
    program: Rc<Program>,
    report: RawFd,
}

impl Executor for LastSteps {
    fn exec(&self, _spec: &Spec) -> Result<(), ExecutorError> {
        Err(ExecutorError::Other(self.program.run(self.report).to_string()))
    }

    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// The program has its environment already, in the order it was given.
    fn setup_envs(&self, _envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

fn engine(error: &std::io::Error) -> StartError {
    StartError::Engine { reason: error.to_string() }
}

/// All causes in one line: libcontainer's outermost message alone says little.
fn refused(error: LibcontainerError) -> StartError {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = inner.source();
    }
    StartError::Engine { reason }
}
