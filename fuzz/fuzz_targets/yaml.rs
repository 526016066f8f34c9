//! Any text is read as YAML, JSON, ECS documents, and as an object's file, without a panic; every place lies in it.

#![no_main]

use std::sync::{Arc, Once};

use libfuzzer_sys::fuzz_target;
use minato_resource::document::{Comments, read_json, read_yaml};
use minato_resource::{Diagnostic, SourceFile, emit, parse_yaml};

/// libFuzzer's hook would end the process at panics of the YAML parser that the reader answers for.
static QUIET: Once = Once::new();

fuzz_target!(|text: &str| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let file = Arc::new(SourceFile::new("fuzz.yaml", text));
    let (documents, diagnostics) = read_yaml(&file);
    check(&file, &diagnostics);
    if diagnostics.is_empty() {
        for document in &documents {
            let value = document.to_value();
            let again = Arc::new(SourceFile::new("again.yaml", emit::to_yaml(&value)));
            let (read, diagnostics) = read_yaml(&again);
            assert!(diagnostics.is_empty() && read[0].to_value() == value, "{}", again.text());
        }
    }
    check(&file, &read_json(&file, Comments::Allowed).1);
    let (objects, diagnostics) = parse_yaml(&file);
    check(&file, &diagnostics);
    for object in objects {
        check(&file, &[object.diagnostic(minato_resource::Severity::Error, "x", "y", "/spec/a/0")]);
    }
    let (objects, diagnostics) = minato_task_definition::parse(&file);
    check(&file, &diagnostics);
    for object in objects {
        check(&file, &minato_task_definition::TaskDefinition::from_object(&object).1);
        check(&file, &minato_task_definition::ServiceDefinition::from_object(&object).1);
    }
});

fn check(file: &SourceFile, diagnostics: &[Diagnostic]) {
    for span in diagnostics.iter().filter_map(|found| found.location.as_ref()).map(|place| place.span) {
        assert!(span.start <= span.end && span.end <= file.text().len());
    }
}
