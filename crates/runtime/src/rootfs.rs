//! Mounts a container's root file system in the shim's own mount namespace, from which it vanishes with the shim and
//! the container, however they end.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use crate::outcome::StartError;
use crate::spec::Rootfs;

/// Gives this process its own mounts. Those of the host still come and go in it; its own never reach the host.
pub(crate) fn own_mounts() -> io::Result<()> {
    // SAFETY: the shim has one thread; its mounts and its own view of them change, nothing in memory.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", flags)?;
    Ok(())
}

/// Mounts the root file system below the container's folder and says where.
pub(crate) fn prepare(
    rootfs: &Rootfs,
    folder: &Path,
    in_user_namespace: bool,
) -> Result<PathBuf, StartError> {
    let failed = |step: &str, error: io::Error| StartError::Rootfs { reason: format!("{step}: {error}") };
    let target = folder.join("rootfs");
    make_private(&target).map_err(|error| failed("making its folder", error))?;
    match rootfs {
        Rootfs::Folder { path, .. } => {
            rustix::mount::mount_bind_recursive(path, &target)
                .map_err(|error| failed(&format!("mounting {}", path.display()), error.into()))?;
        }
        Rootfs::Layers { layers, .. } => {
            let (upper, work) = (folder.join("upper"), folder.join("work"));
            for path in [&upper, &work] {
                make_private(path).map_err(|error| failed("making the writable layer", error))?;
            }
            // What the container writes is thrown away with it: nothing needs to reach the disk.
            let overlay = Overlay { layers, upper: &upper, work: &work, volatile: true, in_user_namespace };
            overlay.mount(&target)?;
        }
        Rootfs::Overlay { layers, upper, work } => {
            Overlay { layers, upper, work, volatile: false, in_user_namespace }.mount(&target)?;
        }
    }
    Ok(target)
}

struct Overlay<'a> {
    layers: &'a [PathBuf],
    upper: &'a Path,
    work: &'a Path,
    volatile: bool,
    in_user_namespace: bool,
}

impl Overlay<'_> {
    fn mount(&self, target: &Path) -> Result<(), StartError> {
        let lowers = self.open_lowers()?;
        let open = |path| open_folder(path).map_err(|reason| StartError::Rootfs { reason });
        let (upper, work) = (open(self.upper)?, open(self.work)?);
        let options = self.options(&lowers, &upper, &work);
        let volatile = if self.volatile { ",volatile" } else { "" };
        let attempt = |options: String| {
            let data = std::ffi::CString::new(options).map_err(io::Error::other)?;
            Ok::<(), io::Error>(mount("overlay", target, "overlay", MountFlags::empty(), data.as_c_str())?)
        };
        // Kernels before 5.10 have no "volatile"; without it only unmounting is slower.
        attempt(format!("{options}{volatile}")).or_else(|_| attempt(options)).map_err(|error| {
            StartError::Rootfs {
                reason: format!(
                    "mounting {} layers with overlayfs: {error}{}",
                    self.layers.len(),
                    hint(&error)
                ),
            }
        })
    }

    /// The kernel wants the uppermost first, and none twice: of equal ones only the uppermost shows.
    fn open_lowers(&self) -> Result<Vec<OwnedFd>, StartError> {
        let mut layers: Vec<&PathBuf> = Vec::new();
        for layer in self.layers.iter().rev() {
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        let opened = layers.into_iter().map(|layer| open_folder(layer));
        opened.collect::<Result<_, _>>().map_err(|reason| StartError::Rootfs { reason })
    }

    /// Folders by descriptor: mount options end at one page, and paths may hold ':' and ','. An upper folder must be
    /// complete without its lowers, because layers are made of it: no redirects, no files without content.
    fn options(&self, lowers: &[OwnedFd], upper: &OwnedFd, work: &OwnedFd) -> String {
        let path = |folder: &OwnedFd| format!("/proc/self/fd/{}", folder.as_raw_fd());
        let lower = lowers.iter().map(path).collect::<Vec<_>>().join(":");
        // A user namespace implies the latter two, and refuses to be told so.
        let complete = if self.in_user_namespace { "userxattr" } else { "redirect_dir=off,metacopy=off" };
        format!("lowerdir={lower},upperdir={},workdir={},index=off,{complete}", path(upper), path(work))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "; is the data folder itself on an overlay? give --data-dir on another file system"
        }
        Some(libc::ENODEV) => "; this kernel has no overlayfs",
        _ => "",
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, String> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("layer {}: {error}", path.display()))
}

/// The root folder of a container is entered by its user, so it is open to all; the folder above it is not.
fn make_private(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
