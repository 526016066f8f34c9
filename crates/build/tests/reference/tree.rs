//! What two root file systems differ in.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// All of a file that an image keeps, as text.
type Files = BTreeMap<PathBuf, String>;

pub fn differences(expected: &Path, found: &Path) -> Vec<String> {
    let (expected, found) = (describe(expected), describe(found));
    let paths: std::collections::BTreeSet<&PathBuf> = expected.keys().chain(found.keys()).collect();
    let nothing = "nothing".to_owned();
    let differs = paths.into_iter().filter_map(|path| {
        let one = expected.get(path).unwrap_or(&nothing);
        let other = found.get(path).unwrap_or(&nothing);
        (one != other).then(|| format!("/{}: expected {one}, found {other}", path.display()))
    });
    differs.collect()
}

fn describe(root: &Path) -> Files {
    let mut files = Files::new();
    let mut inodes: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push(path.clone());
            }
            found.push((path, metadata));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, metadata) in found {
        let inside = path.strip_prefix(root).unwrap().to_owned();
        let first = inodes.entry((metadata.dev(), metadata.ino())).or_insert_with(|| inside.clone());
        let link =
            if *first == inside { String::new() } else { format!(" same file as /{}", first.display()) };
        files.insert(inside, format!("{}{link}", entry(&path, &metadata)));
    }
    files
}

fn entry(path: &Path, metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "folder".to_owned()
    } else if kind.is_symlink() {
        format!("link to {}", std::fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        let content = std::fs::read(path).unwrap();
        let shown: String = String::from_utf8_lossy(&content).chars().take(80).collect();
        format!("file {} {shown:?}", minato_oci::Digest::sha256(&content).short())
    } else if kind.is_fifo() {
        "pipe".to_owned()
    } else {
        format!("device {:x}", metadata.rdev())
    };
    let mut value = [0; 64];
    let capability =
        rustix::fs::lgetxattr(path, "security.capability", &mut value).map_or(0, |length| length);
    let capability =
        if capability == 0 { String::new() } else { format!(" capability {:?}", &value[..capability]) };
    format!("{:04o} {}:{} {what}{capability}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
}
