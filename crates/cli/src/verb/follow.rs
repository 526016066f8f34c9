//! `minato up --watch`: a deployment for each change.
//!
//! Each is a `minato up --detach` in a process of its own. A change that comes meanwhile ends it as Ctrl-C would, and the
//! next one carries on from there: nobody waits for a version that was mended already.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::arguments::UpArguments;
use crate::exit::Failure;
use crate::print::{Printer, style, styled};
use crate::watch::Changes;

/// A version that fails is said and leaves the old one serving: the next change may mend it. Ctrl-C ends the watching,
/// never the containers.
pub async fn changes(printer: &Printer, arguments: &UpArguments) -> Result<(), Failure> {
    let mut changes = Changes::of(&arguments.repository.directory)?;
    loop {
        let mut deployment = deployment()?;
        let meanwhile = tokio::select! {
            ended = deployment.wait() => {
                ended?;
                None
            }
            next = next(&mut changes) => {
                interrupt(&mut deployment).await?;
                Some(next)
            }
        };
        let next = match meanwhile {
            Some(next) => next,
            None => {
                let hint = "watching for changes; Ctrl-C ends the watching, `minato delete` the containers";
                printer.line(&styled(style::FAINT, hint));
                next(&mut changes).await
            }
        };
        let Some(path) = next else { return Ok(()) };
        printer.line(&format!("{} changed", path.display()));
    }
}

/// What changed; `None` when the user ends the watching.
async fn next(changes: &mut Changes) -> Option<PathBuf> {
    tokio::select! {
        changed = changes.next() => changed,
        _ = tokio::signal::ctrl_c() => None,
    }
}

/// The same command line, without the watching.
fn deployment() -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("looking for this program's own file")?;
    let arguments = std::env::args_os().skip(1).map(|argument| match argument.to_str() {
        Some("--watch" | "-w") => OsString::from("--detach"),
        _ => argument,
    });
    Command::new(program).args(arguments).spawn().context("starting a deployment")
}

async fn interrupt(deployment: &mut Child) -> anyhow::Result<()> {
    let id = deployment.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(id) = id {
        // It may have ended just now.
        let _gone = kill_process(id, Signal::INT);
    }
    let ended = deployment.wait().await;
    ended.map(drop).map_err(|error| anyhow!("waiting for the deployment: {error}"))
}
