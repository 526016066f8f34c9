//! Versions of Python packages (PEP 440), normalised.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

const LONGEST: usize = 256;

/// PEP 440, appendix B.
static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = concat!(
        r"(?i)^v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)",
        r"(?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_number>[0-9]+)?)?",
        r"(?P<post>-(?P<post_bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]+)?)?",
        r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]+)?)?",
        r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$",
    );
    Regex::new(pattern).expect("the pattern is constant")
});

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(&'static str, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Option<String>,
}

impl Version {
    /// `None` where the text is no such version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let found = PATTERN.captures(text).filter(|_| text.len() <= LONGEST)?;
        let number = |name: &str| found.name(name).map_or(Some(0), |digits| digits.as_str().parse().ok());
        let pre = match found.name("pre") {
            None => None,
            Some(kind) => Some((short(&kind.as_str().to_lowercase()), number("pre_number")?)),
        };
        let post = match (found.name("post"), found.name("post_bare")) {
            (None, _) => None,
            (_, Some(_)) => Some(number("post_bare")?),
            _ => Some(number("post_number")?),
        };
        let dev = if found.name("dev").is_some() { Some(number("dev_number")?) } else { None };
        let release = found.name("release")?.as_str().split('.').map(|part| part.parse().ok());
        let local = found.name("local").map(|local| local.as_str().to_lowercase().replace(['-', '_'], "."));
        Some(Self {
            epoch: number("epoch")?,
            release: release.collect::<Option<_>>()?,
            pre,
            post,
            dev,
            local,
        })
    }

    /// Neither a prerelease, nor a development release, nor a post-release.
    pub(super) fn is_final(&self) -> bool {
        self.pre.is_none() && self.dev.is_none() && self.post.is_none()
    }

    /// Major, minor and patch; 0 for what is not written.
    pub(super) fn first_three(&self) -> [u64; 3] {
        [0, 1, 2].map(|place| self.release.get(place).copied().unwrap_or(0))
    }
}

fn short(kind: &str) -> &'static str {
    match kind {
        "a" | "alpha" => "a",
        "b" | "beta" => "b",
        _ => "rc",
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}!", self.epoch)?;
        }
        let release: Vec<String> = self.release.iter().map(u64::to_string).collect();
        write!(f, "{}", release.join("."))?;
        self.pre.map_or(Ok(()), |(kind, number)| write!(f, "{kind}{number}"))?;
        self.post.map_or(Ok(()), |number| write!(f, ".post{number}"))?;
        self.dev.map_or(Ok(()), |number| write!(f, ".dev{number}"))?;
        self.local.as_ref().map_or(Ok(()), |local| write!(f, "+{local}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_normalised() {
        for (text, expected, is_final) in [
            ("1.2.3", Some("1.2.3"), true),
            ("v1.2", Some("1.2"), true),
            ("1.0.0-alpha.1", Some("1.0.0a1"), false),
            ("1.0B2", Some("1.0b2"), false),
            ("1.0-preview", Some("1.0rc0"), false),
            ("1.0.post2", Some("1.0.post2"), false),
            ("1.0-3", Some("1.0.post3"), false),
            ("1.0.dev", Some("1.0.dev0"), false),
            ("2!1.0rc1.post2.dev3+Ubuntu-1", Some("2!1.0rc1.post2.dev3+ubuntu.1"), false),
            ("1.0+local", Some("1.0+local"), true),
            ("1..0", None, false),
            ("one", None, false),
            ("1.0+", None, false),
            ("99999999999999999999999.0", None, false),
        ] {
            let version = Version::parse(text);
            assert_eq!(version.as_ref().map(ToString::to_string).as_deref(), expected, "{text}");
            assert_eq!(version.is_some_and(|version| version.is_final()), is_final, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_normalised_stays(text in "v?[0-9]{1,2}(\\.[0-9]{1,2}){0,3}([-_.]?(a|beta|rc|preview)[0-9]?)?(\\.post[0-9])?(\\.dev[0-9])?") {
            let version = Version::parse(&text).unwrap();
            prop_assert_eq!(Version::parse(&version.to_string()), Some(version));
        }
    }
}
