//! ADD of a file from an HTTP server on loopback.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use minato_oci::Digest;
use support::server::{Answer, Server};
use support::{Workshop, steps};

fn build(workshop: &Workshop, instruction: &str) -> Result<(String, std::path::PathBuf), String> {
    let built =
        workshop.build(&format!("FROM scratch\n{instruction}\n")).map_err(|error| error.to_string())?;
    Ok((steps(&built), workshop.layers(&built)[0].clone()))
}

#[test]
fn a_file_gets_its_name_from_the_address_and_a_private_mode() {
    let server = Server::start(|_| Answer::ok("content"));
    let workshop = Workshop::new();
    for (instruction, path, mode) in [
        (format!("ADD {} /", server.url("/a/file.txt?x=1")), "file.txt", 0o600),
        (format!("ADD {} /d/", server.url("/b%20c")), "d/b c", 0o600),
        (format!("ADD {} /renamed", server.url("/x")), "renamed", 0o600),
        (format!("ADD --chmod=755 --chown=3:4 {} /e", server.url("/x")), "e", 0o755),
        (format!("ADD {} /none/", server.url("/")), "none/__unnamed__", 0o600),
    ] {
        let (_, layer) = build(&workshop, &instruction).unwrap();
        let place = layer.join(path);
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "content", "{instruction}");
        assert_eq!(place.metadata().unwrap().permissions().mode() & 0o7777, mode, "{instruction}");
    }
}

#[test]
fn a_server_may_name_what_the_address_does_not() {
    let server = Server::start(|_| {
        Answer::ok("x").header("content-disposition", "attachment; filename=\"named.bin\"")
    });
    let workshop = Workshop::new();
    let (_, layer) = build(&workshop, &format!("ADD {} /", server.url("/"))).unwrap();
    assert!(layer.join("named.bin").exists());
    let hostile =
        Server::start(|_| Answer::ok("x").header("content-disposition", "filename=../../etc/passwd"));
    let (_, layer) = build(&workshop, &format!("ADD {} /", hostile.url("/"))).unwrap();
    assert!(layer.join("__unnamed__").exists());
}

#[test]
fn a_file_that_did_not_change_is_not_sent_again() {
    let content = std::sync::Arc::new(Mutex::new("one"));
    let current = std::sync::Arc::clone(&content);
    let server = Server::start(move |asked| {
        let content = *current.lock().unwrap();
        let etag = format!("\"{content}\"");
        match asked.header("if-none-match") == Some(&etag) {
            true => Answer::status(304),
            false => Answer::ok(content).header("etag", etag),
        }
    });
    let workshop = Workshop::new();
    let instruction = format!("ADD {} /", server.url("/file"));
    assert_eq!(build(&workshop, &instruction).unwrap().0, ".");
    assert_eq!(build(&workshop, &instruction).unwrap().0, "c");
    assert_eq!(server.asked()[1].header("if-none-match"), Some("\"one\""));
    *content.lock().unwrap() = "two";
    let (done, layer) = build(&workshop, &instruction).unwrap();
    assert_eq!((done.as_str(), std::fs::read_to_string(layer.join("file")).unwrap().as_str()), (".", "two"));
}

#[test]
fn a_checksum_is_checked_and_spares_the_question() {
    let server = Server::start(|_| Answer::ok("content"));
    let workshop = Workshop::new();
    let (right, wrong) = (Digest::sha256("content"), Digest::sha256("other"));
    let instruction = |digest| format!("ADD --checksum={digest} {} /", server.url("/file"));
    let error = build(&workshop, &instruction(wrong)).unwrap_err();
    assert!(error.contains(&format!("the file is {right}, and --checksum={wrong} was asked for")), "{error}");
    build(&workshop, &instruction(right)).unwrap();
    let asked = server.asked().len();
    assert_eq!(build(&workshop, &instruction(right)).unwrap().0, "c");
    assert_eq!(server.asked().len(), asked);
}

#[test]
fn archives_are_unpacked_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("inside"), "x").unwrap();
    let tar =
        std::process::Command::new("tar").arg("-C").arg(folder.path()).args(["-czf", "-", "inside"]).output();
    let tar = tar.unwrap().stdout;
    let server = Server::start(move |_| Answer::ok(tar.clone()));
    let workshop = Workshop::new();
    let (_, layer) = build(&workshop, &format!("ADD {} /", server.url("/a.tgz"))).unwrap();
    assert!(layer.join("a.tgz").exists() && !layer.join("inside").exists());
    let (_, layer) = build(&workshop, &format!("ADD --unpack=true {} /", server.url("/a.tgz"))).unwrap();
    assert!(!layer.join("a.tgz").exists() && layer.join("inside").exists());
}

#[test]
fn what_fails_for_a_moment_is_tried_again() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::status(503),
        1 => Answer { breaks_after: Some(3), ..Answer::ok("content") },
        _ => Answer::ok("content"),
    });
    let workshop = Workshop::new();
    let (_, layer) = build(&workshop, &format!("ADD {} /", server.url("/file"))).unwrap();
    assert_eq!(std::fs::read_to_string(layer.join("file")).unwrap(), "content");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn redirects_are_followed_so_far_and_no_further() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/from" => Answer::status(302).header("location", "/to"),
        "/to" => Answer::ok("there"),
        _ => Answer::status(302).header("location", "/round"),
    });
    let workshop = Workshop::new();
    let (_, layer) = build(&workshop, &format!("ADD {} /", server.url("/from"))).unwrap();
    assert_eq!(std::fs::read_to_string(layer.join("from")).unwrap(), "there");
    let error = build(&workshop, &format!("ADD {} /", server.url("/round"))).unwrap_err();
    assert!(error.contains("too many redirects"), "{error}");
    assert!(server.asked().len() < 20);
}

#[test]
fn what_is_not_there_is_said_at_its_line() {
    let server = Server::start(|_| Answer::status(404));
    let url = server.url("/gone");
    let error = build(&Workshop::new(), &format!("ADD {url} /")).unwrap_err();
    assert_eq!(error, format!("Dockerfile:2:1: ADD {url} /: {url}: the server answered 404 Not Found"));
}
