//! Which commit a `targetRevision` means: pure, over what a repository says of its branches and tags.

use std::collections::BTreeMap;

use minato_resource::nearest;

/// A commit's name in full, as Git writes it: 40 or 64 hex digits in lower case. It never moves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CommitId(String);

impl CommitId {
    /// Reads a full name; `None` when it is another text.
    pub(crate) fn parse(text: &str) -> Option<CommitId> {
        let is_full = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_full.then(|| CommitId(text.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A `targetRevision`, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing was said, or `HEAD`: the newest commit of the main branch.
    Head,
    /// One commit.
    Commit(CommitId),
    /// A branch, a tag, a full reference, or the start of a commit's name.
    Name(String),
}

/// A text that names no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a revision; write a branch, a tag, a commit, or HEAD")]
pub(crate) struct RevisionError {
    text: String,
}

impl Wanted {
    /// Reads a `targetRevision`. What Git allows in no reference's name (git-check-ref-format) is refused, so that
    /// nothing in it is an option, a range or an expression.
    pub(crate) fn parse(text: &str) -> Result<Wanted, RevisionError> {
        const MAX_LENGTH: usize = 1024;
        let refused = |byte: u8| byte.is_ascii_control() || b" ~^:?*[\\\x7f".contains(&byte);
        let is_wrong = text.starts_with(['-', '/', '.'])
            || text.ends_with(['/', '.'])
            || [".lock", "..", "//", "@{"].iter().any(|part| text.contains(part))
            || text.len() > MAX_LENGTH
            || text.bytes().any(refused);
        match text {
            "" | "HEAD" => Ok(Wanted::Head),
            _ if is_wrong => Err(RevisionError { text: text.chars().take(80).collect() }),
            _ => Ok(CommitId::parse(text).map_or_else(|| Wanted::Name(text.to_owned()), Wanted::Commit)),
        }
    }
}

/// The branches and tags of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct References {
    head: Option<CommitId>,
    /// Full name (`refs/heads/main`) → commit; an annotated tag's is the commit that it names.
    commits: BTreeMap<String, CommitId>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// This commit.
    Commit(CommitId),
    /// Several references have this short name, and they name different commits.
    Ambiguous(Vec<String>),
    /// No reference has it. `nearest` is one of almost the same name.
    Unknown { nearest: Option<String> },
}

impl References {
    /// Reads what `git ls-remote` prints: `COMMIT\tNAME` lines, where `NAME^{}` is the commit behind an annotated tag.
    pub(crate) fn parse(text: &str) -> References {
        let mut references = References::default();
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        for (id, name) in lines {
            let Some(id) = CommitId::parse(id) else { continue };
            match name.strip_suffix("^{}").unwrap_or(name) {
                "HEAD" => references.head = Some(id),
                // The line of the tag's commit comes after that of the tag.
                name => {
                    references.commits.insert(name.to_owned(), id);
                }
            }
        }
        references
    }

    /// The newest commit of the main branch; `None` in a repository without one.
    pub(crate) fn head(&self) -> Option<&CommitId> {
        self.head.as_ref()
    }

    /// The branch or tag of that name, short (`main`) or in full (`refs/heads/main`).
    pub(crate) fn find(&self, name: &str) -> Meaning {
        let candidates = [
            name.to_owned(),
            format!("refs/{name}"),
            format!("refs/tags/{name}"),
            format!("refs/heads/{name}"),
        ];
        let found: Vec<(&String, &CommitId)> =
            candidates.iter().filter_map(|name| self.commits.get_key_value(name)).collect();
        match found.as_slice() {
            [] => Meaning::Unknown { nearest: self.nearest(name) },
            [(_, first), others @ ..] if others.iter().all(|(_, commit)| commit == first) => {
                Meaning::Commit((*first).clone())
            }
            several => Meaning::Ambiguous(several.iter().map(|(name, _)| (*name).clone()).collect()),
        }
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let short = |name: &'_ str| -> Option<String> {
            let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))?;
            Some(short.to_owned())
        };
        let names: Vec<String> = self.commits.keys().filter_map(|name| short(name)).collect();
        nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

/// Whether a name could be the start of a commit's: Git takes four digits at least.
pub(crate) fn may_be_short_commit(name: &str) -> bool {
    (4..64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn references() -> References {
        let lines = [
            (id('1'), "HEAD"),
            (id('1'), "refs/heads/main"),
            (id('2'), "refs/heads/release/1.2"),
            (id('3'), "refs/tags/v1.0"),
            (id('4'), "refs/tags/v1.0^{}"),
            (id('5'), "refs/heads/both"),
            (id('6'), "refs/tags/both"),
            (id('7'), "refs/heads/same"),
            (id('7'), "refs/tags/same"),
            (id('8'), "refs/pull/1/head"),
        ];
        let text: String = lines.iter().map(|(id, name)| format!("{id}\t{name}\n")).collect();
        References::parse(&(text + "garbage\nxyz\trefs/heads/broken\n"))
    }

    #[test]
    fn a_name_means_one_commit_or_says_why_not() {
        let check = |name: &str, expected: &str| {
            let found = match references().find(name) {
                Meaning::Commit(commit) => commit.as_str()[..1].to_owned(),
                Meaning::Ambiguous(names) => names.join(" "),
                Meaning::Unknown { nearest } => format!("? {}", nearest.unwrap_or_default()),
            };
            assert_eq!(found, expected, "{name}");
        };
        check("main", "1");
        check("refs/heads/main", "1");
        check("heads/main", "1");
        check("release/1.2", "2");
        check("v1.0", "4");
        check("both", "refs/tags/both refs/heads/both");
        check("refs/tags/both", "6");
        check("same", "7");
        check("refs/pull/1/head", "8");
        check("mian", "? main");
        check("release/1.3", "? release/1.2");
        check("broken", "? ");
        assert_eq!(references().head().unwrap().as_str(), id('1'));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "-x",
            "--upload-pack=x",
            "a..b",
            "main~1",
            "main^",
            "a b",
            "a:b",
            "v*",
            "@{u}",
            "a\nb",
            "x.lock",
            "/a",
            "a/",
        ] {
            assert!(Wanted::parse(text).is_err(), "{text}");
        }
        assert_eq!(Wanted::parse(""), Ok(Wanted::Head));
        assert_eq!(Wanted::parse("HEAD"), Ok(Wanted::Head));
        assert_eq!(Wanted::parse(&id('A')), Ok(Wanted::Commit(CommitId(id('a')))));
        assert_eq!(Wanted::parse("feature/x-1"), Ok(Wanted::Name("feature/x-1".to_owned())));
    }

    proptest! {
        #[test]
        fn any_answer_and_any_name_are_read(text in "[0-9a-f\t\n^{}/a-zA-Z]{0,200}", name in ".{0,20}") {
            let references = References::parse(&text);
            if let Ok(Wanted::Name(name)) = Wanted::parse(&name) {
                prop_assert!(!name.starts_with('-'));
                references.find(&name);
            }
        }
    }
}
