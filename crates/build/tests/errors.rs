//! What is wrong with a build is told at the line where it is wrong.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use minato_build::{BuildError, FakeExecutor, StepError};
use support::Workshop;

/// The Dockerfile fails with a message that starts with `place` and contains `message`.
fn check(dockerfile: &str, place: &str, message: &str) {
    let workshop = Workshop::new();
    workshop.write("a", "a").write("folder/b", "b").write(".dockerignore", "hidden\n").write("hidden", "");
    let error = workshop.build(dockerfile).expect_err(dockerfile).to_string();
    assert!(error.starts_with(place) && error.contains(message), "{dockerfile}\n{error}");
}

#[test]
fn mistakes_of_the_dockerfile() {
    check("FROM scratch\nCOPYY a /\n", "Dockerfile:2", "COPYY");
    check("FROM scratch\nENV A=\"b\n", "Dockerfile:2", "");
    check("FROM scratch\nEXPOSE 70000\n", "Dockerfile:2:1: EXPOSE 70000", "is no port");
    check("FROM scratch\nSTOPSIGNAL SIGNOTHING\n", "Dockerfile:2:1", "is no signal");
    check("FROM scratch\nARG A\nWORKDIR $A\n", "Dockerfile:3:1", "is empty");
    check("FROM scratch\nCOPY a ${B:?give B} /\n", "Dockerfile:2:1", "give B");
    check("FROM $NOTHING\n", "Dockerfile:1:1", "is empty once its variables are replaced");
}

#[test]
fn files_that_are_not_there() {
    check(
        "FROM scratch\nCOPY missing /\n",
        "Dockerfile:2:1: COPY missing /: ",
        "\"/missing\" is not in the build context",
    );
    check("FROM scratch\nCOPY hidden /\n", "Dockerfile:2:1", ".dockerignore");
    check("FROM scratch\nCOPY ../../etc/passwd /\n", "Dockerfile:2:1", "is not in the build context");
    check(
        "FROM scratch AS s\nFROM scratch\nCOPY --from=s /x /\n",
        "Dockerfile:3:1",
        "the stage or image that --from names",
    );
    check("FROM scratch\nCOPY a[ /\n", "Dockerfile:2:1", "unfinished character class");
}

#[test]
fn owners_and_modes_that_are_none() {
    check("FROM scratch\nCOPY --chown=who a /\n", "Dockerfile:2:1", "user \"who\" is not in /etc/passwd");
    check("FROM scratch\nCOPY --chmod=9 a /\n", "Dockerfile:2:1", "--chmod=9 is no mode");
    check("FROM scratch\nCOPY folder /x\nCOPY a /x/b/c\n", "Dockerfile:3:1", "/x/b is not a folder");
    check("FROM scratch\nCOPY a /x/b/file\nCOPY folder /x\n", "Dockerfile:3:1", "/x/b is a folder");
}

#[test]
fn stages_and_images_that_are_not_there() {
    check("FROM nothing:1\n", "Dockerfile:1:1: FROM nothing:1", "not in the store");
    check("FROM scratch\nCOPY --from=5 /a /\n", "Dockerfile:2:1", "is no earlier stage");
    check("FROM scratch AS a\nCOPY --from=a / /x/\n", "Dockerfile:2:1", "comes later");
    check(
        "FROM scratch\nCOPY --from=later /a /\nFROM scratch AS later\nFROM scratch\nCOPY --from=0 / /\n",
        "Dockerfile:2:1",
        "comes later",
    );
    let workshop = Workshop::new();
    let mut request = workshop.request("FROM scratch AS one\nFROM scratch AS two\n");
    request.target = Some("three".to_owned());
    let error = workshop.build_request(&request).unwrap_err().to_string();
    assert_eq!(error, "target stage \"three\" is not in the Dockerfile; it has: one, two");
}

#[test]
fn what_is_not_there_yet_is_said_at_its_line() {
    let step = "FROM scratch\nRUN --device=vendor.com/gpu=0 make\n";
    check(step, "Dockerfile:2:1", "RUN --device is not supported yet");
}

#[test]
fn sources_that_are_none() {
    for (line, told) in [
        ("COPY https://example.com/x /", "COPY does not fetch https://example.com/x; ADD does"),
        ("COPY git@example.com:x.git /", "ADD does"),
        ("ADD --checksum=sha256:00 a /", "--checksum is for what is fetched"),
        ("ADD --checksum=sha256:00 http://h/a http://h/b /", "--checksum is for one source"),
        ("ADD --checksum=md5:00 http://127.0.0.1:1/a /", "md5"),
        ("ADD http://127.0.0.1:1/x.git#-x /", "can't be the name of a branch"),
        ("ADD --keep-git-dir=false http://h/x.git?keep-git-dir=true /", "say different things"),
    ] {
        check(&format!("FROM scratch\n{line}\n"), "Dockerfile:2:1", told);
    }
}

#[test]
fn a_mistake_further_down_shows_before_the_first_step_runs() {
    let workshop = Workshop::with(FakeExecutor::new(|_, _| panic!("a step ran")));
    let error = workshop.build("FROM scratch\nRUN make\nEXPOSE nothing\n").unwrap_err();
    assert!(error.to_string().starts_with("Dockerfile:3:1"), "{error}");
}

#[test]
fn a_step_that_fails_is_told_with_its_last_lines() {
    let workshop = Workshop::with(FakeExecutor::new(|_, _| Ok(3)));
    let error = workshop.build("FROM scratch\n\nRUN echo a && \\\n  false\n").unwrap_err();
    assert_eq!(error.to_string(), "Dockerfile:3:1: RUN echo a && false: exit code 3");
    let BuildError::Step { cause, .. } = error else { panic!("{error}") };
    let StepError::Failed(failure) = *cause else { panic!("{cause}") };
    assert_eq!(failure.last_lines, ["echo a &&   false"]);
}

#[test]
fn one_failing_stage_ends_the_build_with_its_own_error() {
    let workshop =
        Workshop::with(FakeExecutor::new(|step, _| Ok(i32::from(step.args.last().unwrap() == "fail"))));
    let dockerfile = "FROM scratch AS good\nRUN good\nFROM scratch AS bad\nRUN fail\nFROM good\nCOPY --from=bad / /\nCOPY --from=good / /\n";
    let error = workshop.build(dockerfile).unwrap_err().to_string();
    assert!(error.starts_with("Dockerfile:4:1: RUN fail: exit code 1"), "{error}");
}

#[test]
fn unneeded_stages_are_not_even_looked_at() {
    let workshop = Workshop::with(FakeExecutor::new(|_, _| panic!("a step ran")));
    workshop.write("a", "a");
    let dockerfile = "FROM nothing:1 AS unneeded\nRUN false\nCOPY missing /\nFROM scratch\nCOPY a /\n";
    workshop.build(dockerfile).unwrap();
}

#[test]
fn an_argument_that_nobody_declares_is_a_warning() {
    let workshop = Workshop::new();
    let mut request = workshop.request("FROM scratch\nARG USED\n");
    request.arguments = ["USED", "UNUSED", "HTTP_PROXY"].map(|name| (name.to_owned(), "x".to_owned())).into();
    workshop.build_request(&request).unwrap();
    assert_eq!(
        workshop.progress.lines(),
        ["warning: build argument UNUSED is used nowhere: no ARG declares it"]
    );
}
