//! One pattern of an ignore file: Go's `filepath.Match` plus `**`, matched as moby's `patternmatcher` does.

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    shape: Shape,
    tokens: Vec<Token>,
}

/// Patterns without wildcards in the middle are compared as strings: most ignore files have only such.
#[derive(Debug, Clone)]
enum Shape {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Wild,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`: one character, not `/`.
    Any,
    /// `*`: any number of characters, not `/`.
    Star,
    /// `**` before more: nothing, or folders up to and with a `/`. Always followed by [`Token::Folders`].
    Tree,
    /// The inside of a [`Token::Tree`].
    Folders,
    /// `**` at an end: anything.
    Everything,
    /// `[a-z]`, `[^a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Compiles a cleaned pattern.
    pub(super) fn parse(pattern: &str) -> Result<Glob, String> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '*' if rest.starts_with('*') => {
                    rest = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
                    tokens.extend(double_star(rest.is_empty()));
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::Any),
                '[' => {
                    let (class, after) = parse_class(pattern, rest)?;
                    tokens.push(class);
                    rest = after;
                }
                '\\' => {
                    let escaped =
                        rest.chars().next().ok_or_else(|| bad(pattern, "nothing follows the last '\\'"))?;
                    rest = &rest[escaped.len_utf8()..];
                    tokens.push(Token::Literal(escaped));
                }
                literal => tokens.push(Token::Literal(literal)),
            }
        }
        let shape = shape(pattern, &tokens);
        if let (Shape::Suffix(suffix), [Token::Tree, Token::Folders, literals @ ..]) =
            (&shape, tokens.as_slice())
            && !suffix.starts_with('/')
        {
            // `**foo` alone means any path that ends so, not only a file of that name.
            tokens = std::iter::once(Token::Everything).chain(literals.iter().cloned()).collect();
        }
        Ok(Glob { shape, tokens })
    }

    /// Whether the pattern matches the whole path.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.shape {
            Shape::Exact(exact) => path == exact,
            Shape::Prefix(prefix) => path.starts_with(prefix),
            Shape::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path),
            Shape::Wild => self.run(path.chars()).is_some_and(|states| states[self.tokens.len()]),
        }
    }

    /// Whether the pattern could match a path below this folder.
    pub(super) fn can_match_inside(&self, folder: &str) -> bool {
        self.run(folder.chars().chain(['/']))
            .is_some_and(|states| states[..self.tokens.len()].contains(&true))
    }

    /// Follows all possible places in the pattern at once; `None` when none is left.
    fn run(&self, path: impl Iterator<Item = char>) -> Option<Vec<bool>> {
        let mut states = vec![false; self.tokens.len() + 1];
        let mut next = states.clone();
        states[0] = true;
        self.skip_empty(&mut states);
        for character in path {
            next.fill(false);
            for (index, token) in self.tokens.iter().enumerate().filter(|(index, _)| states[*index]) {
                token.step(character, index, &mut next);
            }
            self.skip_empty(&mut next);
            std::mem::swap(&mut states, &mut next);
            if !states.contains(&true) {
                return None;
            }
        }
        Some(states)
    }

    /// Tokens that may match nothing let the one behind them begin at once.
    fn skip_empty(&self, states: &mut [bool]) {
        for (index, token) in self.tokens.iter().enumerate() {
            if !states[index] {
                continue;
            }
            match token {
                Token::Star | Token::Everything => states[index + 1] = true,
                Token::Tree => states[index + 1..=index + 2].fill(true),
                _ => {}
            }
        }
    }
}

impl Token {
    fn step(&self, character: char, index: usize, next: &mut [bool]) {
        match self {
            Token::Literal(literal) => next[index + 1] |= *literal == character,
            Token::Any => next[index + 1] |= character != '/',
            Token::Star => next[index] |= character != '/',
            // Its inside begins together with it, see `skip_empty`.
            Token::Tree => {}
            Token::Folders => {
                next[index] = true;
                next[index + 1] |= character == '/';
            }
            Token::Everything => next[index] = true,
            Token::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                next[index + 1] |= inside != *negated;
            }
        }
    }
}

fn double_star(last: bool) -> Vec<Token> {
    if last { vec![Token::Everything] } else { vec![Token::Tree, Token::Folders] }
}

/// Which comparison is enough. `x/**` is a prefix, `**/x` and `**x` are suffixes.
fn shape(pattern: &str, tokens: &[Token]) -> Shape {
    let escaped = pattern.contains('\\');
    let literal = |tokens: &[Token]| tokens.iter().all(|token| matches!(token, Token::Literal(_)));
    match tokens {
        _ if escaped => Shape::Wild,
        all if literal(all) => Shape::Exact(pattern.to_owned()),
        [Token::Everything] => Shape::Suffix(String::new()),
        [first @ .., Token::Everything] if literal(first) => {
            Shape::Prefix(pattern.trim_end_matches('*').to_owned())
        }
        [Token::Tree, Token::Folders, rest @ ..] if literal(rest) => Shape::Suffix(pattern[2..].to_owned()),
        _ => Shape::Wild,
    }
}

fn parse_class<'a>(pattern: &str, text: &'a str) -> Result<(Token, &'a str), String> {
    let (mut rest, negated) = text.strip_prefix('^').map_or((text, false), |rest| (rest, true));
    let mut ranges = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !ranges.is_empty()) {
            return Ok((Token::Class { negated, ranges }, after));
        }
        let (low, after) = class_character(pattern, rest)?;
        let (high, after) = match after.strip_prefix('-') {
            Some(after) => class_character(pattern, after)?,
            None => (low, after),
        };
        if low > high {
            return Err(bad(pattern, &format!("the range '{low}-{high}' is empty")));
        }
        ranges.push((low, high));
        rest = after;
    }
}

fn class_character<'a>(pattern: &str, text: &'a str) -> Result<(char, &'a str), String> {
    let mut characters = text.chars();
    let character = match characters.next() {
        None => return Err(bad(pattern, "a '[' is not closed")),
        Some('-' | ']') => {
            return Err(bad(pattern, "a '[…]' starts or ends wrongly; escape '-' and ']' with '\\'"));
        }
        Some('\\') => characters.next().ok_or_else(|| bad(pattern, "nothing follows the last '\\'"))?,
        Some(character) => character,
    };
    Ok((character, characters.as_str()))
}

fn bad(pattern: &str, reason: &str) -> String {
    format!("the pattern '{pattern}' can't be read: {reason}")
}
