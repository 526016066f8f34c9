//! Go's `filepath.Match`, for one component of a path.

use super::CopyError;

/// Whether a component has an unescaped wildcard.
pub(super) fn is_pattern(name: &str) -> bool {
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Whether `name` matches `pattern`: `*` any run, `?` any one, `[a-z]` and `[^a-z]` one of a class, `\` takes the
/// next character as it is.
pub(super) fn matches(pattern: &str, name: &str) -> Result<bool, CopyError> {
    let tokens = parse(pattern).ok_or_else(|| CopyError::Pattern { pattern: pattern.to_owned() })?;
    let name: Vec<char> = name.chars().collect();
    Ok(run(&tokens, &name))
}

enum Token {
    AnyRun,
    Any,
    Literal(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn parse(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '*' => Token::AnyRun,
            '?' => Token::Any,
            '\\' => Token::Literal(rest.next()?),
            '[' => parse_class(&mut rest)?,
            other => Token::Literal(other),
        });
    }
    Some(tokens)
}

fn parse_class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    // A closing bracket in first place is no member in Go: the class would be empty, which is an error.
    while rest.next_if_eq(&']').is_none() {
        let low = class_member(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() { class_member(rest)? } else { low };
        ranges.push((low, high));
    }
    (!ranges.is_empty()).then_some(Token::Class { negated, ranges })
}

fn class_member(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        other => Some(other),
    }
}

/// Matches in time proportional to pattern × name: only the last `*` is ever taken back.
fn run(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() || token < tokens.len() {
        match tokens.get(token) {
            Some(Token::AnyRun) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            Some(one) if at < name.len() && one.takes(name[at]) => {
                token += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        match retry {
            Some((star, from)) if from < name.len() => {
                retry = Some((star, from + 1));
                token = star + 1;
                at = from + 1;
            }
            _ => return false,
        }
    }
    true
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Token::AnyRun => false,
            Token::Any => true,
            Token::Literal(literal) => *literal == character,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*b*d", "abcbd", true),
            ("a*b*d", "abcb", false),
            ("?", "ä", true),
            ("a?", "a", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[[]0]", "[0]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("*.tar.?z", "x.tar.gz", true),
        ] {
            assert_eq!(matches(pattern, name).unwrap(), expected, "{pattern} {name}");
        }
        for pattern in ["[", "[a", "[]", "[]a]", "[-]", "[a-]", "\\"] {
            assert!(matches(pattern, "a").is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "a*".repeat(30) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)).unwrap());
    }
}
