//! Any bytes as a Dockerfile, parsed and checked: no panic, every place lies in the text.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use minato_dockerfile::{Instruction, parse};
use minato_lint::{Build, Input};
use minato_resource::{Diagnostic, SourceFile, Span};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Arc::new(SourceFile::new("Dockerfile", text));
    let (dockerfile, diagnostics) = parse(&file);
    check_all(&file, &diagnostics);
    for statement in dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        check(&file, statement.span);
        check(&file, statement.keyword.span);
        if let Instruction::Run(run) = &statement.value {
            let _ = run.script();
            for mount in &run.mounts {
                let _ = mount.resolve(dockerfile.escape, &|name| Some(name.to_owned()));
            }
        }
    }
    let builds = [Build::new(&file, &dockerfile)];
    check_all(&file, &minato_lint::check(&Input { builds: &builds, objects: &[], allowed: &[] }));
});

fn check_all(file: &SourceFile, diagnostics: &[Diagnostic]) {
    for location in diagnostics.iter().filter_map(|diagnostic| diagnostic.location.as_ref()) {
        check(file, location.span);
    }
}

fn check(file: &SourceFile, span: Span) {
    assert!(span.start <= span.end && span.end <= file.text().len(), "{span:?}");
    assert!(file.text().is_char_boundary(span.start) && file.text().is_char_boundary(span.end), "{span:?}");
}
