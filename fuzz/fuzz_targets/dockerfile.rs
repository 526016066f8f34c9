//! Any bytes as a Dockerfile, as words to expand and as a `.dockerignore`: no panic, every span in the text.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use minato_dockerfile::ignore::Ignore;
use minato_dockerfile::{Instruction, Word, expand, expand_text, expand_words, parse};
use minato_resource::{SourceFile, Span};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Arc::new(SourceFile::new("Dockerfile", text));
    let (dockerfile, diagnostics) = parse(&file);
    for location in diagnostics.iter().filter_map(|diagnostic| diagnostic.location.as_ref()) {
        check(&file, location.span);
    }
    for statement in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        check(&file, statement.span);
        check(&file, statement.keyword.span);
        if let Instruction::Run(run) = &statement.value {
            let _ = run.script();
        }
    }
    let lookup = |name: &str| (name.len() % 2 == 1).then(|| name.to_owned());
    let word = Word { raw: text.to_owned(), span: Span::at(0) };
    for escape in ['\\', '`'] {
        let whole = expand(&word, escape, &lookup);
        assert_eq!(whole.is_ok(), expand_words(&word, escape, &lookup).is_ok());
    }
    let _ = expand_text(text, &lookup);
    let (ignore, _) = Ignore::parse(&file);
    let _ = ignore.is_excluded("src/a/b.rs");
});

fn check(file: &SourceFile, span: Span) {
    assert!(span.start <= span.end && span.end <= file.text().len(), "{span:?}");
    assert!(file.text().is_char_boundary(span.start) && file.text().is_char_boundary(span.end), "{span:?}");
}
