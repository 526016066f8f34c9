//! Any text as the `WWW-Authenticate` headers of a registry: no panic, and a quoted challenge is read as it was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The file itself: the crate around it would bring a whole HTTP stack.
#[path = "../../crates/registry/src/challenge.rs"]
#[allow(dead_code, reason = "a part of the module is for the crate's other files")]
mod challenge;

use challenge::{Challenge, choose};

fuzz_target!(|text: &str| {
    let headers: Vec<&str> = text.split('\n').collect();
    let _ = choose(&headers);
    if let Some(Challenge::Bearer { realm, service, scope }) = choose(&[text]) {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut header = format!("Bearer realm={}", quote(&realm));
        for (name, value) in [("service", &service), ("scope", &scope)] {
            if let Some(value) = value {
                header += &format!(",{name}={}", quote(value));
            }
        }
        assert_eq!(choose(&[&header]), Some(Challenge::Bearer { realm, service, scope }), "{header}");
    }
});
