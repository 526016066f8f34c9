//! RUN: a program changes a root file system, and what it changed becomes a layer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use minato_oci::layer::write_tar;
use minato_oci::{Digester, Layer};
use rustix::fs::{self as sys, Mode};

use super::copy::snapshot_of;
use super::mounts::{Mounted, Origin, describe};
use super::stage::{Made, Solver};
use super::stubs::Stubs;
use super::times::clamp_times;
use super::{Key, KeyBuilder};
use crate::error::{RunFailure, StepError};
use crate::executor::{RunStep, Surroundings};
use crate::lower::Run;
use crate::progress::{StepName, Stream};

/// Lines of output that an error repeats.
const LAST_LINES: usize = 20;
/// A line without end is cut here.
const LONGEST_LINE: usize = 64 << 10;

impl Solver<'_> {
    /// `from` has the layers that its mounts take files from.
    pub(super) fn run(
        &self,
        run: &Run,
        from: &[Vec<Layer>],
        below: &[Layer],
        modified: i64,
        name: &StepName,
    ) -> Result<Made, StepError> {
        let origins = self.origins(run, from, modified)?;
        let key = key_of_run(run, &self.request.surroundings, &origins, below, modified);
        let _lock = self.steps.lock(&key).map_err(StepError::Cache)?;
        if let Some(layer) = self.known(&key)? {
            return Ok(Made { layer, cached: true });
        }
        let staged = self.store.stage_layer()?;
        let upper = staged.path();
        let readable = Mode::from_raw_mode(0o755);
        sys::chmod(&upper, readable).map_err(|error| StepError::Cache(error.into()))?;
        let mut mounted = self.mounted(run, &origins)?;
        let layers = self.dated(below, &mut mounted)?;
        let step = self.step(run, layers, &upper, &staged.work(), &mounted);
        let stubs = Stubs::of(&step, &snapshot_of(below))?;
        let mut output = Lines::new(|stream, line: &str| self.progress.output(name, stream, line));
        let exit =
            self.executor.run(&step, self.cancelled, &mut |stream, bytes| output.take(stream, bytes))?;
        drop(mounted);
        let last_lines = output.finish();
        if self.cancelled.is_set() {
            return Err(StepError::Cancelled);
        }
        if exit.code != 0 {
            return Err(StepError::Failed(RunFailure { exit, last_lines }));
        }
        fail::fail_point!("build.run.before-layer");
        stubs.remove_from(&upper)?;
        clamp_times(&upper, modified)?;
        let (diff_id, size) = write_tar(&upper, Digester::default())?.finish();
        fail::fail_point!("build.layer.before-commit");
        let layer = staged.commit(&diff_id, size)?;
        self.remember(&key, &diff_id)?;
        Ok(Made { layer, cached: false })
    }

    fn step(&self, run: &Run, layers: Vec<PathBuf>, upper: &Path, work: &Path, mounted: &Mounted) -> RunStep {
        let passed = &self.request.pass_through;
        let mut env = run.env.clone();
        let pair = |(name, value)| (name, value);
        let own = mounted.environment.iter().chain(&self.proxies).map(|(name, value)| pair((name, value)));
        let hidden = own.chain(&passed.environment);
        for (name, value) in hidden {
            if !env.iter().any(|(known, _)| known == name) {
                env.push((name.clone(), value.clone()));
            }
        }
        RunStep {
            layers,
            upper: upper.to_owned(),
            work: work.to_owned(),
            args: run.args.clone(),
            env,
            cwd: run.cwd.clone(),
            user: run.user.clone(),
            network: run.network,
            files: passed.files.clone(),
            scripts: run.script.iter().cloned().collect(),
            mounts: mounted.mounts.clone(),
            surroundings: self.request.surroundings.clone(),
            insecure: run.insecure,
            platform: run.platform.clone(),
        }
    }
}

/// Everything that decides what the step does; what is passed through from this machine is not part of it.
fn key_of_run(
    run: &Run,
    surroundings: &Surroundings,
    origins: &[Origin],
    below: &[Layer],
    modified: i64,
) -> Key {
    let script = run.script.as_ref().map(|(path, content)| format!("{}\n{content}", path.display()));
    KeyBuilder::new("run-3")
        .list("args", &run.args)
        .list("env", run.env.iter().map(|(name, value)| format!("{name}={value}")))
        .text("cwd", &run.cwd)
        .text("user", &run.user)
        .text("network", &format!("{:?}", run.network))
        .list("script", script)
        .text("platform", &run.platform.to_string())
        .text("insecure", &run.insecure.to_string())
        .text("surroundings", &format!("{surroundings:?}"))
        .list("mounts", describe(run, origins))
        .text("modified", &modified.to_string())
        .list("below", below.iter().map(|layer| layer.diff_id))
        .finish()
}

/// Cuts output into lines and keeps the last ones.
struct Lines<F> {
    say: F,
    open: [Vec<u8>; 2],
    last: VecDeque<String>,
}

impl<F: FnMut(Stream, &str)> Lines<F> {
    fn new(say: F) -> Self {
        Self { say, open: [Vec::new(), Vec::new()], last: VecDeque::new() }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let open = &mut self.open[stream as usize];
            open.extend_from_slice(part);
            if part.ends_with(b"\n") || open.len() >= LONGEST_LINE {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let bytes = std::mem::take(&mut self.open[stream as usize]);
        let text = String::from_utf8_lossy(&bytes);
        // What a progress bar overwrote is not worth a line.
        let line = text.trim_end_matches(['\n', '\r']);
        let line = line.rsplit('\r').next().unwrap_or(line);
        (self.say)(stream, line);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// The last lines, a line without end included.
    fn finish(mut self) -> Vec<String> {
        for stream in [Stream::Output, Stream::Error] {
            if !self.open[stream as usize].is_empty() {
                self.end_line(stream);
            }
        }
        self.last.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_into_lines_whatever_the_pieces() {
        let mut said = Vec::new();
        let mut lines = Lines::new(|stream, line: &str| said.push(format!("{stream:?} {line}")));
        for (stream, bytes) in [
            (Stream::Output, "one\ntw"),
            (Stream::Error, "oops"),
            (Stream::Output, "o\n10%\r100%\n"),
            (Stream::Output, "end"),
        ] {
            lines.take(stream, bytes.as_bytes());
        }
        assert_eq!(lines.finish(), ["one", "two", "100%", "end", "oops"]);
        assert_eq!(said, ["Output one", "Output two", "Output 100%", "Output end", "Error oops"]);
    }

    #[test]
    fn only_the_last_lines_are_kept_and_a_line_without_end_is_cut() {
        let mut lines = Lines::new(|_, _: &str| {});
        (0..100).for_each(|number| lines.take(Stream::Output, format!("{number}\n").as_bytes()));
        lines.take(Stream::Output, &vec![b'x'; LONGEST_LINE + 10]);
        let last = lines.finish();
        assert_eq!((last.len(), last[0].as_str()), (LAST_LINES, "81"));
        assert!(last.iter().all(|line| line.len() <= LONGEST_LINE + 10));
    }
}
