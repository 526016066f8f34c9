//! A registry that lies, breaks off or never ends: `build` ends with code 2, says what was wrong, and keeps nothing of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use support::machine::{Machine, Run};

/// What the registry does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The image's description is another one than was asked for by digest.
    OtherManifest,
    OtherConfig,
    OtherLayer,
    /// More bytes than the manifest says, without an end.
    EndlessLayer,
    EndlessManifest,
    /// The connection ends in the middle, every time.
    BrokenLayer,
    /// The connection ends before an answer, every time.
    NoAnswer,
    NotFound,
}

/// Most bytes that a refused image may leave in the data folder.
const KEPT_LIMIT: u64 = 1 << 20;

#[test]
fn each_lie_is_refused_and_leaves_nothing() {
    for fault in [Fault::OtherManifest, Fault::OtherConfig, Fault::OtherLayer] {
        let (run, kept) = build(fault);
        assert_eq!(run.code, 2, "{fault:?}: {run}");
        assert!(run.stderr.contains("sha256:"), "{fault:?}: names the digest: {run}");
        assert!(run.stderr.contains("Dockerfile:1"), "{fault:?}: names the place: {run}");
        assert!(kept < KEPT_LIMIT, "{fault:?}: {kept} bytes kept");
    }
}

#[test]
fn what_never_ends_is_cut_off() {
    for fault in [Fault::EndlessLayer, Fault::EndlessManifest] {
        let (run, kept) = build(fault);
        assert_eq!(run.code, 2, "{fault:?}: {run}");
        assert!(kept < KEPT_LIMIT, "{fault:?}: {kept} bytes kept");
    }
}

#[test]
fn what_breaks_off_is_tried_again_and_then_given_up() {
    for fault in [Fault::BrokenLayer, Fault::NoAnswer, Fault::NotFound] {
        let (run, kept) = build(fault);
        assert_eq!(run.code, 2, "{fault:?}: {run}");
        assert!(run.stderr.contains("Dockerfile:1"), "{fault:?}: names the place: {run}");
        assert!(run.stderr.contains("library/lying") || run.stderr.contains("lying:"), "{fault:?}: {run}");
        assert!(kept < KEPT_LIMIT, "{fault:?}: {kept} bytes kept");
    }
}

fn build(fault: Fault) -> (Run, u64) {
    let image = Image::new();
    let folder = tempfile::tempdir().unwrap();
    let digest = digest(image.manifest.as_bytes());
    fs::write(folder.path().join("Dockerfile"), format!("FROM lying:1@{digest}\nUSER 1\n")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("docker.io=http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let image = image.clone();
            thread::spawn(move || serve(stream, &image, fault));
        }
    });
    let machine = Machine::with_flags(&["--registry-mirror", &mirror]);
    let run = machine.minato(&[Path::new("build"), folder.path()]);
    (run, size(&machine.data()))
}

/// An image that a registry that does not lie would serve.
#[derive(Clone)]
struct Image {
    manifest: String,
    config: String,
    layer: Vec<u8>,
}

impl Image {
    fn new() -> Image {
        let layer = vec![0_u8; 1024]; // an empty archive
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            digest(&layer)
        );
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}]}}"#,
            digest(config.as_bytes()),
            config.len(),
            digest(&layer),
            layer.len()
        );
        Image { manifest, config, layer }
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn serve(stream: TcpStream, image: &Image, fault: Fault) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let mut requests = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while requests.read_line(&mut line)? > 2 {
            line.clear();
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        if !answer(&mut out, path, first.starts_with("HEAD"), image, fault)? {
            return Ok(());
        }
    }
}

/// False ends the connection.
fn answer(out: &mut TcpStream, path: &str, head: bool, image: &Image, fault: Fault) -> io::Result<bool> {
    let layer = digest(&image.layer);
    match fault {
        Fault::NoAnswer => return Ok(false),
        Fault::NotFound if path != "/v2/" => return send(out, "404 Not Found", head, b"{}"),
        Fault::EndlessManifest if path.contains("/manifests/") && !head => return endless(out),
        Fault::EndlessLayer if path.contains(&*layer) => return endless(out),
        Fault::BrokenLayer if path.contains(&*layer) => {
            out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\nhalf")?;
            return Ok(false);
        }
        _ => {}
    }
    // The lies have the right length, so that only the digest tells.
    let lie = |bytes: &[u8], lies: bool| {
        let mut bytes = bytes.to_vec();
        if lies {
            *bytes.last_mut().unwrap() ^= 1;
        }
        bytes
    };
    if path.contains("/manifests/") {
        let other = image.manifest.replace("\"size\":1024", "\"size\":1025");
        let text = if fault == Fault::OtherManifest { &other } else { &image.manifest };
        return send(out, "200 OK", head, text.as_bytes());
    }
    if path.contains(&layer) {
        return send(out, "200 OK", head, &lie(&image.layer, fault == Fault::OtherLayer));
    }
    if path.contains("/blobs/") {
        return send(out, "200 OK", head, &lie(image.config.as_bytes(), fault == Fault::OtherConfig));
    }
    send(out, "200 OK", head, b"{}")
}

fn send(out: &mut TcpStream, status: &str, head: bool, body: &[u8]) -> io::Result<bool> {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    write!(out, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    if !head {
        out.write_all(body)?;
    }
    Ok(true)
}

fn endless(out: &mut TcpStream) -> io::Result<bool> {
    out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\nConnection: close\r\n\r\n")?;
    loop {
        out.write_all(&[b' '; 64 * 1024])?;
    }
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        _ => entry.metadata().map_or(0, |metadata| metadata.len()),
    });
    sizes.sum()
}
