//! Any text as a word to expand: no panic, and its three ways of being read agree on whether it can be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minato_dockerfile::{Word, expand, expand_text, expand_words};
use minato_resource::Span;

fuzz_target!(|text: &str| {
    // A name of odd length has a value: itself, or a text with all that is special.
    let lookup = |name: &str| match name.len() % 4 {
        1 => Some(name.to_owned()),
        3 => Some("a/b.c*?[x]'\"\\ $A ${A}\u{e9}".to_owned()),
        _ => None,
    };
    let word = Word { raw: text.to_owned(), span: Span::at(0) };
    for escape in ['\\', '`'] {
        let whole = expand(&word, escape, &lookup);
        let words = expand_words(&word, escape, &lookup);
        assert_eq!(whole.is_ok(), words.is_ok());
        assert_eq!(whole, expand(&word, escape, &lookup), "the same word twice");
    }
    let expanded = expand_text(text, &lookup);
    if !text.contains(['$', '\\', '<']) {
        assert_eq!(expanded.as_deref(), Ok(text), "nothing to expand");
    }
});
