//! Two things that the program needs from its build: the example's server, and the way it is linked.
//!
//! Makes the static server of `examples/hello`, so that `cargo run -- up examples/hello` works on a machine with nothing
//! but the Rust toolchain: no registry, no base image, no second command. Half a second, and only when the server's source
//! changed; where the example is not there, or can't be linked statically, Minato itself is built all the same.
#![allow(clippy::print_stdout, reason = "a build script speaks to cargo on stdout")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::{env, io};

fn main() {
    link_at_a_fixed_address();
    make_the_example();
}

/// Every container start runs this program anew, and a small `render` is little but its start. In a
/// position-independent program of this size the loader writes 67,000 addresses before `main`: over a millisecond. So
/// it is linked at a fixed address, as Go's linker does; stack, heap and libraries are at random ones all the same.
fn link_at_a_fixed_address() {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let is_gnu_linux =
        variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    // A wholly static program is linked in a way that this would contradict.
    let is_static = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if is_gnu_linux && !is_static {
        println!("cargo::rustc-link-arg-bin=minato=-no-pie");
    }
}

fn make_the_example() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello");
    let source = example.join("server.rs");
    let program = example.join("bin/server");
    println!("cargo::rerun-if-changed=build.rs");
    if !source.exists() || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed={}", program.display());
    if let Err(error) = make(&source, &program) {
        println!("cargo::warning=examples/hello has no server: {error}");
    }
}

/// Compiles beside the program and renames, so that a build that runs meanwhile never sees half a file.
fn make(source: &Path, program: &Path) -> io::Result<()> {
    fs::create_dir_all(program.parent().expect("the path has a folder"))?;
    let unfinished = program.with_extension(format!("{}.tmp", std::process::id()));
    let compiled = compile(source, &unfinished);
    let placed = compiled.and_then(|()| place(source, &unfinished, program));
    if placed.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    placed
}

fn compile(source: &Path, output: &Path) -> io::Result<()> {
    let rustc = env::var_os("RUSTC").ok_or_else(|| io::Error::other("cargo did not name rustc"))?;
    let target = env::var("TARGET").map_err(io::Error::other)?;
    let done = Command::new(rustc)
        .args(["--edition=2024", "--crate-name=server", "--crate-type=bin", "--target", &target])
        .args(["-Copt-level=2", "-Cstrip=symbols", "-Cpanic=abort", "-Ctarget-feature=+crt-static"])
        .arg("-o")
        .arg(output)
        .arg(source)
        .output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).replace('\n', " ")))
}

/// The program gets its source's time: cargo would run this script again for a file that is newer than the script's run.
fn place(source: &Path, unfinished: &Path, program: &Path) -> io::Result<()> {
    File::open(unfinished)?.set_modified(fs::metadata(source)?.modified()?)?;
    fs::rename(unfinished, program)
}
