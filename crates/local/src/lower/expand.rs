//! `$(NAME)` in commands and environment, as Kubernetes' `third_party/forked/golang/expansion` means it.

/// Replaces `$(NAME)` where `lookup` knows the name. `$$` is a literal `$`; what is not known or not closed stays.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_is_kubernetes() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B" => Some("$(A)".to_owned()),
            "" => Some("empty".to_owned()),
            _ => None,
        };
        let check = |text: &str, expected: &str| assert_eq!(expand(text, &lookup), expected, "{text}");
        check("x", "x");
        check("$(A)", "1");
        check("$(A)$(A)-$(A)", "11-1");
        check("$$(A)", "$(A)");
        check("$$$(A)", "$1");
        check("$$$$(A)", "$$(A)");
        check("$(B)", "$(A)");
        check("$(NOPE)", "$(NOPE)");
        check("$(A", "$(A");
        check("$A ${A} $", "$A ${A} $");
        check("$()", "empty");
        check("zwölf $(A) ü", "zwölf 1 ü");
    }

    proptest::proptest! {
        #[test]
        fn text_without_a_dollar_stays(text in "[^$]{0,40}") {
            proptest::prop_assert_eq!(expand(&text, &|_| None), text);
        }

        #[test]
        fn no_text_panics(text in "[$()A]{0,40}") {
            let _ = expand(&text, &|_| Some(String::new()));
        }
    }
}
