//! References are taken and refused as Docker takes and refuses them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use minato_oci::{Digest, Reference};
use proptest::prelude::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Canonical and familiar form.
fn check(text: &str, canonical: &str, familiar: &str) {
    let reference = text.parse::<Reference>().expect(text);
    assert_eq!(
        (reference.to_string().as_str(), reference.familiar().as_str()),
        (canonical, familiar),
        "{text:?}"
    );
    assert_eq!(reference.familiar().parse::<Reference>().unwrap(), reference, "{text:?}");
}

#[test]
fn references_are_normalised() {
    for (text, canonical, familiar) in [
        ("redis", "docker.io/library/redis", "redis"),
        ("redis:7", "docker.io/library/redis:7", "redis:7"),
        // Without its registry it would be another one's.
        ("docker.io/lib.io/redis:7", "docker.io/lib.io/redis:7", "docker.io/lib.io/redis:7"),
        ("library/redis", "docker.io/library/redis", "redis"),
        ("docker.io/redis", "docker.io/library/redis", "redis"),
        ("index.docker.io/redis", "docker.io/library/redis", "redis"),
        ("index.docker.io/library/redis", "docker.io/library/redis", "redis"),
        ("foo/bar", "docker.io/foo/bar", "foo/bar"),
        ("docker.io/library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar"),
        ("ghcr.io/a/b/c:v1.2_3-x", "ghcr.io/a/b/c:v1.2_3-x", "ghcr.io/a/b/c:v1.2_3-x"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app", "localhost:5000/app", "localhost:5000/app"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("[2001:db8::1]/app", "[2001:db8::1]/app", "[2001:db8::1]/app"),
        ("HOST/app", "HOST/app", "HOST/app"),
        ("Example.COM/app", "Example.COM/app", "Example.COM/app"),
        ("xn--n3h.com/app", "xn--n3h.com/app", "xn--n3h.com/app"),
        ("a.b:80/c", "a.b:80/c", "a.b:80/c"),
        ("foo_bar/x__y.z---w", "docker.io/foo_bar/x__y.z---w", "foo_bar/x__y.z---w"),
        ("0/1:2", "docker.io/0/1:2", "0/1:2"),
        ("a:_._-A", "docker.io/library/a:_._-A", "a:_._-A"),
    ] {
        check(text, canonical, familiar);
    }
    let digest = format!("redis:7@sha256:{HEX}");
    check(&digest, &format!("docker.io/library/{digest}"), &digest);
    check(&format!("{HEX}:1"), &format!("docker.io/library/{HEX}:1"), &format!("{HEX}:1"));
    check(&format!("docker.io/{HEX}x"), &format!("docker.io/library/{HEX}x"), &format!("{HEX}x"));
    let longest = "a".repeat(255 - "library/".len());
    check(&longest, &format!("docker.io/library/{longest}"), &longest);
    let tag = format!("a:{}", "t".repeat(128));
    check(&tag, &format!("docker.io/library/{tag}"), &tag);
}

#[test]
fn what_docker_refuses_is_refused() {
    for (text, expected) in [
        ("", "empty"),
        (HEX, "image id"),
        ("Redis", "lower case"),
        ("foo/Bar", "lower case"),
        ("ghcr.io/Foo", "lower case"),
        (":tag", "invalid repository"),
        ("/redis", "invalid repository"),
        ("redis/", "invalid repository"),
        ("a//b", "invalid repository"),
        ("a/../b", "invalid repository"),
        ("../a", "invalid"),
        ("./a", "invalid"),
        ("-redis", "invalid repository"),
        ("redis-", "invalid repository"),
        ("a..b", "invalid repository"),
        ("a___b", "invalid repository"),
        ("a._b", "invalid repository"),
        ("a b", "invalid repository"),
        ("caf\u{e9}", "invalid repository"),
        ("https://ghcr.io/a", "invalid"),
        ("-host.com/a", "invalid registry"),
        ("host.com-/a", "invalid registry"),
        ("a..b/c", "invalid registry"),
        ("host.com:/a", "invalid registry"),
        ("host.com:port/a", "invalid registry"),
        ("[::g]/a", "invalid registry"),
        ("[]:5000/a", "invalid registry"),
        ("::1/a", "invalid registry"),
        ("redis:", "invalid tag"),
        ("redis:-a", "invalid tag"),
        ("redis:.a", "invalid tag"),
        ("redis:a:b", "invalid tag"),
        ("redis:a/b", "invalid"),
        ("redis:a b", "invalid tag"),
        ("redis@", "no algorithm"),
        ("redis@sha256:abc", "64 lower-case hex"),
        ("redis@md5:d41d8cd98f00b204e9800998ecf8427e", "not supported"),
        ("redis\n", "invalid repository"),
    ] {
        let error = text.parse::<Reference>().expect_err(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    assert!("a".repeat(256).parse::<Reference>().unwrap_err().to_string().contains("at most 255"));
    assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
}

#[test]
fn tags_and_digests_are_put_on_and_latest_only_where_asked() {
    let plain: Reference = "redis".parse().unwrap();
    assert_eq!((plain.tag(), plain.digest()), (None, None));
    assert_eq!(plain.with_default_tag().familiar(), "redis:latest");
    let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
    let pinned = plain.with_tag("7").unwrap().with_digest(digest);
    assert_eq!(pinned.familiar(), format!("redis:7@sha256:{HEX}"));
    assert_eq!(pinned.with_default_tag(), pinned);
    assert_eq!(pinned.with_tag("8").unwrap().familiar(), "redis:8");
    assert!(plain.with_tag("no/slash").is_err());
}

#[test]
fn references_are_strings_in_json() {
    let reference: Reference = serde_json::from_str("\"redis:7\"").unwrap();
    assert_eq!(serde_json::to_string(&reference).unwrap(), "\"docker.io/library/redis:7\"");
    assert!(serde_json::from_str::<Reference>("\"Redis\"").is_err());
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*", near in "[a-zA-Z0-9._:/@\\[\\]-]{0,80}") {
        let _ = text.parse::<Reference>();
        let _ = near.parse::<Reference>();
    }

    #[test]
    fn both_forms_mean_the_same_reference(text in "([a-z0-9.]{1,8}(:[0-9]{1,4})?/)?[a-z0-9]{1,6}(([._]|__|-{1,3})[a-z0-9]{1,6})?(/[a-z0-9]{1,6})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,8})?") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
        }
    }
}
