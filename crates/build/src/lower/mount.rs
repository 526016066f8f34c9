//! `RUN --mount`: `BuildKit`'s defaults, with every variable replaced.

use minato_dockerfile::{Mount, MountKind, MountOptions};

use super::{CopyFrom, Permissions, RunMount, RunMountKind, StageLowering};
use crate::error::StepError;

const SECRETS: &str = "/run/secrets";
const AGENT: &str = "/run/buildkit/ssh_agent";

impl StageLowering<'_> {
    /// `from` has what `from=` of the mounts names, in order.
    pub(super) fn mounts(&self, mounts: &[Mount], from: Vec<CopyFrom>) -> Result<Vec<RunMount>, StepError> {
        let mut from = from.into_iter();
        let mut lowered: Vec<RunMount> = Vec::new();
        for mount in mounts {
            let options =
                mount.resolve(self.lowering.names.dockerfile.escape, &|name| self.state.scope.get(name));
            let options = options.map_err(|error| match error.hint {
                Some(hint) => StepError::Invalid(format!("{}; {hint}", error.message)),
                None => StepError::Invalid(error.message),
            })?;
            let source = options.from.is_some().then(|| from.next()).flatten();
            let agents = lowered.iter().filter(|it| matches!(it.kind, RunMountKind::Agent { .. })).count();
            lowered.push(self.mount(options, source, agents)?);
        }
        Ok(lowered)
    }

    /// `agents` is how many agents the step has already.
    fn mount(
        &self,
        options: MountOptions,
        from: Option<CopyFrom>,
        agents: usize,
    ) -> Result<RunMount, StepError> {
        let permissions = |mode: u32| Permissions {
            uid: options.uid.unwrap_or(0),
            gid: options.gid.unwrap_or(0),
            mode: options.mode.unwrap_or(mode),
        };
        let source = || options.source.clone().unwrap_or_else(|| "/".to_owned());
        let target = options.target.as_deref().map(|path| self.mount_target(path)).transpose()?;
        let needed = || {
            target.clone().ok_or_else(|| {
                StepError::Invalid("a mount needs its place in the step: target=/PATH".to_owned())
            })
        };
        let required = options.required;
        let (target, kind) = match options.kind {
            MountKind::Bind => {
                let from = from.unwrap_or(CopyFrom::Context);
                (Some(needed()?), RunMountKind::Bind { from, source: source(), writable: !options.read_only })
            }
            MountKind::Cache => {
                let target = needed()?;
                let kind = RunMountKind::Cache {
                    id: options.id.clone().unwrap_or_else(|| target.clone()),
                    sharing: options.sharing.unwrap_or_default(),
                    from,
                    source: source(),
                    permissions: permissions(0o755),
                    read_only: options.read_only,
                };
                (Some(target), kind)
            }
            MountKind::Tmpfs => (Some(needed()?), RunMountKind::Memory { size: options.size_limit }),
            MountKind::Secret => {
                let named = options.id.clone().or_else(|| options.source.clone());
                let id = named.or_else(|| last_name(target.as_deref()?)).unwrap_or_default();
                // As a variable only, unless a place is named, too.
                let file = target.or_else(|| options.env.is_none().then(|| format!("{SECRETS}/{id}")));
                let variable =
                    options.env.clone().map(|name| if name.is_empty() { id.clone() } else { name });
                let permissions = permissions(0o400);
                (file, RunMountKind::Secret { id, variable, permissions, required })
            }
            MountKind::Ssh => {
                let id = options.id.clone().unwrap_or_else(|| "default".to_owned());
                let target = target.unwrap_or_else(|| format!("{AGENT}.{agents}"));
                (Some(target), RunMountKind::Agent { id, permissions: permissions(0o600), required })
            }
        };
        Ok(RunMount { target, kind })
    }

    fn mount_target(&self, path: &str) -> Result<String, StepError> {
        match self.absolute(path) {
            root if root == "/" => Err(StepError::Invalid("nothing can be mounted on /".to_owned())),
            target => Ok(target),
        }
    }
}

fn last_name(path: &str) -> Option<String> {
    path.rsplit('/').next().map(str::to_owned)
}
