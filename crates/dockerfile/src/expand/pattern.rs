//! The patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/replacement}`: `*` and `?`, with
//! `\` before a character that is meant as it is.
//!
//! As in `BuildKit`, where they become regular expressions, neither wildcard matches a line break.

/// Why a pattern is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'\\{escaped}' is not an escape that the pattern '{pattern}' may use; known are \\* \\? \\\\ \\/ and \\}}"
)]
pub struct PatternError {
    pattern: String,
    escaped: String,
}

/// A parsed pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    Star,
    Literal(char),
}

impl Pattern {
    pub(crate) fn parse(pattern: &str) -> Result<Pattern, PatternError> {
        let mut tokens = Vec::new();
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' if matches!(characters.peek(), Some('}' | '/')) => continue,
                '\\' => match characters.next() {
                    Some(literal @ ('*' | '?' | '\\')) => Token::Literal(literal),
                    other => {
                        let escaped = other.map(String::from).unwrap_or_default();
                        return Err(PatternError { pattern: pattern.to_owned(), escaped });
                    }
                },
                literal => Token::Literal(literal),
            });
        }
        tokens.dedup_by(|next, token| *next == Token::Star && *token == Token::Star);
        Ok(Pattern { tokens })
    }

    /// The pattern that matches the mirror image of what `pattern` matches.
    pub(crate) fn parse_mirrored(pattern: &str) -> Result<Pattern, PatternError> {
        let mut pieces = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let mut piece = String::from(character);
            if character == '\\' {
                piece.extend(characters.next());
            }
            pieces.push(piece);
        }
        pieces.reverse();
        Pattern::parse(&pieces.concat())
    }

    /// The value without what the pattern matches at its start.
    pub(crate) fn trim_start<'a>(&self, value: &'a str, longest: bool) -> &'a str {
        self.search(value, 0, Search { anchored: true, longest }).map_or(value, |(_, end)| &value[end..])
    }

    pub(crate) fn replace_first(&self, value: &str, replacement: &str) -> String {
        match self.find(value, 0) {
            Some((start, end)) => [&value[..start], replacement, &value[end..]].concat(),
            None => value.to_owned(),
        }
    }

    /// Replaces every match. The replacement is a template here and only here: see [`fill_template`].
    pub(crate) fn replace_all(&self, value: &str, replacement: &str) -> String {
        let mut result = String::new();
        let (mut copied, mut from) = (0, 0);
        let mut previous_end = None;
        while let Some((start, end)) = self.find(value, from) {
            // An empty match right behind a match does not count.
            if start < end || previous_end != Some(end) {
                result.push_str(&value[copied..start]);
                fill_template(replacement, &value[start..end], &mut result);
                copied = end;
                previous_end = Some(end);
            }
            if result.len() > super::MAX_RESULT_BYTES {
                break;
            }
            from = match value[end..].chars().next() {
                _ if start < end => end,
                Some(character) => end + character.len_utf8(),
                None => break,
            };
        }
        result.push_str(&value[copied..]);
        result
    }

    /// The leftmost match from `from` on, as long as possible.
    fn find(&self, value: &str, from: usize) -> Option<(usize, usize)> {
        self.search(value, from, Search { anchored: false, longest: true })
    }

    /// Follows all places in the pattern that are possible at once, each with the leftmost start that leads to
    /// it, so that the time is the product of both lengths whatever the pattern is.
    fn search(&self, value: &str, from: usize, search: Search) -> Option<(usize, usize)> {
        let mut states: Vec<Option<usize>> = vec![None; self.tokens.len() + 1];
        states[0] = Some(from);
        let mut found: Option<(usize, usize)> = None;
        let ends = value[from..].char_indices().map(|(index, character)| (from + index, Some(character)));
        for (index, character) in ends.chain([(value.len(), None)]) {
            if !search.anchored && found.is_none() && states[0].is_none() {
                states[0] = Some(index);
            }
            self.skip_stars(&mut states);
            if let Some(start) = states[self.tokens.len()]
                && found.is_none_or(|(first, _)| start <= first)
            {
                found = Some((start, index));
                if !search.longest {
                    break;
                }
            }
            let Some(character) = character else { break };
            states = self.step(&states, character, found.map(|(start, _)| start));
            if states.iter().all(Option::is_none) && (search.anchored || found.is_some()) {
                break;
            }
        }
        found
    }

    /// The states after one more character. Once a match is found, only those that started no later count.
    fn step(&self, states: &[Option<usize>], character: char, found: Option<usize>) -> Vec<Option<usize>> {
        let mut next = vec![None; states.len()];
        for (index, token) in self.tokens.iter().enumerate() {
            let Some(start) = states[index].filter(|start| found.is_none_or(|first| *start <= first)) else {
                continue;
            };
            match token {
                Token::Star if character != '\n' => keep_leftmost(&mut next[index], start),
                Token::Any if character != '\n' => keep_leftmost(&mut next[index + 1], start),
                Token::Literal(literal) if *literal == character => {
                    keep_leftmost(&mut next[index + 1], start)
                }
                _ => {}
            }
        }
        next
    }

    fn skip_stars(&self, states: &mut [Option<usize>]) {
        for (index, token) in self.tokens.iter().enumerate() {
            if let (Some(start), Token::Star) = (states[index], token) {
                keep_leftmost(&mut states[index + 1], start);
            }
        }
    }
}

/// What a search looks for.
#[derive(Clone, Copy)]
struct Search {
    /// Only a match at the very start counts.
    anchored: bool,
    /// The longest match, not the shortest.
    longest: bool,
}

fn keep_leftmost(state: &mut Option<usize>, start: usize) {
    *state = Some(state.map_or(start, |present| present.min(start)));
}

/// Writes a replacement as Go's `regexp.Expand` does, which `BuildKit` uses for `//`: `$0` is the match, `$$` is a
/// dollar, any other `$name` is empty because the pattern has no groups.
fn fill_template(template: &str, matched: &str, result: &mut String) {
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = template_name(rest) {
            if name == "0" {
                result.push_str(matched);
            }
            rest = after;
        } else {
            result.push('$');
        }
    }
    result.push_str(rest);
}

/// `name` or `{name}` at the start, and what follows it.
fn template_name(text: &str) -> Option<(&str, &str)> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let (body, braces) = text.strip_prefix('{').map_or((text, false), |body| (body, true));
    let end = body.find(|character| !is_name(character)).unwrap_or(body.len());
    let (name, after) = body.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braces { after.strip_prefix('}').map(|after| (name, after)) } else { Some((name, after)) }
}
