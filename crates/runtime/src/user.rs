//! Docker's `USER`, resolved with the image's own passwd and group files. Pure, apart from the reading.

use std::path::Path;

use crate::inside::Root;
use crate::outcome::StartError;

/// Who the program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, sorted; `gid` is one of them, as with every engine since CVE-2022-36109.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Resolves `user` in a root file system. `extra` are more supplementary groups.
pub(crate) fn resolve(root: &Root, user: &str, extra: &[u32]) -> Result<User, StartError> {
    let unknown = |reason: String| StartError::UnknownUser { user: user.to_owned(), reason };
    let read = |path: &str| {
        let text =
            root.read(Path::new(path)).map_err(|error| unknown(format!("the image's {path}: {error}")))?;
        Ok::<_, StartError>(text.unwrap_or_default())
    };
    look_up(user, extra, &read("/etc/passwd")?, &read("/etc/group")?).map_err(unknown)
}

/// The rules: a name is looked up; a number that no entry has is taken as it is. An explicit group replaces both the
/// user's own and the supplementary ones.
fn look_up(user: &str, extra: &[u32], passwd: &str, group: &str) -> Result<User, String> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name).filter(|name| !name.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok();
    // A name made of digits is a number first, as in Docker.
    let entry = match number {
        Some(uid) => accounts(passwd).find(|account| account.uid == uid),
        None => accounts(passwd).find(|account| account.name == name),
    };
    let uid = entry.as_ref().map(|account| account.uid).or(number);
    let uid = uid.ok_or_else(|| format!("there is no {name:?} in the image's /etc/passwd"))?;
    let gid = match group_name {
        Some(group_name) => group_id(group, group_name)?,
        None => entry.as_ref().map_or(0, |account| account.gid),
    };
    let mut groups = extra.to_vec();
    if let (Some(account), None) = (&entry, group_name) {
        groups.extend(memberships(group, account.name));
    }
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    let home = entry.as_ref().map_or("/", |account| account.home);
    Ok(User { uid, gid, groups, home: if home.is_empty() { "/" } else { home }.to_owned() })
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Lines that are not well formed are passed over, as the C library does.
fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

fn group_id(group: &str, name: &str) -> Result<u32, String> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let line = group.lines().find(|line| line.split(':').next() == Some(name));
    line.and_then(|line| line.split(':').nth(2)?.parse().ok())
        .ok_or_else(|| format!("there is no group {name:?} in the image's /etc/group"))
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    let member = |line: &str| -> Option<u32> {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.parse().ok()?;
        fields.next()?.split(',').any(|name| name == user).then_some(gid)
    };
    group.lines().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# note\nbroken\nnode:x:1000:1000::/home/node:/bin/sh\n\
                          web:x:33:33:::\n";
    const GROUP: &str = "root:x:0:\nnode:x:1000:\naudio:x:29:node,web\nwheel:x:10:root,node\n";

    fn user(text: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
        look_up(text, &[], PASSWD, GROUP).map(|user| (user.uid, user.gid, user.groups, user.home))
    }

    #[test]
    fn every_form_of_user_is_resolved_as_docker_does() {
        let root = Ok((0, 0, vec![0, 10], "/root".to_owned()));
        assert_eq!(user(""), root);
        assert_eq!(user("root"), root);
        assert_eq!(user("node"), Ok((1000, 1000, vec![10, 29, 1000], "/home/node".to_owned())));
        assert_eq!(user("1000"), user("node"));
        assert_eq!(user("node:audio"), Ok((1000, 29, vec![29], "/home/node".to_owned())));
        assert_eq!(user("4242:77"), Ok((4242, 77, vec![77], "/".to_owned())));
        assert_eq!(user("4242"), Ok((4242, 0, vec![0], "/".to_owned())));
        assert_eq!(user("web"), Ok((33, 33, vec![29, 33], "/".to_owned())));
    }

    #[test]
    fn names_that_are_not_there_are_errors() {
        assert!(user("nobody").unwrap_err().contains("/etc/passwd"));
        assert!(user("node:nogroup").unwrap_err().contains("/etc/group"));
        assert!(user("-1").is_err());
        assert!(user("99999999999").is_err());
    }

    proptest! {
        #[test]
        fn hostile_files_never_panic(user in ".{0,20}", passwd in ".{0,200}", group in ".{0,200}") {
            let _any_answer = look_up(&user, &[5], &passwd, &group);
        }
    }
}
