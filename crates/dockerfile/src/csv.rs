//! One record of CSV, as the fields of `--mount` and `--device` are written.

use std::ops::Range;

/// The fields of a record with their places in the text. `None` when quotes don't match.
pub(crate) fn fields(text: &str) -> Option<Vec<(String, Range<usize>)>> {
    let mut fields = Vec::new();
    let mut start = 0;
    loop {
        let rest = &text[start..];
        let (field, length) = if rest.starts_with('"') { quoted(rest)? } else { plain(rest)? };
        let end = start + length;
        fields.push((field, start..end));
        if end == text.len() {
            return Some(fields);
        }
        start = end + 1;
    }
}

fn plain(text: &str) -> Option<(String, usize)> {
    let length = text.find(',').unwrap_or(text.len());
    let field = &text[..length];
    (!field.contains('"')).then(|| (field.to_owned(), length))
}

/// A field in quotes, in which `""` is one quote.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut field = String::new();
    let mut at = 1;
    loop {
        let quote = at + text[at..].find('"')?;
        field.push_str(&text[at..quote]);
        at = quote + 1;
        match text[at..].chars().next() {
            Some('"') => field.push('"'),
            None | Some(',') => return Some((field, at)),
            Some(_) => return None,
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn splits_at_commas_outside_quotes() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let found = fields(text).map(|it| it.into_iter().map(|(field, _)| field).collect::<Vec<_>>());
            assert_eq!(
                found.as_deref(),
                expected.map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        };
        check("type=bind,target=/a", Some(&["type=bind", "target=/a"]));
        check("\"target=/a,b\",ro", Some(&["target=/a,b", "ro"]));
        check("\"a\"\"b\"", Some(&["a\"b"]));
        check("a,", Some(&["a", ""]));
        check("", Some(&[""]));
        check("a\"b", None);
        check("\"a", None);
        check("\"a\"b", None);
    }
}
