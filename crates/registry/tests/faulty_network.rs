//! Pushes and copies through a network that resets, stalls, and answers 429 and 500 at random: what broke off is gone on
//! with, and little is sent twice. The registry is our own, which keeps what came of a broken upload.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod debian;
mod fake;
mod faulty;

use std::time::Duration;

use debian::image;
use fake::{client, noise};
use faulty::Proxy;
use minato_oci::layer::Encoding;
use minato_oci::{Image, Platform, Reference, Store};
use minato_registry::server::{self, Server};
use minato_registry::{Client, CopyOptions, Options, Place, Timeouts};

const SEEDS: u64 = 20;
/// Of the layers below, uncompressed and incompressible.
const LAYERS: [usize; 8] = [100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000];

async fn registry(folder: &std::path::Path) -> server::Running {
    let options = server::Options::new(folder);
    Server::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap().start()
}

fn patient() -> Client {
    let timeouts = Timeouts { connect: Duration::from_secs(5), stall: Duration::from_secs(2) };
    Client::new(Options { retries: 30, timeouts, ..Options::default() }).unwrap()
}

fn image_of_noise(store: &Store) -> Image {
    let names = LAYERS.map(|length| format!("file-{length}"));
    let layers = names.iter().zip(LAYERS).map(|(name, length)| (name.as_str(), noise(length)));
    image(store, &layers.collect::<Vec<_>>())
}

fn at(address: std::net::SocketAddr, name: &str) -> Reference {
    format!("{address}/{name}").parse().unwrap()
}

/// What was sent through all proxies. One fault costs what was under way, some 100 kB: of one small image that is much.
#[derive(Default)]
struct Sent {
    bytes: u64,
    images: u64,
    faults: u64,
}

impl Sent {
    fn add(&mut self, proxy: &Proxy) {
        let (bytes, faults) = proxy.counts();
        eprintln!("{faults} faults, {bytes} bytes sent");
        (self.bytes, self.images, self.faults) = (self.bytes + bytes, self.images + 1, self.faults + faults);
    }

    fn assert_little_twice(&self) {
        let ratio = self.bytes as f64 / (self.images as usize * LAYERS.iter().sum::<usize>()) as f64;
        eprintln!("{} faults; {ratio:.3} times the images' bytes were sent", self.faults);
        assert!(self.faults >= self.images, "{} faults", self.faults);
        assert!(ratio <= 1.2, "{ratio} times the images' bytes were sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_sends_little_twice() {
    let place = tempfile::tempdir().unwrap();
    let registry = registry(&place.path().join("registry")).await;
    let made = Store::open(&place.path().join("made")).unwrap();
    let image = image_of_noise(&made);
    let mut sent = Sent::default();
    for seed in 1..=SEEDS {
        let proxy = Proxy::start(registry.address(), seed).await;
        let reference = at(proxy.address, &format!("seed{seed}:1"));
        let pushed = patient().push(&image, &reference, Encoding::default(), &made, &()).await.unwrap();
        let direct = at(registry.address(), &format!("seed{seed}:1")).with_digest(pushed.digest);
        let pulled = Store::open(&place.path().join(format!("pulled{seed}"))).unwrap();
        let back = client(Options::default()).pull(&direct, &Platform::host(), &pulled, &()).await.unwrap();
        assert_eq!(back.id, image.id);
        sent.add(&proxy);
    }
    sent.assert_little_twice();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_sends_little_twice() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (registry(&place.path().join("from")).await, registry(&place.path().join("to")).await);
    let made = Store::open(&place.path().join("made")).unwrap();
    let image = image_of_noise(&made);
    let source = at(from.address(), "app:1");
    client(Options::default()).push(&image, &source, Encoding::default(), &made, &()).await.unwrap();
    let mut sent = Sent::default();
    for seed in 1..=SEEDS {
        let (out, into) =
            (Proxy::start(from.address(), seed + 100).await, Proxy::start(to.address(), seed).await);
        let name = format!("seed{seed}:1");
        let places = (Place::Registry(at(out.address, "app:1")), Place::Registry(at(into.address, &name)));
        let copied = patient().copy(&places.0, &places.1, &CopyOptions::default(), &()).await.unwrap();
        let there = client(Options::default()).document(&at(to.address(), &name), &()).await.unwrap();
        assert_eq!(there.descriptor.digest, copied.digest);
        sent.add(&into);
    }
    sent.assert_little_twice();
}
