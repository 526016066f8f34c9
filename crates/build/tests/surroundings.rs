//! What RUN steps get from the command line, and what automatic arguments say.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::sync::{Arc, Mutex};

use minato_build::{FakeExecutor, RunStep, StepNetwork};
use minato_oci::Platform;
use support::{Workshop, steps};

/// A workshop and the steps that it was asked to run.
fn watched() -> (Workshop, Arc<Mutex<Vec<RunStep>>>) {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ran);
    let executor = FakeExecutor::new(move |step, _| {
        seen.lock().unwrap().push(step.clone());
        Ok(0)
    });
    (Workshop::with(executor), ran)
}

#[test]
fn a_step_has_the_network_that_it_or_the_build_says() {
    let (workshop, ran) = watched();
    let dockerfile = "FROM scratch\nRUN one\nRUN --network=host two\nRUN --network=none three\nRUN --network=default four\n";
    let mut request = workshop.request(dockerfile);
    request.network = StepNetwork::None;
    workshop.build_request(&request).unwrap();
    let networks: Vec<_> = ran.lock().unwrap().iter().map(|step| step.network).collect();
    assert_eq!(networks, [StepNetwork::None, StepNetwork::Host, StepNetwork::None, StepNetwork::None]);
}

#[test]
fn other_surroundings_are_another_step() {
    let (workshop, ran) = watched();
    let mut request = workshop.request("FROM scratch\nRUN make\n");
    assert_eq!(steps(&workshop.build_request(&request).unwrap()), ".");
    request.surroundings.hosts = vec![("db.example".to_owned(), [10, 0, 0, 1].into())];
    assert_eq!(steps(&workshop.build_request(&request).unwrap()), ".");
    request.surroundings.shm_bytes = Some(1 << 20);
    assert_eq!(steps(&workshop.build_request(&request).unwrap()), ".");
    assert_eq!(steps(&workshop.build_request(&request).unwrap()), "c");
    assert_eq!(ran.lock().unwrap().last().unwrap().surroundings, request.surroundings);
}

#[test]
fn an_insecure_step_must_be_allowed() {
    let (workshop, ran) = watched();
    let mut request =
        workshop.request("FROM scratch\nRUN --security=insecure make\nRUN --security=sandbox make\n");
    let error = workshop.build_request(&request).unwrap_err().to_string();
    assert!(error.starts_with("Dockerfile:2:1") && error.contains("--allow security.insecure"), "{error}");
    assert!(ran.lock().unwrap().is_empty());
    request.allow_insecure = true;
    workshop.build_request(&request).unwrap();
    let insecure: Vec<_> = ran.lock().unwrap().iter().map(|step| step.insecure).collect();
    assert_eq!(insecure, [true, false]);
}

#[test]
fn automatic_arguments_say_what_is_built_where() {
    let (workshop, ran) = watched();
    let names = "TARGETPLATFORM TARGETOS TARGETOSVERSION TARGETARCH TARGETVARIANT TARGETSTAGE BUILDPLATFORM BUILDOSVERSION";
    let dockerfile = format!("FROM scratch AS last\nARG {names}\nRUN make\n");
    let mut request = workshop.request(&dockerfile);
    request.platform = "linux/arm/v7".parse().unwrap();
    request.target = Some("last".to_owned());
    workshop.build_request(&request).unwrap();
    request.arguments.insert("TARGETVARIANT".to_owned(), "given".to_owned());
    workshop.build_request(&request).unwrap();
    let value = |run: usize, name: &str| {
        let env = ran.lock().unwrap()[run].env.clone();
        env.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    };
    let host = Platform::host().to_string();
    for (name, expected) in [
        ("TARGETPLATFORM", "linux/arm/v7"),
        ("TARGETOS", "linux"),
        ("TARGETOSVERSION", ""),
        ("TARGETARCH", "arm"),
        ("TARGETVARIANT", "v7"),
        ("TARGETSTAGE", "last"),
        ("BUILDPLATFORM", host.as_str()),
        ("BUILDOSVERSION", ""),
    ] {
        assert_eq!(value(0, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(value(1, "TARGETVARIANT").as_deref(), Some("given"));
    assert_eq!(ran.lock().unwrap()[0].platform, request.platform);
}
