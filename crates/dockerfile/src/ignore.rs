//! `.dockerignore`: which paths of a build context are left out.
//!
//! ```text
//! text ─ line rules ─► patterns in order ─ glob ─► is_excluded(path)   one path, parents looked at too
//!                                               └► enter(parent, path) while walking: parents are not matched again
//! ```
//!
//! The rules are those of moby's `patternmatcher`: the last pattern that matches a path *or one of its parents*
//! wins, and `!` takes back. Paths are relative to the context, with `/`, without a leading one.

use std::sync::Arc;

use minato_resource::{Diagnostic, SourceFile, Span};

mod glob;

use glob::Glob;

/// The patterns of an ignore file, in order.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    glob: Glob,
    /// Starts with `!`: takes back what an earlier pattern left out.
    exception: bool,
    /// Is `*`, `**` or `**/*`.
    everything: bool,
}

/// What is known about a folder on the way down, so that its children need not ask for it again.
#[derive(Debug, Clone)]
pub struct Matched {
    excluded: bool,
    /// Which patterns matched the folder or one of its parents; empty for the context itself.
    patterns: Vec<bool>,
}

impl Matched {
    /// The context's own folder, which nothing excludes.
    #[must_use]
    pub fn root() -> Matched {
        Matched { excluded: false, patterns: Vec::new() }
    }

    /// Whether the path is left out.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }
}

impl Ignore {
    /// Reads an ignore file. A pattern that is wrong is an error in the diagnostics and is left out.
    #[must_use]
    pub fn parse(file: &Arc<SourceFile>) -> (Ignore, Vec<Diagnostic>) {
        let mut ignore = Ignore::default();
        let mut diagnostics = Vec::new();
        let mut offset = 0;
        for line in file.text().split_inclusive('\n') {
            let text = line.trim();
            let start = offset + (line.len() - line.trim_start().len());
            offset += line.len();
            if line.starts_with('#') || text.is_empty() {
                continue;
            }
            match Pattern::parse(text) {
                Ok(pattern) => ignore.patterns.push(pattern),
                Err(message) => {
                    let span = Span::new(start, start + text.len());
                    diagnostics.push(Diagnostic::error("bad-ignore-pattern", message, file, span));
                }
            }
        }
        (ignore, diagnostics)
    }

    /// The patterns of flags such as `COPY --exclude`, in order. Empty ones mean nothing, as with moby's
    /// `patternmatcher`.
    ///
    /// # Errors
    /// The first pattern that can't be read, and why.
    pub fn of_patterns(patterns: &[String]) -> Result<Ignore, String> {
        let texts = patterns.iter().map(|pattern| pattern.trim()).filter(|text| !text.is_empty());
        Ok(Ignore { patterns: texts.map(Pattern::parse).collect::<Result<_, _>>()? })
    }

    /// Whether nothing is excluded at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a `!` pattern takes back what others leave out.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }

    /// Whether one pattern leaves out everything in the context: `*`, `**` or `**/*`.
    #[must_use]
    pub fn excludes_everything(&self) -> bool {
        self.patterns.iter().any(|pattern| !pattern.exception && pattern.everything)
    }

    /// Whether a path is left out. Its parents are looked at too, so this is the slow way for a whole tree: see
    /// [`Ignore::enter`].
    #[must_use]
    pub fn is_excluded(&self, path: &str) -> bool {
        let mut matched = Matched::root();
        for (end, _) in path.match_indices('/') {
            matched = self.enter(&matched, &path[..end]);
        }
        self.enter(&matched, path).excluded
    }

    /// Steps from a folder to one of its entries. `path` is the entry's path from the context.
    #[must_use]
    pub fn enter(&self, parent: &Matched, path: &str) -> Matched {
        let mut excluded = false;
        let mut patterns = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let from_parent = parent.patterns.get(index).copied().unwrap_or(false);
            // A pattern that would not change the answer is not asked.
            let matches = from_parent || (pattern.exception == excluded && pattern.glob.matches(path));
            patterns[index] = matches;
            if matches {
                excluded = !pattern.exception;
            }
        }
        Matched { excluded, patterns }
    }

    /// Whether a folder and everything under it is left out, so that a walk need not open it. `matched` is the
    /// answer for the folder, `path` its path from the context.
    ///
    /// False while an exception could still match something inside (`!docs/keep.md` for `docs`).
    #[must_use]
    pub fn may_skip_folder(&self, matched: &Matched, path: &str) -> bool {
        if !matched.excluded {
            return false;
        }
        // An exception before the last pattern that excludes the folder is overruled by it everywhere inside.
        let excluding = self
            .patterns
            .iter()
            .zip(&matched.patterns)
            .rposition(|(pattern, matches)| *matches && !pattern.exception)
            .unwrap_or(0);
        !self.patterns[excluding..]
            .iter()
            .any(|pattern| pattern.exception && pattern.glob.can_match_inside(path))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, String> {
        let (text, exception) = text.strip_prefix('!').map_or((text, false), |rest| (rest.trim(), true));
        let cleaned = clean(text);
        let pattern =
            if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
        if exception && (text.is_empty() || pattern == "/") {
            return Err("'!' needs a pattern behind it; write '!path' to take back an exclusion".to_owned());
        }
        let everything = matches!(pattern, "*" | "**" | "**/*");
        Ok(Pattern { glob: Glob::parse(pattern)?, exception, everything })
    }
}

/// The shortest path with the same meaning, as Go's `path.Clean` makes it: no `.`, no `//`, no `x/..`, no slash at
/// the end.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
