//! What mounting leaves behind: a file or folder to mount on, made in the image because it was not there.

use std::path::{Path, PathBuf};

use crate::executor::{RunStep, StepMount};
use crate::tree::{Node, Snapshot, Tree, TreeError, normalise, resolve};

/// Paths that mounting creates in the step's upper folder and that do not belong into the layer.
pub(super) struct Stubs(Vec<PathBuf>);

impl Stubs {
    /// What will be made for `step`, which runs on `root`: the targets that are missing, and the folders above them.
    pub(super) fn of(step: &RunStep, root: &Snapshot) -> Result<Self, TreeError> {
        let system = ["/etc/resolv.conf", "/etc/hosts"].map(Path::new);
        let files = step.files.iter().map(|file| file.target.as_path());
        let scripts = step.scripts.iter().map(|(path, _)| path.as_path());
        let mounts = step.mounts.iter().map(StepMount::target);
        let mut missing = Vec::new();
        for target in system.into_iter().chain(files).chain(scripts).chain(mounts) {
            let real = resolve(root, &normalise(target))?;
            for path in real.ancestors().filter(|path| !path.as_os_str().is_empty()) {
                if root.node(path)?.is_some() {
                    break;
                }
                missing.push(path.to_owned());
            }
        }
        Ok(Self(missing))
    }

    /// Takes them away, as long as the step put nothing into them.
    pub(super) fn remove_from(&self, upper: &Path) -> Result<(), TreeError> {
        for path in &self.0 {
            let place = upper.join(path);
            let Some(node) = Node::at(place)? else { continue };
            // Other things, and folders with something in them, are the step's own.
            let _own = match node.kind {
                crate::tree::Kind::Directory => std::fs::remove_dir(&node.place),
                crate::tree::Kind::File if node.identity.size == 0 => std::fs::remove_file(&node.place),
                _ => Ok(()),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{StepNetwork, Surroundings};
    use crate::request::PassedFile;

    #[test]
    fn only_what_mounting_made_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let (root, upper) = (folder.path().join("root"), folder.path().join("upper"));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::os::unix::fs::symlink("/run/hosts", root.join("etc/hosts")).unwrap();
        let ca = PassedFile { source: "/ca".into(), target: "/usr/share/ca/ca.crt".into() };
        let step = RunStep {
            layers: Vec::new(),
            upper: upper.clone(),
            work: PathBuf::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: String::new(),
            network: StepNetwork::Host,
            files: vec![ca],
            scripts: Vec::new(),
            mounts: Vec::new(),
            surroundings: Surroundings::default(),
            insecure: false,
            platform: minato_oci::Platform::host(),
        };
        let stubs = Stubs::of(&step, &Snapshot::of_folder(&root)).unwrap();
        for folder in ["etc", "run", "usr/share/ca"] {
            std::fs::create_dir_all(upper.join(folder)).unwrap();
        }
        for stub in ["etc/resolv.conf", "run/hosts", "usr/share/ca/ca.crt"] {
            std::fs::write(upper.join(stub), "").unwrap();
        }
        std::fs::write(upper.join("usr/share/own"), "").unwrap();
        stubs.remove_from(&upper).unwrap();
        let left: Vec<String> = Snapshot::of_folder(&upper)
            .below(Path::new(""))
            .unwrap()
            .into_iter()
            .map(|(path, _)| path.display().to_string())
            .collect();
        assert_eq!(left, ["etc", "usr", "usr/share", "usr/share/own"]);
    }
}
