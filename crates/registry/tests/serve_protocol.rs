//! What the conformance tests do not ask: uploads that break and go on, repositories that see only their own blobs, limits.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod served;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use minato_oci::Digest;
use minato_registry::server::{Limits, Options};
use serde_json::json;
use served::{INDEX, MANIFEST, Registry, descriptor};

#[test]
fn an_upload_goes_on_after_a_broken_request_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let content = vec![7; 5 << 20];
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
    let location = begun.header("location").to_owned();

    let mut broken = TcpStream::connect(registry.address).unwrap();
    write!(broken, "PUT {location}?digest={} HTTP/1.1\r\n", Digest::sha256(&content)).unwrap();
    write!(broken, "host: a\r\ncontent-length: {}\r\n\r\n", content.len()).unwrap();
    broken.write_all(&content[..3 << 20]).unwrap();
    broken.shutdown(std::net::Shutdown::Write).unwrap();
    // The server has noticed when it closes its side.
    broken.read_to_end(&mut Vec::new()).unwrap();

    let status = registry.get(&location);
    assert_eq!((status.status, status.header("range")), (204, &*format!("0-{}", (3 << 20) - 1)));
    registry.stop();

    let registry = Registry::start(folder.path());
    let again = registry.get(&location);
    assert_eq!(again.header("range"), format!("0-{}", (3 << 20) - 1));
    let wrong = [("content-range", format!("{}-{}", 4 << 20, content.len() - 1))];
    let wrong = [(wrong[0].0, wrong[0].1.as_str())];
    let path = format!("{location}?digest={}", Digest::sha256(&content));
    let refused = registry.ask("PUT", &path, &wrong, &content[4 << 20..]);
    assert_eq!(refused.refusal(), (416, "BLOB_UPLOAD_INVALID".to_owned()));
    let range = format!("{}-{}", 3 << 20, content.len() - 1);
    let done = registry.ask("PUT", &path, &[("content-range", &range)], &content[3 << 20..]);
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(registry.get(done.header("location")).body, content);
    assert_eq!(registry.get(&location).refusal(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
}

#[test]
fn an_upload_is_gone_on_with_though_an_earlier_request_still_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let location = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    let mut first = TcpStream::connect(registry.address).unwrap();
    write!(
        first,
        "PATCH {location} HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    // Told to go on, the first one has the upload; it sends a part of what it promised, and no more.
    let mut told = [0; 12];
    first.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    first.write_all(b"one").unwrap();
    let second = registry.ask("PATCH", &location, &[], b"two");
    assert_eq!(second.status, 202, "{}", second.text());
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 409"), "{answer}");
    // Whether the three bytes had come before the turn was lost or not, none of them is there twice or in part.
    let (whole, rest) = (Digest::sha256(b"onetwo"), Digest::sha256(b"two"));
    let held = registry.ask("GET", &location, &[], b"").header("range").to_owned();
    let digest = if held == "0-5" { whole } else { rest };
    assert_eq!(registry.ask("PUT", &format!("{location}?digest={digest}"), &[], b"").status, 201, "{held}");
}

#[test]
fn a_blob_is_seen_where_it_was_pushed_or_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let blob = registry.push_blob("team/a", b"content");
    let status = |repository: &str| registry.get(&format!("/v2/{repository}/blobs/{blob}")).status;
    assert_eq!((status("team/a"), status("team/b"), status("team")), (200, 404, 404));

    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("c", b"content"), "layers": []});
    let text = manifest.to_string();
    let refused =
        registry.ask("PUT", "/v2/team/b/manifests/x", &[("content-type", MANIFEST)], text.as_bytes());
    assert_eq!(refused.refusal(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));

    let mount = format!("/v2/team/b/blobs/uploads/?mount={blob}&from=team/a");
    assert_eq!(registry.ask("POST", &mount, &[], b"").status, 201);
    registry.push_manifest("team/b", "x", &manifest);
    // What one repository lets go of stays in the other.
    assert_eq!(registry.ask("DELETE", &format!("/v2/team/a/blobs/{blob}"), &[], b"").status, 202);
    assert_eq!((status("team/a"), status("team/b")), (404, 200));
    let missing = format!("/v2/team/b/blobs/uploads/?mount={blob}&from=team/nowhere");
    assert_eq!(registry.ask("POST", &missing, &[], b"").status, 202);
}

#[test]
fn two_processes_may_serve_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Registry::start(folder.path()), Registry::start(folder.path()));
    let location = one.ask("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    assert_eq!(one.ask("PATCH", &location, &[], b"first ").status, 202);
    assert_eq!(other.ask("PATCH", &location, &[], b"second").status, 202);
    let done = format!("{location}?digest={}", Digest::sha256(b"first second"));
    assert_eq!(one.ask("PUT", &done, &[], b"").status, 201);
    let digest = one.push_image("a", "latest", b"layer");
    assert_eq!(other.get("/v2/a/manifests/latest").header("docker-content-digest"), digest.to_string());
}

