//! Paths inside a tree.

use std::fmt;

/// A path below a tree's root, with `/` between its parts and no `.` or `..`. The root itself is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelativePath(String);

/// A path that does not stay inside the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It starts with `/`, or with a drive.
    #[error("`{0}` is an absolute path; write it relative to the repository's root")]
    Absolute(String),
    /// It climbs out with `..`.
    #[error("`{0}` leads out of the repository")]
    Outside(String),
    /// It has a NUL byte, which no file's name has.
    #[error("a path must not hold a NUL byte")]
    Nul,
}

impl RelativePath {
    /// The tree's root.
    pub fn root() -> RelativePath {
        RelativePath::default()
    }

    /// Reads a path as people write it: `./k8s//base/`, `a/../b`.
    ///
    /// # Errors
    /// It is absolute or leads out of the tree.
    pub fn parse(text: &str) -> Result<RelativePath, PathError> {
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        if text.starts_with('/') || text.starts_with('\\') {
            return Err(PathError::Absolute(text.to_owned()));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| PathError::Outside(text.to_owned()))?;
                }
                part => parts.push(part),
            }
        }
        Ok(RelativePath(parts.join("/")))
    }

    /// A path below this one.
    ///
    /// # Errors
    /// It is absolute or leads out of the tree; `..` within the tree is fine.
    pub fn join(&self, text: &str) -> Result<RelativePath, PathError> {
        if self.is_root() || text.starts_with('/') {
            return RelativePath::parse(text);
        }
        RelativePath::parse(&format!("{}/{text}", self.0))
    }

    /// The path as text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the tree's root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last part: the file's name.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> RelativePath {
        RelativePath(self.0.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned())
    }

    /// What follows the last dot of the name.
    pub fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The path relative to a folder, when it lies below it.
    pub fn below(&self, folder: &RelativePath) -> Option<&str> {
        if folder.is_root() {
            return Some(&self.0);
        }
        self.0.strip_prefix(folder.as_str())?.strip_prefix('/')
    }

    /// A part of a walk: the name is one that the file system gave.
    pub(crate) fn child(&self, name: &str) -> RelativePath {
        RelativePath(if self.0.is_empty() { name.to_owned() } else { format!("{}/{name}", self.0) })
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_brought_into_one_form_or_refused() {
        let check = |text: &str, expected: Option<&str>| {
            let found = RelativePath::parse(text).ok();
            assert_eq!(found.as_ref().map(RelativePath::as_str), expected, "{text:?}");
        };
        check("./k8s//base/", Some("k8s/base"));
        check("a/../b", Some("b"));
        check("", Some(""));
        check(".", Some(""));
        check("..", None);
        check("a/../../b", None);
        check("/etc/passwd", None);
        check("\\\\server\\share", None);
        check("a\0b", None);
    }

    #[test]
    fn parts_of_a_path() {
        let path = RelativePath::parse("k8s/base/web.prod.yaml").unwrap();
        assert_eq!(
            (path.name(), path.extension(), path.folder().as_str()),
            ("web.prod.yaml", "yaml", "k8s/base")
        );
        assert_eq!(path.below(&RelativePath::parse("k8s").unwrap()), Some("base/web.prod.yaml"));
        assert_eq!(path.below(&RelativePath::parse("k8").unwrap()), None);
        assert_eq!(path.folder().join("../x").unwrap().as_str(), "k8s/x");
        assert!(path.folder().join("/x").is_err());
    }

    proptest! {
        #[test]
        fn no_text_leads_out(text in "[./a\\\\\u{0}-]{0,20}") {
            if let Ok(path) = RelativePath::parse(&text) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|part| part != ".." && part != "."));
            }
        }
    }
}
