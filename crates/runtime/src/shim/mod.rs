//! A shim's life: it makes the container, says how that went, and stays until it is released.
//!
//! ```text
//! own mounts ─► network ─► root file system ─► plan ─► engine: create ─► record ─► start ─► answer ─► serve
//! ```
//!
//! One thread, no async stack: namespaces are entered for a whole process, and memory is counted per container.

mod command;
mod embedded;
mod engine;
mod listeners;
mod ordinary;
mod prepare;
mod program;
mod serve;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit as KernelRlimit, Uid};

use self::command::Command;
use self::embedded::Embedded;
use self::engine::{Engine, Stdio};
use self::prepare::Prepared;
use self::program::{Program, Rules};
use self::serve::{Container, Outputs, Parts};
use crate::bundle::{self, LastSteps, Plan};
use crate::capabilities::Capabilities;
use crate::control::packet;
use crate::control::protocol::StartAnswer;
use crate::identity::Identity;
use crate::log::LogWriter;
use crate::outcome::StartError;
use crate::record::{self, Record};
use crate::reexec::{self, CHANNEL};
use crate::rootfs::ForeignLayers;
use crate::runtime::Engine as EngineChoice;
use crate::spec::{ContainerSpec, Rlimit};
use crate::{network, rootfs, seccomp};

/// Makes the container of this folder, answers on the channel, and stays until it is released. Returns the exit code.
pub(crate) fn run(folder: &Path, choice: &EngineChoice) -> i32 {
    let channel = take_channel();
    let _cosmetic = rustix::thread::set_name(c"minato-shim");
    match birth(folder, choice, &channel) {
        Ok(mut container) => {
            let answer = container.answer();
            // A caller that died meanwhile finds the container by its record.
            let _gone = packet::send(&channel, &answer, &[]);
            drop(channel);
            container.serve();
            0
        }
        Err(error) => {
            let _gone = packet::send(&channel, &StartAnswer::Failed(error), &[]);
            1
        }
    }
}

fn birth(folder: &Path, choice: &EngineChoice, channel: &OwnedFd) -> Result<Container, StartError> {
    let mut spec =
        record::read_spec(folder).map_err(|error| host("reading the container's description", &error))?;
    let own = Identity::own().map_err(|error| host("looking at /proc", &error))?;
    // An ordinary user's shim is born once, however often it is executed.
    if !reexec::is_again() {
        packet::send(channel, &StartAnswer::Born(own.clone()), &[])
            .map_err(|error| host("speaking to the caller", &error))?;
    }
    let mut record = Record::new(own);
    write(&record, folder)?;
    fail::fail_point!("runtime.shim.recorded");
    let privileged = become_able(&spec, folder, choice)?;
    let network = network::enter(&spec.network, folder, privileged)?;
    fail::fail_point!("runtime.shim.network-made");
    let root = rootfs::prepare(&spec.rootfs, folder, !privileged)?;
    let foreign = ForeignLayers::mount(&mut spec.mounts, folder, !privileged)?;
    let Prepared { plan, cgroup, mut warnings } = prepare::prepare(&spec, folder, &root, !privileged)?;
    warnings.extend(network.warnings.iter().cloned());
    record.warnings = warnings;
    write(&record, folder)?;
    fail::fail_point!("runtime.shim.prepared");

    let mut engine = engine(&spec, &plan, folder, choice)?;
    let folder_of_logs = spec.log.folder.clone().unwrap_or_else(|| folder.to_owned());
    let log = LogWriter::open(&folder_of_logs, &spec.log).map_err(|error| host("opening the log", &error))?;
    let (outputs, stdio) = streams(&plan).map_err(|error| host("making pipes", &error))?;
    let control = packet::listen_in(folder).map_err(|error| host("making the control socket", &error))?;
    let pid = engine.create(stdio)?;
    foreign.detach();
    fail::fail_point!("runtime.shim.created");
    record.init =
        Some(Identity::of(pid).map_err(|error| host("looking at the container's process", &error))?);
    write(&record, folder)?;
    engine.start()?;
    fail::fail_point!("runtime.shim.started");
    dumpable_again();
    let folder = folder.to_owned();
    let parts = Parts { folder, spec, plan, record, engine, cgroup, network, log, outputs, control };
    Container::new(parts).map_err(|error| host("watching the container", &error))
}

