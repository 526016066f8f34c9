//! The name of an Application that has none.

use std::path::Path;

use minato_sync::ApplicationName;
use sha2::{Digest, Sha256};

/// How many hex digits of the path's hash a name carries.
const HASH_DIGITS: usize = 6;

/// A label has at most 63 characters (RFC 1123), of which the hash takes seven.
const MAX_FOLDER: usize = 63 - 1 - HASH_DIGITS;

/// The folder's name and a short hash of its path: `hello-3f9a1c`. Two folders of one name get different names, and
/// a folder keeps its own.
pub fn application_name(folder: &Path) -> ApplicationName {
    let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let hash = hex::encode(Sha256::digest(folder.as_os_str().as_encoded_bytes()));
    let name = format!("{}-{}", label(&name), &hash[..HASH_DIGITS]);
    name.parse().expect("a label of lower-case letters and digits, joined to hex digits, is a name")
}

/// What a label may hold, with `-` for the rest; `app` when nothing is left.
fn label(name: &str) -> String {
    let mut label = String::new();
    for character in name.chars().flat_map(char::to_lowercase).take(MAX_FOLDER) {
        match character {
            'a'..='z' | '0'..='9' => label.push(character),
            _ if label.is_empty() || label.ends_with('-') => {}
            _ => label.push('-'),
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() { "app".to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_the_folder_and_a_hash_of_its_path() {
        let check = |path: &str, start: &str| {
            let name = application_name(Path::new(path));
            assert!(name.as_str().starts_with(start), "{name}");
            assert_eq!(name.as_str().len(), start.len() + HASH_DIGITS);
        };
        check("/work/hello", "hello-");
        check("/work/My App_2", "my-app-2-");
        check("/work/.hidden.", "hidden-");
        check("/", "app-");
        check("/work/日本", "app-");
        assert_ne!(application_name(Path::new("/a/web")), application_name(Path::new("/b/web")));
        assert_eq!(application_name(Path::new("/a/web")), application_name(Path::new("/a/web")));
    }

    proptest! {
        #[test]
        fn every_folder_has_a_name(name in ".{0,100}") {
            let label = application_name(&Path::new("/x").join(name));
            prop_assert!(label.as_str().len() <= 63);
        }
    }
}
