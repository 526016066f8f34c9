//! What breaks off is taken up where it ended; what only says "later" is asked again; what stalls ends.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use std::time::{Duration, Instant};

use fake::{Content, End, Made, Registry, Reply, Seen, Told, client};
use minato_oci::{Image, Store};
use minato_registry::{Options, PullError};

fn content() -> (Content, Made) {
    let mut content = Content::default();
    let made = content.image("app", "latest", "linux/amd64", &[("file", fake::noise(500_000))]);
    (content, made)
}

async fn pull(registry: &Registry, told: &Told) -> Result<Image, PullError> {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let client = client(Options::default());
    let pulled = client.pull(&registry.reference("app"), &"linux/amd64".parse().unwrap(), &store, told).await;
    if let Ok(image) = &pulled {
        let layers = store.image_layers(image).unwrap();
        assert_eq!(std::fs::read(layers[0].path.join("file")).unwrap(), fake::noise(500_000));
    }
    pulled
}

fn ranges(registry: &Registry, made: &Made) -> Vec<Option<String>> {
    let blob = made.layers[0].digest.to_string();
    registry.seen().into_iter().filter(|seen| seen.path.ends_with(&blob)).map(|seen| seen.range).collect()
}

fn is_layer(made: &Made, seen: &Seen) -> bool {
    seen.path.ends_with(&made.layers[0].digest.to_string())
}

#[tokio::test]
async fn a_broken_download_is_resumed_where_it_ended() {
    let (content, made) = content();
    let image = made.clone();
    let registry =
        Registry::start(&content, move |seen, reply| match is_layer(&image, seen) && seen.before < 4 {
            true => reply.ending(End::Broken(100_000)),
            false => reply,
        });
    let registry = registry.await;
    // More breaks than retries: a connection that brought something does not count.
    pull(&registry, &Told::default()).await.unwrap();
    let expected =
        [None, Some("bytes=100000-"), Some("bytes=200000-"), Some("bytes=300000-"), Some("bytes=400000-")];
    let ranges = ranges(&registry, &made);
    assert_eq!(ranges.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_start_again() {
    let (content, made) = content();
    let whole = Registry::honest(&content).await;
    drop(whole);
    let (image, full) = (made.clone(), std::sync::Mutex::new(None::<Vec<u8>>));
    let registry = Registry::start(&content, move |seen, reply| {
        if !is_layer(&image, seen) {
            return reply;
        }
        let mut full = full.lock().unwrap();
        let body = full.get_or_insert_with(|| reply.body.clone()).clone();
        let reply = Reply::bytes(body);
        if seen.before == 0 { reply.ending(End::Broken(100_000)) } else { reply }
    });
    pull(&registry.await, &Told::default()).await.unwrap();
}

#[tokio::test]
async fn an_answer_for_other_bytes_is_refused() {
    let (content, made) = content();
    let registry = Registry::start(&content, move |seen, reply| match (is_layer(&made, seen), seen.before) {
        (true, 0) => reply.ending(End::Broken(100_000)),
        (true, _) => reply.header("content-range", "bytes 5-9/10"),
        _ => reply,
    });
    let error = pull(&registry.await, &Told::default()).await.unwrap_err().to_string();
    assert!(error.contains("for other bytes"), "{error}");
}

#[tokio::test]
async fn a_download_that_stalls_is_resumed_and_ends_in_an_error_when_it_never_moves() {
    let (content, made) = content();
    let image = made.clone();
    let registry =
        Registry::start(&content, move |seen, reply| match (is_layer(&image, seen), seen.before) {
            (true, 0) => reply.ending(End::Stalled(1000)),
            _ => reply,
        });
    let registry = registry.await;
    pull(&registry, &Told::default()).await.unwrap();
    assert_eq!(ranges(&registry, &made)[1].as_deref(), Some("bytes=1000-"));

    for end in [End::Stalled(0), End::Dripping(0)] {
        let image = made.clone();
        let registry = Registry::start(&content, move |seen, reply| match is_layer(&image, seen) {
            true => reply.ending(end),
            false => reply,
        });
        let told = Told::default();
        let started = Instant::now();
        let error = pull(&registry.await, &told).await.unwrap_err().to_string();
        assert!(error.contains("nothing arrived"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}

#[tokio::test]
async fn a_server_that_never_answers_ends_in_an_error() {
    let (content, _) = content();
    let registry = Registry::start(&content, |_, reply| reply.ending(End::Stalled(0))).await;
    let error = pull(&registry, &Told::default()).await.unwrap_err().to_string();
    assert!(error.contains("nothing arrived"), "{error}");
}

#[tokio::test]
async fn what_says_later_is_asked_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (content, _) = content();
        let registry = Registry::start(&content, move |seen, reply| match seen.before {
            0 => Reply::status(status),
            _ => reply,
        });
        let told = Told::default();
        pull(&registry.await, &told).await.unwrap();
        // Manifest, config and layer, each once.
        assert_eq!(told.count("Retrying"), 3, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let (content, _) = content();
    let registry =
        Registry::start(&content, |seen, reply| match (seen.path.contains("/manifests/"), seen.before) {
            (true, 0) => Reply::status(429).header("retry-after", "1"),
            _ => reply,
        });
    let started = Instant::now();
    pull(&registry.await, &Told::default()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_asks_for_too_much_patience_is_reported() {
    let (content, _) = content();
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit\u001b[31m reached"}]}"#;
    let registry = Registry::start(&content, move |_, _| {
        Reply { status: 429, ..Reply::bytes(body) }.header("retry-after", "86400")
    });
    let registry = registry.await;
    let error = pull(&registry, &Told::default()).await.unwrap_err().to_string();
    assert!(error.contains("server answered 429: TOOMANYREQUESTS pull rate limit[31m reached"), "{error}");
    assert_eq!(registry.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_stays_down_is_asked_only_so_often() {
    let (content, _) = content();
    let registry = Registry::start(&content, |_, _| Reply::status(503)).await;
    let told = Told::default();
    let error = pull(&registry, &told).await.unwrap_err().to_string();
    assert!(error.contains("server answered 503"), "{error}");
    assert_eq!((registry.seen().len(), told.count("Retrying")), (3, 2));
}

#[tokio::test]
async fn a_plain_no_is_not_asked_again() {
    let (content, _) = content();
    let registry = Registry::start(&content, |_, _| Reply::status(404)).await;
    let error = pull(&registry, &Told::default()).await.unwrap_err().to_string();
    assert!(error.contains("/v2/app/manifests/latest: not found"), "{error}");
    assert_eq!(registry.seen().len(), 1);
}
