//! `--chown` and the owner of a WORKDIR: names are looked up in the image, not on this machine.

use std::path::Path;

use crate::tree::{Kind, Tree, TreeError, resolve};

/// Numbers of a user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Larger user databases than any image has.
const MAX_DATABASE: u64 = 8 << 20;

/// Why an owner is not known.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The name is not in the image's database.
    #[error("{kind} {name:?} is not in /etc/{file} of the image; add it in a RUN before, or use a number")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// `passwd` or `group`.
        file: &'static str,
    },
    /// The database can't be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Owner {
    pub(crate) const ROOT: Owner = Owner { uid: 0, gid: 0 };
}

/// Finds `user[:group]` in the root file system `tree`. A user by name brings its group along; a user by number has
/// the group of that number, as `BuildKit` takes it.
pub(crate) fn owner_in(tree: &dyn Tree, text: &str) -> Result<Owner, OwnerError> {
    let (user, group) = text.split_once(':').map_or((text, ""), |(user, group)| (user, group));
    let mut owner = match (user, user.parse()) {
        ("", _) => Owner::ROOT,
        (_, Ok(uid)) => Owner { uid, gid: uid },
        (name, Err(_)) => {
            let fields = find(tree, "user", "passwd", name)?;
            Owner { uid: fields[0], gid: fields[1] }
        }
    };
    owner.gid = match (group, group.parse()) {
        ("", _) => owner.gid,
        (_, Ok(gid)) => gid,
        (name, Err(_)) => find(tree, "group", "group", name)?[0],
    };
    Ok(owner)
}

/// The numbers in the third and fourth field of `name`'s line.
fn find(tree: &dyn Tree, kind: &'static str, file: &'static str, name: &str) -> Result<[u32; 2], OwnerError> {
    let text = database(tree, file)?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some([uid, fields.next().and_then(|gid| gid.parse().ok()).unwrap_or(uid)])
    });
    found.ok_or_else(|| OwnerError::Unknown { kind, name: name.to_owned(), file })
}

/// The text of a database; empty when there is none, or something that is no text.
fn database(tree: &dyn Tree, file: &str) -> Result<String, TreeError> {
    let path = resolve(tree, &Path::new("etc").join(file))?;
    match tree.node(&path)? {
        Some(node) if node.kind == Kind::File && node.identity.size <= MAX_DATABASE => {
            let bytes = std::fs::read(&node.place).map_err(TreeError::read(&node.place))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Snapshot;

    #[test]
    fn names_are_found_in_the_image() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("passwd"), "root:x:0:0::/:/bin/sh\nbroken\napp:x:1000:1001:::\n").unwrap();
        std::fs::write(etc.join("group"), "app:x:1001:\nstaff:x:50:app\n").unwrap();
        let tree = Snapshot::of_folder(root.path());
        for (text, uid, gid) in [
            ("app", 1000, 1001),
            ("app:staff", 1000, 50),
            ("12", 12, 12),
            ("12:13", 12, 13),
            ("12:staff", 12, 50),
            ("app:7", 1000, 7),
            (":staff", 0, 50),
        ] {
            assert_eq!(owner_in(&tree, text).unwrap(), Owner { uid, gid }, "{text}");
        }
        let error = owner_in(&tree, "nobody").unwrap_err().to_string();
        assert!(error.contains(r#"user "nobody" is not in /etc/passwd"#), "{error}");
        assert!(owner_in(&tree, "app:wheel").is_err());
    }
}
