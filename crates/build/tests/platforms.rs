//! One Dockerfile for several platforms: which base, which arguments, what is done once.

#![allow(clippy::unwrap_used)] // Helpers of tests are no tests to clippy.

mod support;

use minato_build::{Bases, Builder};
use minato_build::{Built, Cancelled, FetchError, Silent};
use minato_oci::{Image, Platform, Reference, Store};
use support::{Workshop, steps};

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

/// A platform that is not this machine's.
fn foreign() -> Platform {
    let host = Platform::host();
    platform(if host.architecture == "arm64" { "linux/amd64" } else { "linux/arm64" })
}

/// A registry with an image for every platform; the platform is its label.
struct Everywhere<'a>(&'a Store);

impl Bases for Everywhere<'_> {
    fn fetch(&self, _: &Reference, platform: &Platform) -> Result<Image, FetchError> {
        let Platform { architecture, os, variant } = platform.clone();
        let mut config = minato_oci::ImageConfig { architecture, os, variant, ..Default::default() };
        config.config.labels.insert("base".to_owned(), platform.to_string());
        self.0.save_image(&config).map_err(|error| FetchError(Box::new(error)))
    }
}

fn build(workshop: &Workshop, dockerfile: &str, platforms: &[Platform]) -> Result<Vec<Built>, String> {
    let builder = Builder {
        store: &workshop.store,
        cache: &workshop.cache(),
        executor: workshop.executor.as_ref(),
        bases: &Everywhere(&workshop.store),
        progress: &Silent,
        cancelled: Cancelled::default(),
    };
    builder.build_all(&workshop.request(dockerfile), platforms).map_err(|error| error.to_string())
}

#[test]
fn each_platform_gets_its_own_base_and_arguments() {
    let workshop = Workshop::new();
    let both = [Platform::host(), foreign()];
    let dockerfile = "FROM base\nARG TARGETPLATFORM BUILDPLATFORM TARGETARCH\nLABEL to=$TARGETPLATFORM on=$BUILDPLATFORM arch=$TARGETARCH\n";
    let built = build(&workshop, dockerfile, &both).unwrap();
    for (built, platform) in built.iter().zip(&both) {
        let config = &built.image.config;
        assert_eq!(config.platform(), *platform);
        let label = |name: &str| config.config.labels[name].clone();
        assert_eq!([label("base"), label("to")], [platform.to_string(), platform.to_string()]);
        assert_eq!(
            [label("on"), label("arch")],
            [Platform::host().to_string(), platform.architecture.clone()]
        );
    }
}

#[test]
fn what_is_built_on_this_machine_for_all_is_done_once() {
    let workshop = Workshop::new();
    workshop.write("a", "a");
    let dockerfile = "FROM --platform=$BUILDPLATFORM base AS build\nCOPY a /a\nRUN generate\nFROM base\nCOPY --from=build /ran /out\n";
    let built = build(&workshop, dockerfile, &[Platform::host(), foreign()]).unwrap();
    assert_eq!(built.iter().map(steps).collect::<Vec<_>>(), ["...", "ccc"]);
    assert_eq!(built[1].image.config.config.labels["base"], foreign().to_string());
    let names: Vec<&str> = built[1].steps.iter().map(|step| step.name.stage.as_str()).collect();
    assert_eq!(names, ["build", "build", &format!("{} stage-1", foreign())]);
}

#[test]
fn a_stage_on_another_stage_is_for_its_platform() {
    let workshop = Workshop::new();
    workshop.write("a", "a");
    let dockerfile = format!("FROM --platform={} scratch AS one\nFROM one\nCOPY a /a\n", foreign());
    let built = build(&workshop, &dockerfile, &[Platform::host()]).unwrap();
    assert_eq!(built[0].image.config.platform(), foreign());
}

#[test]
fn a_malformed_platform_is_told_with_its_line() {
    let workshop = Workshop::new();
    let error =
        build(&workshop, "FROM scratch\nFROM --platform=arm base\n", &[Platform::host()]).unwrap_err();
    assert!(error.starts_with("Dockerfile:2:1: FROM --platform=arm base: platform \"arm\""), "{error}");
}
