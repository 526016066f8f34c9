//! Mounts a container's root file system in the shim's own mount namespace, from which it vanishes with the shim and
//! the container, however they end.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use crate::inside::Root;
use crate::outcome::StartError;
use crate::spec::{Mount, Rootfs, Writable};

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
            let writable = Some(&Writable { upper, work });
            Overlay { layers, writable, volatile: true, in_user_namespace }.mount(&target)?;
        }
        Rootfs::Overlay { layers, upper, work } => {
            let writable = Some(&Writable { upper: upper.clone(), work: work.clone() });
            Overlay { layers, writable, volatile: false, in_user_namespace }.mount(&target)?;
        }
    }
    Ok(target)
}

/// What a container takes of other layers, mounted below its folder until the container has it.
#[derive(Debug, Default)]
pub(crate) struct ForeignLayers(Vec<PathBuf>);

impl ForeignLayers {
    /// Mounts them, and makes plain binds of `mounts`.
    pub(crate) fn mount(
        mounts: &mut [Mount],
        folder: &Path,
        in_user_namespace: bool,
    ) -> Result<Self, StartError> {
        let mut places = Vec::new();
        for mount in mounts {
            let Mount::Layers { layers, path, target, writable } = mount else { continue };
            let place = folder.join(format!("mount-{}", places.len()));
            let failed = |error: io::Error| StartError::BadMountTarget {
                path: target.clone(),
                reason: format!("making what is to be mounted: {error}"),
            };
            make_private(&place).map_err(failed)?;
            show(layers, writable.as_ref(), &place, in_user_namespace)?;
            let found = Root::open(&place).and_then(|root| root.place(path)).map_err(failed)?;
            let source = found.ok_or_else(|| StartError::MissingMountSource { path: path.clone() })?;
            *mount = Mount::Bind { source, target: target.clone(), read_only: writable.is_none() };
            places.push(place);
        }
        Ok(Self(places))
    }

    /// Takes them away again; the container keeps its own mounts of them.
    pub(crate) fn detach(self) {
        for place in self.0 {
            // They end with the shim at the latest.
            let _left = rustix::mount::unmount(&place, UnmountFlags::DETACH);
        }
    }
}

/// Mounts layers as one tree.
fn show(
    layers: &[PathBuf],
    writable: Option<&Writable>,
    place: &Path,
    in_user_namespace: bool,
) -> Result<(), StartError> {
    match (uppermost_first(layers).as_slice(), writable) {
        ([], _) => Ok(()),
        // The kernel makes no overlay of a single folder.
        ([layer], None) => rustix::mount::mount_bind_recursive(layer.as_path(), place)
            .map_err(|error| StartError::Rootfs { reason: format!("mounting {}: {error}", layer.display()) }),
        _ => Overlay { layers, writable, volatile: false, in_user_namespace }.mount(place),
    }
}

struct Overlay<'a> {
    layers: &'a [PathBuf],
    /// Without it the overlay is read-only.
    writable: Option<&'a Writable>,
    volatile: bool,
    in_user_namespace: bool,
}

impl Overlay<'_> {
    fn mount(&self, target: &Path) -> Result<(), StartError> {
        let lowers = self.open_lowers()?;
        let open = |path: &Path| open_folder(path).map_err(|reason| StartError::Rootfs { reason });
        let writable =
            self.writable.map(|it| Ok::<_, StartError>((open(&it.upper)?, open(&it.work)?))).transpose()?;
        let options = self.options(&lowers, writable.as_ref());
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

    fn open_lowers(&self) -> Result<Vec<OwnedFd>, StartError> {
        let opened = uppermost_first(self.layers).into_iter().map(|layer| open_folder(layer));
        opened.collect::<Result<_, _>>().map_err(|reason| StartError::Rootfs { reason })
    }

    /// Folders by descriptor: mount options end at one page, and paths may hold ':' and ','. An upper folder must be
    /// complete without its lowers, because layers are made of it: no redirects, no files without content.
    fn options(&self, lowers: &[OwnedFd], writable: Option<&(OwnedFd, OwnedFd)>) -> String {
        let path = |folder: &OwnedFd| format!("/proc/self/fd/{}", folder.as_raw_fd());
        let lower = lowers.iter().map(path).collect::<Vec<_>>().join(":");
        // A user namespace implies the latter two, and refuses to be told so.
        let complete = if self.in_user_namespace { "userxattr" } else { "redirect_dir=off,metacopy=off" };
        let writable = writable
            .map(|(upper, work)| format!(",upperdir={},workdir={}", path(upper), path(work)))
            .unwrap_or_default();
        format!("lowerdir={lower}{writable},index=off,{complete}")
    }
}

/// As the kernel wants them: none twice, of equal ones only the uppermost shows.
fn uppermost_first(layers: &[PathBuf]) -> Vec<&PathBuf> {
    let mut distinct = Vec::new();
    for layer in layers.iter().rev() {
        if !distinct.contains(&layer) {
            distinct.push(layer);
        }
    }
    distinct
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