/// After this the process can make namespaces and mounts, is executed from a file that nobody can write to, and has its
/// own mounts. Says whether it is root on this machine, too.
fn become_able(spec: &ContainerSpec, folder: &Path, choice: &EngineChoice) -> Result<bool, StartError> {
    let mounts = || rootfs::own_mounts().map_err(|error| host("making a mount namespace", &error));
    if reexec::is_again() {
        return Ok(false);
    }
    if rustix::process::geteuid().is_root() {
        return mounts().map(|()| true);
    }
    ordinary::enter_user_namespace(&spec.network)?;
    mounts()?;
    let channel = borrowed_channel();
    rustix::io::fcntl_setfd(channel, rustix::io::FdFlags::empty())
        .map_err(|error| host("keeping the channel", &error.into()))?;
    Err(host("starting again from a protected file", &reexec::again_protected(folder, choice)))
}

fn engine(
    spec: &ContainerSpec,
    plan: &Plan,
    folder: &Path,
    choice: &EngineChoice,
) -> Result<Box<dyn Engine>, StartError> {
    let (engine, last_steps): (Box<dyn Engine>, _) = match choice {
        EngineChoice::Embedded => {
            if !plan.has_cgroup {
                ordinary::pretend_control_groups(&plan.hierarchies, &plan.cgroup)?;
            }
            let rules = rules(spec, plan)?;
            let program = Program::new(&spec.args, &plan.env, plan.user.clone(), rules.clone(), false)
                .map_err(|error| StartError::InvalidSpec { reason: error.to_string() })?;
            (Box::new(Embedded::new(folder, program, rules)), LastSteps::Ours(Capabilities::available()))
        }
        EngineChoice::Command(path) => {
            let command = Command::new(path, folder, plan.capabilities, spec.security.no_new_privileges)?;
            (Box::new(command), LastSteps::Engines)
        }
    };
    let config = bundle::config(spec, plan, last_steps).to_string();
    fs::write(folder.join("config.json"), config).map_err(|error| host("writing the bundle", &error))?;
    Ok(engine)
}

fn rules(spec: &ContainerSpec, plan: &Plan) -> Result<Rules, StartError> {
    let filters = plan.filtered.then(|| seccomp::compile(plan.capabilities)).transpose();
    Ok(Rules {
        capabilities: plan.capabilities,
        no_new_privileges: spec.security.no_new_privileges,
        filters: filters.map_err(|error| StartError::SeccompNotEnforceable { reason: error.to_string() })?,
        rlimits: plan.rlimits.iter().filter_map(kernel_limit).collect(),
        oom_score_adj: plan.oom_score_adj,
    })
}

fn kernel_limit(limit: &Rlimit) -> Option<(Resource, KernelRlimit)> {
    let value = |value: u64| (value != u64::MAX).then_some(value);
    let kernel = KernelRlimit { current: value(limit.soft), maximum: value(limit.hard) };
    Some((prepare::rlimit_resource(&limit.name)?, kernel))
}

/// Pipes whose writing ends belong to the container's user, who may want to open `/dev/stderr` again.
fn streams(plan: &Plan) -> io::Result<(Outputs, Stdio)> {
    let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        if plan.user.uid != 0 {
            let (uid, gid) = (Uid::from_raw(plan.user.uid), Gid::from_raw(plan.user.gid));
            rustix::fs::fchown(&theirs, Some(uid), Some(gid))?;
        }
        Ok((ours, theirs))
    };
    let (stdout, their_stdout) = pipe()?;
    let (stderr, their_stderr) = pipe()?;
    let stdin = File::open("/dev/null")?.into();
    Ok((
        Outputs { stdout: Some(stdout), stderr: Some(stderr) },
        Stdio { stdin, stdout: their_stdout, stderr: their_stderr },
    ))
}

/// libcontainer makes its caller undumpable, which hides `/proc/PID/ns` from those who are to join. The container never
/// sees this process.
fn dumpable_again() {
    let _cosmetic = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
}

fn take_channel() -> OwnedFd {
    // SAFETY: whoever started this shim put the channel there, and nothing else has taken it.
    let channel = unsafe { OwnedFd::from_raw_fd(CHANNEL) };
    let _never_fails = rustix::io::fcntl_setfd(channel.as_fd(), rustix::io::FdFlags::CLOEXEC);
    channel
}

fn borrowed_channel() -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: `run` holds the channel open for as long as `birth` lasts.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(CHANNEL) }
}

fn write(record: &Record, folder: &Path) -> Result<(), StartError> {
    record.write(folder).map_err(|error| host("writing the container's record", &error))
}

fn host(step: &str, error: &io::Error) -> StartError {
    StartError::Host { step: step.to_owned(), reason: error.to_string() }
}
