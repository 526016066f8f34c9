//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that differs least from a word, when it is near enough to be a slip: one edit in a word of three
/// letters, two from five letters on. Upper and lower case count as equal.
pub fn nearest<'word>(word: &str, candidates: impl IntoIterator<Item = &'word str>) -> Option<&'word str> {
    let allowed = match word.chars().count() {
        0..=2 => return None,
        3..=4 => 1,
        _ => 2,
    };
    let lower = word.to_lowercase();
    let measured =
        candidates.into_iter().map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate));
    measured
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace, swap two neighbours) between two words: optimal string alignment.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    // Words that long are not slips; this also bounds the work.
    if left.len().abs_diff(right.len()) > 2 || left.len() > 64 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replace = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_do_not() {
        let check = |word: &str, expected: Option<&str>| {
            let known = ["image", "images", "environment", "deploy", "version", "user"];
            assert_eq!(nearest(word, known), expected, "{word}");
        };
        check("imgae", Some("image"));
        check("Images", Some("images"));
        check("enviroment", Some("environment"));
        check("usre", Some("user"));
        check("depoly", Some("deploy"));
        check("colour", None);
        check("im", None);
        check("", None);
    }
}
