//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `word`, if one is near enough to be what was meant. Case does not count.
///
/// Near enough is: at most one edit for each three letters, where exchanging two neighbours is one edit.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no typing mistakes, and the distance takes the product of both lengths.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let typed: Vec<char> = word.to_lowercase().chars().collect();
    let limit = typed.len().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&typed, &candidate.to_lowercase().chars().collect::<Vec<_>>()), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, exchange neighbours) between two words.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &b) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(a != b);
            let mut edits = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && a == right[column - 1] && left[row - 1] == b {
                edits = edits.min(before[column - 1] + 1);
            }
            current.push(edits);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(nearest(word, ["RUN", "COPY", "ENTRYPOINT", "EXPOSE", "ENV"]), expected, "{word}");
        };
        check("rnu", Some("RUN"));
        check("COPPY", Some("COPY"));
        check("ENTRPOINT", Some("ENTRYPOINT"));
        check("EXPSOE", Some("EXPOSE"));
        check("apt-get", None);
        check("", None);
        check(&"R".repeat(100_000), None);
    }
}
