//! `minato registry serve` and `retain`, as they are typed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use support::machine::{Machine, Running};

/// A registry that the program serves, and where.
fn serve(machine: &Machine, more: &[&str]) -> (Running, String) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let data = machine.folder().join("registry").display().to_string();
    let mut running =
        machine.start(&[&["registry", "serve", "--listen", &address, "--data", &data], more].concat(), &[]);
    let began = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(running.is_running() && began.elapsed() < Duration::from_secs(20), "it does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    (running, address)
}

fn status(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer[9..12].parse().unwrap()
}

#[test]
fn what_is_built_is_pushed_kept_and_let_go_of() {
    let machine = Machine::new();
    let (registry, address) = serve(&machine, &["--immutable-tag", "v*"]);
    let folder = machine.folder().join("app");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let [release, branch] = ["v1", "pr-7"].map(|tag| format!("{address}/team/app:{tag}"));
    let build = |tags: &[&str]| {
        let folder = folder.display().to_string();
        machine.minato(&[&["build", &*folder], tags].concat()).expect(0);
    };
    build(&["-t", &release]);
    machine.minato(&["push", &release]).expect(0);
    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /other\n").unwrap();
    build(&["-t", &branch, "-t", &release]);
    machine.minato(&["push", &branch]).expect(0);
    machine.minato(&["push", &release]).expect(1).says("immutable");

    let rules = machine.folder().join("rules.yaml");
    fs::write(&rules, "version: 1\nretention:\n- tags: [\"pr-*\"]\n  keep_last: 0\nkeep_untagged_days: 0\n")
        .unwrap();
    let rules = rules.display().to_string();
    let data = machine.folder().join("registry").display().to_string();
    let retain = ["registry", "retain", "--config", &rules, "--data", &data, "-o", "json"];
    let told = machine.minato(&[&retain[..], &["--dry-run"]].concat());
    assert_eq!(told.expect(0).says("nothing was changed").json()[0]["tags"], json!(["pr-7"]));
    assert_eq!(status(&address, "/v2/team/app/manifests/pr-7"), 200);
    assert_eq!(machine.minato(&retain).expect(0).json(), told.json());
    assert_eq!(status(&address, "/v2/team/app/manifests/pr-7"), 404);
    assert_eq!(status(&address, "/v2/team/app/manifests/v1"), 200);

    registry.interrupt();
    registry.wait().expect(0).says(&format!("http://{address}"));
}

#[test]
fn what_cannot_be_served_says_why() {
    let machine = Machine::new();
    let rules = machine.folder().join("rules.yaml");
    fs::write(&rules, "version: 1\nretension: []\n").unwrap();
    let rules = rules.display().to_string();
    for (arguments, says) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "--htpasswd"),
        (&["serve", "--tokens"], "--htpasswd"),
        (&["serve", "--tls-cert", "x"], "--tls-key"),
        (&["serve", "--htpasswd", "/no/such/file"], "/no/such/file"),
        (&["serve", "--config", &rules], "rules.yaml:2"),
        (&["serve", "--upstream", "x"], "REGISTRY=URL"),
        (&["retain", "--config", &rules], "`retention`"),
    ] {
        let run = machine.minato(&[&["registry"], arguments].concat());
        run.expect(2).says(says);
    }
}
