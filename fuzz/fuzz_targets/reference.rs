//! Any text as an image's reference, a digest and a platform: what is taken means the same when it is written out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minato_oci::{Digest, Platform, Reference};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        same(&reference, &reference.to_string());
        same(&reference, &reference.familiar());
        let tagged = reference.with_default_tag();
        same(&tagged, &tagged.to_string());
        assert!(!reference.registry().is_empty() && !reference.repository().is_empty());
        assert!(!reference.repository().split('/').any(|part| matches!(part, "" | "." | "..")));
        let _ = reference.with_tag(text);
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform.clone()), "{platform}");
    }
});

fn same(reference: &Reference, text: &str) {
    assert_eq!(text.parse::<Reference>().as_ref(), Ok(reference), "{text}");
}
