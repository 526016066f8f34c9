//! A checked-out tree, made the same on every machine.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Gives folders the mode 0755 and files 0755 or 0644, whatever the user's mask is: Git keeps no more than whether a file
/// can be executed.
pub(crate) fn settle_modes(tree: &Path) -> io::Result<()> {
    each(tree, &mut |path, metadata| {
        let mode = match () {
            () if metadata.is_symlink() => return Ok(true),
            () if metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0 => 0o755,
            () => 0o644,
        };
        fs::set_permissions(path, Permissions::from_mode(mode)).map(|()| true)
    })
}

/// Takes away everything called `.git`, that of submodules too.
pub(crate) fn without_git_folders(tree: &Path) -> io::Result<()> {
    each(tree, &mut |path, metadata| {
        if path.file_name().is_none_or(|name| name != ".git") {
            return Ok(true);
        }
        if metadata.is_dir() {
            fs::remove_dir_all(path)?
        } else {
            fs::remove_file(path)?
        }
        Ok(false)
    })
}

/// Visits the tree's root and everything in it; folders are entered when the visitor says so.
fn each(tree: &Path, visit: &mut impl FnMut(&Path, &fs::Metadata) -> io::Result<bool>) -> io::Result<()> {
    let mut open: Vec<PathBuf> = vec![tree.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata()?;
        if visit(&path, &metadata)? && metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(())
}
