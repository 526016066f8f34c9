//! Any text as an ignore file, and its lines as paths: no panic, and the walk's answers are those for one path.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use minato_dockerfile::ignore::{Ignore, Matched};
use minato_resource::SourceFile;

fuzz_target!(|text: &str| {
    let file = Arc::new(SourceFile::new(".dockerignore", text));
    let (ignore, diagnostics) = Ignore::parse(&file);
    for location in diagnostics.iter().filter_map(|diagnostic| diagnostic.location.as_ref()) {
        assert!(file.text().get(location.span.start..location.span.end).is_some(), "{:?}", location.span);
    }
    let usual = ["src/a/b.rs", "a", "a/b", ".git/config", "docs/deep/er/x.md"];
    for path in text.lines().take(20).chain(usual).filter(|path| is_path(path)) {
        walk(&ignore, path);
    }
});

fn is_path(path: &str) -> bool {
    path.len() < 300 && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn walk(ignore: &Ignore, path: &str) {
    let mut matched = Matched::root();
    let mut skipped = false;
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    for end in ends {
        let folder = &path[..end];
        matched = ignore.enter(&matched, folder);
        assert!(!skipped || matched.is_excluded(), "{folder} is in a folder that may be skipped");
        skipped |= ignore.may_skip_folder(&matched, folder);
    }
    assert_eq!(matched.is_excluded(), ignore.is_excluded(path), "{path}");
    if ignore.excludes_everything() && !ignore.has_exceptions() {
        assert!(matched.is_excluded(), "{path}");
    }
}
