//! What `minato build --output` writes is what skopeo, docker and tar read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use registry::Registry;
use support::machine::Machine;
use support::parts::{Part, present, repository};

const DOCKERFILE: &str =
    "FROM scratch AS files\nCOPY greeting /app/\nFROM files\nCOPY . /all/\nCMD [\"/app\"]\n";

/// A context with two files, to be built without RUN: an ordinary user can, too.
fn context(machine: &Machine) -> PathBuf {
    let folder = machine.folder().join("context");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::write(folder.join("greeting"), "hello\n".repeat(50_000)).unwrap();
    folder
}

fn run(command: &str, arguments: &[&str]) -> Output {
    let output = Command::new(command).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn inspect(image: &str) -> Value {
    let output = run("skopeo", &["--insecure-policy", "inspect", "--raw", "--tls-verify=false", image]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn build(machine: &Machine, context: &Path, flags: &[&str]) -> support::machine::Run {
    let mut arguments = vec!["build", context.to_str().unwrap()];
    arguments.extend(flags);
    let run = machine.minato(&arguments);
    run.expect(0);
    run
}

#[test]
fn files_of_the_image_come_as_a_folder_and_as_a_tar() {
    if !present("files_of_the_image_come_as_a_folder_and_as_a_tar", &[Part::Command("tar")]) {
        return;
    }
    let machine = Machine::new();
    let context = context(&machine);
    let at = |name: &str| machine.folder().join(name).display().to_string();
    fs::create_dir_all(machine.folder().join("out/app")).unwrap();
    fs::write(machine.folder().join("out/app/old"), "stays").unwrap();
    let (tar, local) = (format!("type=tar,dest={}", at("root.tar")), at("out"));
    let ran = build(&machine, &context, &["-o", &local, "-o", &tar, "--target", "files"]);
    assert_eq!(fs::read(machine.folder().join("out/app/greeting")).unwrap().len(), 300_000);
    assert_eq!(fs::read(machine.folder().join("out/app/old")).unwrap(), b"stays");
    assert_eq!(fs::read_dir(machine.folder().join("out")).unwrap().count(), 1);
    let listed = run("tar", &["-tf", &at("root.tar")]);
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "app/\napp/greeting\n");
    // Only its files were wanted: no tag.
    assert_eq!(machine.minato(&["images", "-o", "json"]).json(), serde_json::json!([]), "{ran}");
    machine.minato(&["build", context.to_str().unwrap(), "-o", "type=oci"]).expect(2).says("needs dest=PATH");
}

#[test]
fn an_archive_on_stdout_is_all_that_is_there() {
    if !present("an_archive_on_stdout_is_all_that_is_there", &[Part::Command("sh"), Part::Command("tar")]) {
        return;
    }
    let machine = Machine::new();
    let context = context(&machine);
    let script = format!(
        "{} build {} -q -o - | tar -t",
        std::env::var("MINATO_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_minato").to_owned()),
        context.display()
    );
    let output =
        Command::new("sh").arg("-c").arg(script).env("MINATO_DATA_DIR", machine.data()).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed, "all/\nall/Dockerfile\nall/greeting\napp/\napp/greeting\n");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn skopeo_copies_from_every_layout() {
    if !present("skopeo_copies_from_every_layout", &[Part::Command("skopeo")]) {
        return;
    }
    let machine = Machine::new();
    let context = context(&machine);
    let at = |name: &str| machine.folder().join(name).display().to_string();
    let outputs = [
        (
            format!("type=oci,dest={}", at("gzip.tar")),
            format!("oci-archive:{}:1", at("gzip.tar")),
            "tar+gzip",
        ),
        (
            format!("type=oci,dest={},compression=zstd,compression-level=9", at("zstd.tar")),
            format!("oci-archive:{}:1", at("zstd.tar")),
            "tar+zstd",
        ),
        (format!("type=oci,dest={},tar=false", at("folder")), format!("oci:{}:1", at("folder")), "tar+gzip"),
        (
            format!("type=oci,dest={},compression=uncompressed", at("plain.tar")),
            format!("oci-archive:{}:1", at("plain.tar")),
            "layer.v1.tar\"",
        ),
        (
            format!("type=docker,dest={}", at("docker.tar")),
            format!("docker-archive:{}:docker.io/team/app:1", at("docker.tar")),
            "diff.tar",
        ),
    ];
    let flags: Vec<&str> = outputs.iter().flat_map(|(output, _, _)| ["-o", output.as_str()]).collect();
    build(&machine, &context, &[&["-t", "team/app:1"], flags.as_slice()].concat());
    for (number, (output, source, kind)) in outputs.iter().enumerate() {
        let manifest = inspect(source).to_string();
        assert!(manifest.contains(kind), "{output}: {manifest}");
        let copy = format!("dir:{}", at(&format!("copy{number}")));
        run("skopeo", &["--insecure-policy", "copy", "--quiet", source, &copy]);
    }
}

#[test]
fn docker_loads_an_archive_and_runs_no_other_image() {
    let test = "docker_loads_an_archive_and_runs_no_other_image";
    if !present(test, &[Part::Root]) {
        return;
    }
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(missing) => return eprintln!("SKIPPED {test}: {missing}"),
    };
    let machine = Machine::new();
    let context = context(&machine);
    for (number, compression) in ["", ",compression=gzip", ",compression=zstd"].iter().enumerate() {
        let archive = machine.folder().join(format!("{number}.tar")).display().to_string();
        let output = format!("type=docker,dest={archive}{compression}");
        let ran = build(&machine, &context, &["-t", &format!("team/app:{number}"), "-o", &output]);
        let loaded = docker.run(&["load", "--input", &archive]);
        assert!(loaded.contains(&format!("team/app:{number}")), "{loaded}");
        let id = docker.run(&["image", "inspect", "--format", "{{.Id}}", &format!("team/app:{number}")]);
        assert_eq!(id, ran.stdout, "the identity is the config's digest in both");
    }
}

