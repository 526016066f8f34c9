//! A registry that stands between its clients and another one: fetches once, verifies, keeps, and serves on when the
//! other one is gone.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod served;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minato_oci::Digest;
use minato_registry::server::{Options, Upstreams};
use minato_registry::{Client, Options as ClientOptions};
use serde_json::json;
use served::Registry;

/// The cache in `folder` of the registry at `address`, under the name `there.example`.
fn cache(folder: &Path, address: SocketAddr) -> Registry {
    let client = Client::new(ClientOptions { retries: 0, ..ClientOptions::default() }).unwrap();
    let registries = vec![format!("there.example=http://{address}").parse().unwrap()];
    Registry::start_with(Options {
        upstreams: Some(Upstreams { client, registries }),
        ..Options::new(folder)
    })
}

#[test]
fn what_was_asked_for_once_is_here_when_the_other_registry_is_not() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = Registry::start(theirs.path());
    let manifest = there.push_image("team/app", "latest", b"a layer");
    let here = cache(ours.path(), there.address);
    let blob = Digest::sha256(b"a layer");
    let path = "/v2/there.example/team/app";
    let first = here.get(&format!("{path}/manifests/latest"));
    assert_eq!(first.header("docker-content-digest"), manifest.to_string());
    assert_eq!(here.ask("HEAD", &format!("{path}/blobs/{blob}"), &[], b"").header("content-length"), "7");
    assert_eq!(here.get(&format!("{path}/blobs/{blob}")).body, b"a layer");
    let sbom = json!({"schemaVersion": 2, "mediaType": served::INDEX, "artifactType": "sbom", "manifests": [],
        "subject": {"mediaType": served::MANIFEST, "digest": manifest, "size": 1}});
    let sbom = there.push_manifest("team/app", "", &sbom);
    let about = here.get(&format!("{path}/referrers/{manifest}?artifactType=sbom")).json();
    assert_eq!(about["manifests"][0]["digest"], sbom.to_string());
    there.push_image("team/app", "unasked", b"a layer");
    assert_eq!(here.get(&format!("{path}/tags/list")).json()["tags"], json!(["latest", "unasked"]));
    for missing in ["manifests/other".to_owned(), format!("blobs/{}", Digest::sha256(b"other"))] {
        assert_eq!(here.get(&format!("{path}/{missing}")).status, 404, "{missing}");
    }

    let address = there.address;
    there.stop();
    here.stop();
    let here = cache(ours.path(), address);
    assert_eq!(
        here.get(&format!("{path}/manifests/latest")).body,
        first.body,
        "stale is better than nothing"
    );
    assert_eq!(here.get(&format!("{path}/blobs/{blob}")).body, b"a layer");
    assert_eq!(here.get(&format!("{path}/manifests/other")).status, 502);
    assert_eq!(here.get(&format!("{path}/tags/list")).json()["tags"], json!(["latest"]));
}

#[test]
fn a_tag_that_moved_there_moves_here() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = Registry::start(theirs.path());
    there.push_image("app", "latest", b"old");
    let meant = |here: &Registry| {
        here.get("/v2/there.example/app/manifests/latest").header("docker-content-digest").to_owned()
    };
    let here = cache(ours.path(), there.address);
    let old = meant(&here);
    let new = there.push_image("app", "latest", b"new").to_string();
    assert_eq!(meant(&here), old, "it was looked up a moment ago");
    here.stop();
    assert_eq!(meant(&cache(ours.path(), there.address)), new);
}

#[test]
fn however_many_ask_it_is_fetched_once() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = Registry::start(theirs.path());
    let content: Vec<u8> = (0..20_u32 << 20).map(|n| (n / 7) as u8).collect();
    let blob = there.push_blob("app", &content);
    let (proxy, fetched) = counting(there.address);
    let here = cache(ours.path(), proxy);
    std::thread::scope(|scope| {
        let ask = || here.get(&format!("/v2/there.example/app/blobs/{blob}")).body == content;
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        assert!(asking.into_iter().all(|one| one.join().unwrap()));
    });
    assert!(here.get(&format!("/v2/there.example/app/blobs/{blob}")).body == content);
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    assert_eq!(
        std::fs::read_dir(ours.path().join("repositories/there.example/app/_uploads")).unwrap().count(),
        0
    );
}

#[test]
fn a_blob_that_is_not_what_its_digest_says_is_neither_given_nor_kept() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = Registry::start(theirs.path());
    let blob = there.push_blob("app", b"what it should be");
    let file = theirs.path().join("blobs/sha256").join(blob.hex());
    std::fs::write(file, b"what it is really").unwrap();
    let here = cache(ours.path(), there.address);
    let mut asked = TcpStream::connect(here.address).unwrap();
    let path = format!("/v2/there.example/app/blobs/{blob}");
    write!(asked, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = asked.read_to_end(&mut answer);
    let body = answer.windows(4).position(|part| part == b"\r\n\r\n").map(|head| answer.len() - head - 4);
    assert!(body.is_none_or(|length| length < 17), "{}", String::from_utf8_lossy(&answer));
    assert!(!ours.path().join("blobs/sha256").join(blob.hex()).exists());
}

#[test]
fn mirrors_are_asked_in_every_way_that_clients_know() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let there = Registry::start(theirs.path());
    there.push_image("app", "latest", b"layer");
    let here = cache(ours.path(), there.address);
    here.push_image("own/app", "latest", b"layer");
    for (path, expected) in [
        ("/v2/there.example/app/manifests/latest", 200),
        ("/v2/app/manifests/latest?ns=there.example", 200),
        ("/there.example/v2/app/manifests/latest", 200),
        ("/v2/app/manifests/latest", 404),
        ("/v2/app/manifests/latest?ns=elsewhere.example", 404),
        ("/v2/own/app/manifests/latest", 200),
    ] {
        assert_eq!(here.get(path).status, expected, "{path}");
    }
    for (method, path) in [
        ("PUT", "/v2/there.example/app/manifests/latest"),
        ("POST", "/v2/there.example/app/blobs/uploads/"),
        ("DELETE", "/v2/there.example/app/manifests/latest"),
    ] {
        assert_eq!(here.ask(method, path, &[], b"{}").refusal(), (405, "UNSUPPORTED".to_owned()), "{method}");
    }
}

/// Passes connections on, and counts how often a blob is fetched through them.
fn counting(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (mut server, counted) = (TcpStream::connect(to).unwrap(), Arc::clone(&counted));
            let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || {
                let (mut client, mut buffer) = (client, [0; 16 << 10]);
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    let gets = text.matches("GET /v2/app/blobs/").count();
                    counted.fetch_add(gets, Ordering::SeqCst);
                    if server.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, count)
}
