//! How this program becomes a shim: it starts itself again, from a copy of its own file that nobody can write to.
//!
//! A container's program can reach the file that its shim was executed from (`/proc/PID/exe`). Were that the program
//! on disk, root in a container could replace it (CVE-2019-5736). So a shim is executed from a private read-only mount
//! of it, or from a sealed copy in memory where the kernel is too old for that.

use std::ffi::{CStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use crate::cgroup;
use crate::runtime::Engine;
use crate::shim;

/// The hidden first argument.
const SHIM_ARGUMENT: &str = "__container-shim";
/// The descriptor on which a shim gives its one answer.
pub(crate) const CHANNEL: RawFd = 3;
const LAST_WORDS: &str = "shim.log";

/// Takes over when this process was started as a shim, and does not return then. Every program that uses this crate
/// calls it first in `main`, before any thread is made.
pub fn reexec() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != SHIM_ARGUMENT) {
        return;
    }
    let (Some(folder), Some(engine)) = (arguments.next(), arguments.next()) else {
        std::process::exit(2);
    };
    std::process::exit(shim::run(&PathBuf::from(folder), &engine_from(engine)));
}

/// Starts a shim for a container's folder. It is nobody's child: it outlives this process and is reaped by init. What is
/// given back is the process between; it ends by itself and is to be waited for.
pub(crate) fn spawn_shim(folder: &Path, engine: &Engine, channel: &OwnedFd) -> io::Result<Child> {
    let program = protected_program()?;
    let log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(LAST_WORDS))?;
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0("minato-shim").args(shim_arguments(folder, engine)).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    if fail::has_failpoints() {
        command
            .envs(std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MINATO_KILL_")));
    }
    let channel = channel.as_raw_fd();
    let group = cgroup::own_processes();
    // SAFETY: the closure only makes system calls that are allowed between fork and exec.
    unsafe { command.pre_exec(move || detach(channel, group.as_deref())) };
    command.spawn()
}

/// The program again, with the same arguments, from a file that nobody can write to. For a shim that only became able
/// to mount after it was started. Returns when that is impossible.
pub(crate) fn again_protected(folder: &Path, engine: &Engine) -> io::Error {
    let program = match read_only_mount().or_else(|_| sealed_copy()) {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0("minato-shim").args(shim_arguments(folder, engine)).arg("again").exec()
}

/// Whether [`again_protected`] was here.
pub(crate) fn is_again() -> bool {
    std::env::args_os().nth(4).is_some_and(|fourth| fourth == "again")
}

/// The end of what a shim wrote on its standard error.
pub(crate) fn last_words(folder: &Path) -> String {
    let text = fs::read(folder.join(LAST_WORDS)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    if lines.is_empty() {
        return "it was killed before it could say anything".to_owned();
    }
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

/// Whether a command line (`/proc/PID/cmdline`) is that of this folder's shim, of one of its children that has not become
/// the container's program yet, or of an engine that it called.
pub(crate) fn is_shim_of(command_line: &[u8], folder: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let mut arguments = command_line.split(|byte| *byte == 0).skip(1);
    let (first, second) = (arguments.next(), arguments.next().unwrap_or_default());
    match first {
        Some(first) if first == SHIM_ARGUMENT.as_bytes() => second == folder.as_os_str().as_bytes(),
        Some(b"--root") => second == folder.join("engine").as_os_str().as_bytes(),
        _ => false,
    }
}

fn shim_arguments(folder: &Path, engine: &Engine) -> [OsString; 3] {
    let engine = match engine {
        Engine::Embedded => OsString::from("embedded"),
        Engine::Command(path) => path.as_os_str().to_owned(),
    };
    [SHIM_ARGUMENT.into(), folder.as_os_str().to_owned(), engine]
}

fn engine_from(text: OsString) -> Engine {
    if text == "embedded" { Engine::Embedded } else { Engine::Command(text.into()) }
}

/// Between fork and exec: a session of its own, the channel in its place, and a second fork whose parent ends.
fn detach(channel: RawFd, group: Option<&CStr>) -> io::Result<()> {
    rustix::process::setsid()?;
    // SAFETY: fork without any other call; the parent leaves at once without running destructors.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => end_between(group),
    }
    // SAFETY: duplicates a descriptor that the parent holds open; the program file is never number 3.
    match unsafe { libc::dup2(channel, CHANNEL) } {
        -1 => Err(io::Error::last_os_error()),
        _ if channel == CHANNEL => {
            Ok(rustix::io::fcntl_setfd(borrow(channel), rustix::io::FdFlags::empty())?)
        }
        _ => Ok(()),
    }
}

/// The last of the process between. After a quiet time the kernel makes the first process that enters a control group wait
/// for about 10 ms (an RCU grace period behind one lock for all groups). This process, which nobody waits for, goes
/// where it is already, so that the wait is over by when the container's processes enter theirs.
fn end_between(group: Option<&CStr>) -> ! {
    // SAFETY: nothing that this process still does needs a descriptor. Whoever started it waits until they are closed.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) } == 0;
    if let (true, Some(group)) = (closed, group) {
        let file = rustix::fs::open(group, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let _entered = file.and_then(|file| rustix::io::write(file, b"0"));
    }
    // SAFETY: ends this process without unwinding.
    unsafe { libc::_exit(0) }
}

/// This program, executable and out of everybody's reach. The number is above those that a shim starts with.
fn protected_program() -> io::Result<OwnedFd> {
    let program = match read_only_mount() {
        Ok(program) => program,
        // An ordinary user can't mount yet; the shim does it in its own user namespace.
        Err(_) if !rustix::process::geteuid().is_root() => File::open("/proc/self/exe")?.into(),
        Err(_) => sealed_copy()?,
    };
    Ok(rustix::io::fcntl_dupfd_cloexec(&program, CHANNEL + 7)?)
}

/// By name and not by `/proc/self/exe`, which leads to a mount that this process may have left behind; the name must
/// still be that of this very file.
fn read_only_mount() -> io::Result<OwnedFd> {
    let name = fs::read_link("/proc/self/exe")?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, name, flags)?;
    let (found, own) = (rustix::fs::fstat(&tree)?, rustix::fs::stat("/proc/self/exe")?);
    if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the program was replaced on disk"));
    }
    set_read_only(tree.as_fd())?;
    Ok(tree)
}

/// `mount_setattr(2)`, which has no safe wrapper.
pub(crate) fn set_read_only(tree: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = [0_u64; 4];
    attributes[0] = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    // SAFETY: the path is a terminated empty text, and the structure has the size that is passed.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let copy = rustix::fs::memfd_create("minato", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(copy.into())
}

fn borrow(descriptor: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only called for descriptors that stay open until exec.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}
