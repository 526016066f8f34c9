//! Credentials and the endpoint come from where every AWS tool takes them. A process has one environment, so each case
//! is a process: this program again, as `child`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use minato_ecs::{EcsTarget, Options};
use minato_sync::{Owner, Redactor, Target as _};

#[test]
fn keys_and_endpoint_of_the_environment_are_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || answer_once(&listener));
    let keys =
        [("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "token")];
    let output = child(&[keys.as_slice(), &[("AWS_ENDPOINT_URL", &address)]].concat());
    assert!(output.status.success(), "{}", told(&output));
    let request = server.join().unwrap().to_lowercase();
    for expected in [
        "x-amz-target: amazonec2containerservicev20141113.listservices",
        "authorization: aws4-hmac-sha256 credential=key/",
        "/eu-central-1/ecs/aws4_request",
        "x-amz-security-token: token",
        "content-type: application/x-amz-json-1.1",
    ] {
        assert!(request.contains(expected), "{expected} is not in {request}");
    }
}

#[test]
fn without_credentials_the_way_to_get_them_is_told() {
    let output = child(&[]);
    let told = told(&output);
    assert!(!output.status.success());
    assert!(told.contains("ecs://eu-central-1/shop: no AWS credentials: "), "{told}");
    assert!(told.contains("run `aws sso login`"), "{told}");
}

#[tokio::test]
#[ignore = "the other tests run it in a process of its own"]
async fn connect_and_look() {
    let options = Options { redactor: Redactor::new([1; 32]), families: Vec::new() };
    let target =
        EcsTarget::connect("eu-central-1", "shop", options).await.unwrap_or_else(|error| panic!("{error}"));
    let live = target.live(&Owner::new("shop".parse().unwrap())).await.unwrap();
    assert_eq!(live.len(), 0);
}

fn child(environment: &[(&str, &str)]) -> Output {
    let nowhere = "/nonexistent";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "connect_and_look", "--ignored", "--nocapture"])
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs([("AWS_CONFIG_FILE", nowhere), ("AWS_SHARED_CREDENTIALS_FILE", nowhere)])
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Answers one request with an empty list; what was asked.
fn answer_once(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // The body is one JSON object.
    while !request.ends_with(b"}") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the request ends early");
        request.extend_from_slice(&buffer[..count]);
    }
    let body = r#"{"serviceArns": []}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    String::from_utf8_lossy(&request).into_owned()
}
