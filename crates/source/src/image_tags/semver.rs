//! Semantic versions (semver.org 2.0.0), with the `v` before them that Git tags have.

use std::fmt;

/// npm's limit, which the rules inherit.
const LONGEST: usize = 256;
const LARGEST: u64 = (1 << 53) - 1;

/// A version; what comes after `+` takes no part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) patch: u64,
    prerelease: Option<String>,
}

impl Version {
    /// `None` where the text is no such version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        if text.len() > LONGEST {
            return None;
        }
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (core, prerelease) = text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
        let is_word = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let is_ordered = |part: &str| is_word(part) && (!is_digits(part) || number(part).is_some());
        if build.is_some_and(|build| !build.split('.').all(is_word))
            || prerelease.is_some_and(|rest| !rest.split('.').all(is_ordered))
        {
            return None;
        }
        let mut parts = core.split('.').map(number);
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then(|| Self {
            major,
            minor,
            patch,
            prerelease: prerelease.map(str::to_owned),
        })
    }

    pub(super) fn is_prerelease(&self) -> bool {
        self.prerelease.is_some()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        self.prerelease.as_ref().map_or(Ok(()), |rest| write!(f, "-{rest}"))
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits without a zero before them.
fn number(text: &str) -> Option<u64> {
    let is_plain = is_digits(text) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|number| is_plain && *number <= LARGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("1.2.3", Some("1.2.3")),
            ("v1.2.3", Some("1.2.3")),
            ("v2.0.0-rc.1", Some("2.0.0-rc.1")),
            ("1.2.3+build.5", Some("1.2.3")),
            ("1.2.3-a-b.0+x", Some("1.2.3-a-b.0")),
            ("0.0.0", Some("0.0.0")),
            ("1.2", None),
            ("1.2.3.4", None),
            ("01.2.3", None),
            ("1.2.3-01", None),
            ("1.2.3-", None),
            ("1.2.3+", None),
            ("vv1.2.3", None),
            ("main", None),
            ("1.2.99999999999999999999", None),
        ] {
            assert_eq!(
                Version::parse(text).map(|version| version.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,40}", near in "v?[0-9]{1,3}\\.[0-9.+a-z-]{0,20}") {
            Version::parse(&text);
            if let Some(version) = Version::parse(&near) {
                prop_assert_eq!(Version::parse(&version.to_string()), Some(version));
            }
        }
    }
}
