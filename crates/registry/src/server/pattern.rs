//! Patterns of names: `*` stands for anything without a slash, `**` for anything, `?` for one character.

use std::fmt;
use std::str::FromStr;

const LENGTH_LIMIT: usize = 255;

/// A pattern of tags or of repositories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "pattern {0:?}: it is empty, longer than {LENGTH_LIMIT} characters or not ASCII; write v* or team/**"
)]
pub struct PatternError(String);

impl Pattern {
    /// Whether `name` fits as a whole.
    pub fn matches(&self, name: &str) -> bool {
        fits(self.0.as_bytes(), name.as_bytes())
    }
}

/// Each star is tried at one place after the other, and only the last ones can move: never exponential.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last `*`, and the last `**`, does not fit.
    let (mut single, mut double) = (None, None);
    loop {
        if pattern[p..].starts_with(b"**") {
            (double, single) = (Some((p + 2, n)), None);
            p += 2;
        } else if pattern.get(p) == Some(&b'*') {
            single = Some((p + 1, n));
            p += 1;
        } else if p == pattern.len() && n == name.len() {
            return true;
        } else if let (Some(wanted), Some(found)) = (pattern.get(p), name.get(n))
            && (wanted == found || (*wanted == b'?' && *found != b'/'))
        {
            (p, n) = (p + 1, n + 1);
        } else if let Some((after, taken)) = single
            && taken < name.len()
            && name[taken] != b'/'
        {
            single = Some((after, taken + 1));
            (p, n) = (after, taken + 1);
        } else if let Some((after, taken)) = double
            && taken < name.len()
        {
            (single, double) = (None, Some((after, taken + 1)));
            (p, n) = (after, taken + 1);
        } else {
            return false;
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text.len() > LENGTH_LIMIT || !text.is_ascii() {
            return Err(PatternError(text.chars().take(LENGTH_LIMIT).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning, without a thought for time.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=name.len()).any(|n| slowly(rest, &name[n..])),
            [b'*', rest @ ..] => {
                let end = name.iter().position(|b| *b == b'/').unwrap_or(name.len());
                (0..=end).any(|n| slowly(rest, &name[n..]))
            }
            [b'?', rest @ ..] => name.first().is_some_and(|b| *b != b'/') && slowly(rest, &name[1..]),
            [first, rest @ ..] => name.first() == Some(first) && slowly(rest, &name[1..]),
        }
    }

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("v*", "v1.2", true),
            ("v*", "xv1", false),
            ("team/*", "team/app", true),
            ("team/*", "team/app/web", false),
            ("team/**", "team/app/web", true),
            ("**", "a/b", true),
            ("**/web", "team/app/web", true),
            ("v?.?", "v1.2", true),
            ("v?.?", "v1.22", false),
            ("*-rc*", "1.0-rc1", true),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(name), expected, "{pattern} {name}");
        }
        let bomb = format!("{}b", "*a".repeat(100)).parse::<Pattern>().unwrap();
        assert!(!bomb.matches(&"a".repeat(250)));
        assert!("".parse::<Pattern>().is_err());
    }

    proptest! {
        #[test]
        fn they_mean_what_they_say(pattern in "[ab/*?]{1,8}", name in "[ab/]{0,8}") {
            let expected = slowly(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(pattern.parse::<Pattern>().unwrap().matches(&name), expected);
        }
    }
}
