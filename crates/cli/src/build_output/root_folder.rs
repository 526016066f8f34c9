//! An image's root file system as files.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use minato_oci::layer::{UnpackOptions, unpack, write_merged_tar};
use minato_oci::{Image, Store};

/// Writes the files of `image` into `folder`, over what is there. They arrive beside their place first: a layer that
/// can't be read leaves the folder as it was.
pub fn write(store: &Store, image: &Image, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let staged = tempfile::Builder::new().prefix(".minato-").tempdir_in(folder)?;
    let tree = staged.path().join("tree");
    fs::create_dir(&tree)?;
    let trees: Vec<PathBuf> = store.image_layers(image)?.into_iter().map(|layer| layer.path).collect();
    let (reader, writer) = io::pipe()?;
    // An ordinary user can give files to nobody else.
    let user = rustix::process::geteuid();
    let owner = (!user.is_root()).then(|| (user.as_raw(), rustix::process::getegid().as_raw()));
    let options = UnpackOptions { owner, ..UnpackOptions::default() };
    let (written, unpacked) = std::thread::scope(|scope| {
        let writing =
            scope.spawn(|| write_merged_tar(&trees, io::BufWriter::new(writer))?.flush().map_err(Into::into));
        let unpacked = unpack(io::BufReader::new(reader), &tree, &options);
        (writing.join().unwrap_or_else(|_| Err(anyhow!("reading the image ended early"))), unpacked)
    });
    // A broken tar breaks its reader, too.
    written?;
    unpacked?;
    place(&tree, folder)
}

/// Moves what is in `from` to `to`, folder by folder.
fn place(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let is_folder = entry.file_type()?.is_dir();
        let found = fs::symlink_metadata(&target).ok();
        if is_folder && found.is_some_and(|found| found.is_dir()) {
            place(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}