#[test]
fn several_platforms_are_pushed_as_one_index() {
    if !present(
        "several_platforms_are_pushed_as_one_index",
        &[Part::Command("skopeo"), Part::Command("docker-registry")],
    ) {
        return;
    }
    let machine = Machine::new();
    let context = context(&machine);
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::serve(storage.path());
    let name = format!("{}/team/app:1", registry.host());
    let metadata = machine.folder().join("metadata.json");
    let identity = machine.folder().join("id");
    let flags = [
        "--push",
        "-t",
        &name,
        "--platform",
        "linux/arm64,linux/amd64",
        "--annotation",
        "index:a=b",
        "--annotation",
        "manifest[linux/arm64]:c=d",
        "--metadata-file",
        metadata.to_str().unwrap(),
        "--iidfile",
        identity.to_str().unwrap(),
    ];
    let ran = build(&machine, &context, &flags);
    let index = inspect(&format!("docker://{name}"));
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!((platforms, &index["annotations"]["a"]), (vec!["amd64", "arm64"], &Value::from("b")));
    let metadata: Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    assert_eq!(ran.stdout.trim(), digest, "{ran}");
    assert_eq!(fs::read_to_string(identity).unwrap(), digest);
    assert_eq!(metadata["image.name"], name.as_str());
    // One of several machines pushes its platform without a tag; somebody puts the index over them together.
    let untagged = format!("type=image,name={}/team/part,push=true,push-by-digest=true", registry.host());
    let ran = build(&machine, &context, &["-o", &untagged, "-o", "json"]);
    let digest = ran.json()["exported"].as_str().unwrap().to_owned();
    assert!(inspect(&format!("docker://{}/team/part@{digest}", registry.host()))["layers"].is_array());
    let tags = machine.minato(&["registry", "tags", &format!("{}/team/part", registry.host())]);
    assert!(tags.code != 0 || tags.stdout.trim().is_empty(), "{tags}");
    // What is on this machine is pushed as a whole, too.
    let again = machine.minato(&["push", &name]);
    assert!(again.expect(0).stdout.contains("@sha256:"), "{again}");
    assert_eq!(inspect(&format!("docker://{name}"))["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn provenance_and_a_bill_of_materials_are_attached_and_leave_the_image_as_it_is() {
    let test = "provenance_and_a_bill_of_materials_are_attached_and_leave_the_image_as_it_is";
    if !present(test, &[Part::Command("skopeo"), Part::Command("docker-registry"), Part::Command("sh")]) {
        return;
    }
    let machine = Machine::new();
    let context = context(&machine);
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::serve(storage.path());
    let name = format!("{}/team/app:1", registry.host());
    let generator = machine.folder().join("generator");
    fs::write(&generator, "#!/bin/sh\ntest -e \"$1/oci-layout\" && echo '{\"spdxVersion\":\"SPDX-2.3\"}'\n")
        .unwrap();
    fs::set_permissions(&generator, fs::Permissions::from_mode(0o755)).unwrap();
    let metadata = machine.folder().join("metadata.json");
    let digest = |flags: &[&str]| -> String {
        let common = ["--push", "-t", &name, "--metadata-file", metadata.to_str().unwrap()];
        build(&machine, &context, &[&common, flags].concat());
        let metadata: Value = serde_json::from_slice(&fs::read(&metadata).unwrap()).unwrap();
        metadata["containerimage.digest"].as_str().unwrap().to_owned()
    };
    let plain = digest(&[]);
    let sbom = format!("generator={}", generator.display());
    assert_eq!(digest(&["--provenance", "--sbom", &sbom]), plain, "the image's digest is its own");
    assert_eq!(digest(&["--attest", "type=provenance"]), plain);

    // This registry has no referrers API: a tag stands in for it.
    let tag = plain.replace(':', "-");
    let listed = inspect(&format!("docker://{}/team/app:{tag}", registry.host()));
    let entries = listed["manifests"].as_array().unwrap();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["artifactType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["application/vnd.in-toto+json", "application/spdx+json"], "{listed}");
    let layout = machine.folder().join("layout");
    let output = format!("type=oci,tar=false,dest={}", layout.display());
    build(&machine, &context, &["-t", "app:1", "-o", &output, "--provenance=mode=max"]);
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let attached = &index["manifests"][1];
    assert_eq!(attached["artifactType"], "application/vnd.in-toto+json", "{index}");
    let blob = |digest: &Value| -> Value {
        let name = digest.as_str().unwrap().trim_start_matches("sha256:");
        serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(name)).unwrap()).unwrap()
    };
    let manifest = blob(&attached["digest"]);
    assert_eq!(manifest["subject"]["digest"], index["manifests"][0]["digest"]);
    let statement = blob(&manifest["layers"][0]["digest"]);
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let subject = index["manifests"][0]["digest"].as_str().unwrap();
    assert_eq!(format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()), subject);
    // skopeo still finds the image by its name.
    inspect(&format!("oci:{}:1", layout.display()));

    let refused =
        machine.minato(&["build", context.to_str().unwrap(), "--push", "-t", &name, "--sbom", "true"]);
    refused.expect(2).says("no generator is built in");
    let refused = machine.minato(&["build", context.to_str().unwrap(), "--provenance"]);
    refused.expect(2).says("nothing is");
}

/// The reference Docker, as long as the test runs.
struct Docker(tempfile::TempDir);

impl Docker {
    fn start() -> Result<Docker, String> {
        let folder = tempfile::tempdir().unwrap();
        let started = Command::new(tool()).arg("start").arg(folder.path()).output().unwrap();
        match started.status.success() {
            true => Ok(Docker(folder)),
            false => Err(String::from_utf8_lossy(&started.stderr).trim().replace('\n', " ")),
        }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(tool()).arg("run").arg(self.0.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        Command::new(tool()).arg("stop").arg(self.0.path()).status().ok();
    }
}

fn tool() -> PathBuf {
    repository().join("tools/reference-docker")
}