#[test]
fn lists_say_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    assert_eq!(registry.get("/v2/nothing/tags/list").refusal(), (404, "NAME_UNKNOWN".to_owned()));
    for (repository, tag) in [("b/c", "v1"), ("a", "v2"), ("a", "v10"), ("a", "latest")] {
        registry.push_image(repository, tag, repository.as_bytes());
    }
    registry.push_blob("only/a-blob", b"x");
    assert_eq!(registry.get("/v2/_catalog").json()["repositories"], json!(["a", "b/c"]));
    let page = registry.get("/v2/a/tags/list?n=2");
    assert_eq!(page.json(), json!({"name": "a", "tags": ["latest", "v10"]}));
    let next = page.header("link").trim_start_matches('<').split_once('>').unwrap().0.to_owned();
    assert_eq!(registry.get(&next).json()["tags"], json!(["v2"]));
}

#[test]
fn a_deleted_manifest_takes_its_tags_along_and_a_deleted_tag_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let digest = registry.push_image("a", "one", b"layer");
    registry.push_image("a", "two", b"layer");
    assert_eq!(registry.ask("DELETE", "/v2/a/manifests/one", &[], b"").status, 202);
    assert_eq!(registry.get(&format!("/v2/a/manifests/{digest}")).status, 200);
    assert_eq!(registry.ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").status, 202);
    assert_eq!(registry.get("/v2/a/manifests/two").refusal(), (404, "MANIFEST_UNKNOWN".to_owned()));
    assert_eq!(registry.get("/v2/a/tags/list").json()["tags"], json!([]));
}

#[test]
fn referrers_go_with_their_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let subject = registry.push_image("a", "latest", b"layer");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "artifactType": "sbom", "manifests": [],
        "subject": {"mediaType": MANIFEST, "digest": subject, "size": 1}, "annotations": {"k": "v"}});
    let referrer = registry.push_manifest("a", "", &index);
    let path = format!("/v2/a/referrers/{subject}");
    let listed = registry.get(&path).json();
    let expected = json!([{"mediaType": INDEX, "digest": referrer, "size": index.to_string().len(),
        "artifactType": "sbom", "annotations": {"k": "v"}}]);
    assert_eq!(listed["manifests"], expected);
    assert_eq!(registry.get(&format!("{path}?artifactType=other")).json()["manifests"], json!([]));
    registry.ask("DELETE", &format!("/v2/a/manifests/{referrer}"), &[], b"");
    assert_eq!(registry.get(&path).json()["manifests"], json!([]));
}

#[test]
fn what_is_too_long_or_comes_too_slowly_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { blob: 10, manifest: 100, stall: Duration::from_millis(200), ..Limits::default() };
    let registry = Registry::start_with(Options { limits, ..Options::new(folder.path()) });
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::sha256(b"12345678901"));
    assert_eq!(registry.ask("POST", &path, &[], b"12345678901").refusal(), (413, "SIZE_INVALID".to_owned()));
    let long = registry.ask("PUT", "/v2/a/manifests/x", &[], &[b' '; 101]);
    assert_eq!(long.refusal(), (413, "SIZE_INVALID".to_owned()));
    let wrong = format!("/v2/a/blobs/uploads/?digest={}", Digest::sha256(b"other"));
    assert_eq!(registry.ask("POST", &wrong, &[], b"some").refusal(), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(std::fs::read_dir(folder.path().join("repositories/a/_uploads")).unwrap().count(), 0);

    let location = registry.ask("POST", "/v2/a/blobs/uploads/", &[], b"").header("location").to_owned();
    let mut slow = TcpStream::connect(registry.address).unwrap();
    write!(slow, "PATCH {location} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(registry.get(&location).header("range"), "0-1", "what came is kept");
}

#[test]
fn who_does_not_read_gives_up_his_place() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { stall: Duration::from_millis(300), connections: 1, ..Limits::default() };
    let registry = Registry::start(folder.path());
    // More than the buffers of both ends.
    let blob = registry.push_blob("a", &vec![7; 64 << 20]);
    registry.stop();
    let registry = Registry::start_with(Options { limits, ..Options::new(folder.path()) });
    let mut asked = TcpStream::connect(registry.address).unwrap();
    write!(asked, "GET /v2/a/blobs/{blob} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    asked.read_exact(&mut [0; 12]).unwrap();
    // There is one place: the next one is served when it is free again.
    assert_eq!(registry.get("/v2/").status, 200);
    let rest = asked.read_to_end(&mut Vec::new());
    assert!(rest.is_err() || rest.unwrap() < 64 << 20, "it was cut off");
}
