//! RUN and WORKDIR.

use std::path::{Path, PathBuf};

use minato_dockerfile::{Network, Script, Security, Word};

use super::{CopyFrom, MakeFolder, Operation, Run, StageLowering};
use crate::error::StepError;
use crate::executor::StepNetwork;
use crate::tree::normalise;

/// Where a heredoc that is a script of its own stands while it runs.
const SCRIPTS: &str = "/dev/pipes";

impl StageLowering<'_> {
    /// `from` has what `from=` of its mounts names, in order.
    pub(super) fn run(
        &mut self,
        run: &minato_dockerfile::Run,
        from: Vec<CopyFrom>,
    ) -> Result<Operation, StepError> {
        self.refuse(run)?;
        let mounts = self.mounts(&run.mounts, from)?;
        let shell = self.state.shell();
        let with_shell = |command: String| shell.into_iter().chain([command]).collect::<Vec<_>>();
        let (args, script) = match run.script() {
            Script::Exec(args) => (args, None),
            Script::Shell(command) => (with_shell(command), None),
            Script::File { name, content } => {
                let path = PathBuf::from(SCRIPTS).join(name);
                (with_shell(path.display().to_string()), Some((path, content)))
            }
        };
        if args.is_empty() {
            return Err(StepError::Invalid("there is nothing to run".to_owned()));
        }
        let prefix = self.state.scope.history_prefix();
        self.note(format!("RUN {prefix}{} # buildkit", args.join(" ")), true);
        let config = &self.state.config.config;
        let cwd = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
        Ok(Operation::Run(Run {
            args,
            env: self.state.scope.variables().to_vec(),
            cwd: cwd.to_owned(),
            user: config.user.clone(),
            network: match run.network {
                Network::Default => self.lowering.network,
                Network::None => StepNetwork::None,
                Network::Host => StepNetwork::Host,
            },
            script,
            mounts,
            insecure: run.security == Security::Insecure,
            platform: self.state.config.platform(),
        }))
    }

    pub(super) fn workdir(&mut self, path: &Word) -> Result<Option<Operation>, StepError> {
        let path = self.expand(path)?;
        if path.is_empty() {
            return Err(StepError::Invalid("the path is empty once its variables are replaced".to_owned()));
        }
        // An absolute path stays as it is written, as in `BuildKit`.
        let path = if path.starts_with('/') { path } else { self.absolute(&path) };
        let makes_layer = path != "/";
        self.note(format!("WORKDIR {path}"), makes_layer);
        self.state.config.config.working_dir.clone_from(&path);
        let owner = self.state.config.config.user.clone();
        Ok(makes_layer.then_some(Operation::MakeFolder(MakeFolder { path, owner })))
    }

    /// A path against the working directory, without `.` and `..`.
    pub(super) fn absolute(&self, path: &str) -> String {
        let joined = Path::new("/").join(&self.state.config.config.working_dir).join(path);
        format!("/{}", normalise(&joined).display())
    }

    fn refuse(&self, run: &minato_dockerfile::Run) -> Result<(), StepError> {
        if run.security == Security::Insecure && !self.lowering.allow_insecure {
            let message = "RUN --security=insecure runs as root of this machine; allow it with --allow security.insecure";
            return Err(StepError::Invalid(message.to_owned()));
        }
        if !run.devices.is_empty() {
            return Err(StepError::unsupported("RUN --device", ""));
        }
        Ok(())
    }
}
