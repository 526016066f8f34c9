//! A mirror is asked first and the registry itself when the mirror can't help.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use fake::{Content, End, Registry, Reply, Seen, Told, client};
use minato_oci::{Image, Reference, Store};
use minato_registry::{Mirror, Options, PullError};

fn content() -> Content {
    let mut content = Content::default();
    content.image("library/app", "1", "linux/amd64", &[("file", fake::noise(50_000))]);
    content
}

async fn pull(reference: &Reference, mirrors: &[String], told: &Told) -> Result<Image, PullError> {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let mirrors = mirrors.iter().map(|mirror| mirror.parse::<Mirror>().unwrap()).collect();
    let client = client(Options { mirrors, ..Options::default() });
    client.pull(reference, &"linux/amd64".parse().unwrap(), &store, told).await
}

#[tokio::test]
async fn docker_hub_is_pulled_from_a_mirror_alone() {
    let mirror = Registry::honest(&content()).await;
    let told = Told::default();
    pull(&"app:1".parse().unwrap(), &[format!("docker.io=http://{}", mirror.address)], &told).await.unwrap();
    assert_eq!(told.count("MirrorFailed"), 0);
    assert!(mirror.paths().iter().all(|path| path.starts_with("/v2/library/app/")));
}

#[tokio::test]
async fn a_mirror_that_cannot_help_is_passed_over() {
    type Change = fn(&Seen, Reply) -> Reply;
    let changes: [(&str, Change); 6] = [
        ("lacks it", |_, _| Reply::status(404)),
        ("is down", |_, _| Reply::status(503)),
        ("wants a login", |_, _| Reply::status(401).header("www-authenticate", "Basic realm=x")),
        ("stalls", |_, reply| reply.ending(End::Stalled(0))),
        ("lies", |seen, reply| match seen.path.contains("/blobs/") {
            true => Reply { body: vec![b'x'; reply.body.len()], ..reply },
            false => reply,
        }),
        ("has no blobs", |seen, reply| match seen.path.contains("/blobs/") {
            true => Reply::status(404),
            false => reply,
        }),
    ];
    for (what, change) in changes {
        let upstream = Registry::honest(&content()).await;
        let mirror = Registry::start(&content(), change).await;
        let mirrors = [format!("{}=http://{}", upstream.address, mirror.address)];
        let told = Told::default();
        let pulled = pull(&upstream.reference("library/app:1"), &mirrors, &told).await;
        assert!(pulled.is_ok(), "mirror {what}: {pulled:?}");
        assert!(!mirror.seen().is_empty() && !upstream.seen().is_empty(), "mirror {what}");
        assert!(told.count("MirrorFailed") > 0, "mirror {what}");
    }
}

#[tokio::test]
async fn a_mirror_that_is_not_there_is_passed_over() {
    let upstream = Registry::honest(&content()).await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mirrors = [format!("{}=http://{unused}", upstream.address)];
    pull(&upstream.reference("library/app:1"), &mirrors, &Told::default()).await.unwrap();
}

#[tokio::test]
async fn another_registrys_mirror_is_not_asked() {
    let (upstream, mirror) = (Registry::honest(&content()).await, Registry::honest(&content()).await);
    let mirrors = [format!("docker.io=http://{}", mirror.address)];
    pull(&upstream.reference("library/app:1"), &mirrors, &Told::default()).await.unwrap();
    assert!(mirror.seen().is_empty());
}
