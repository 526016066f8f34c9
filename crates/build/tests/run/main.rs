//! RUN steps as real containers: their output, their failure, and that nothing of them stays, however a build ends.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)] // A test program with a main of its own.

mod mounts;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use minato_build::{BuildError, Builder, Cancelled, ContainerExecutor, Offline, Recorder, StepError};
use minato_runtime::Engine;
use support::Workshop;

type Test = (&'static str, fn(&Path));

const TESTS: [Test; 12] = [
    ("mounted_files_are_seen_and_stay_out_of_the_image", mounts::files),
    ("a_cache_is_there_again_and_sources_are_newer_than_it", mounts::cache),
    ("a_secret_is_seen_and_stays_out_of_image_key_and_disk", mounts::secret),
    ("an_agent_is_reached", mounts::agent),
    ("what_decides_a_step_with_mounts", mounts::key),
    ("mistakes_in_mounts_have_their_place", mounts::mistakes),
    ("output_comes_line_by_line", output_comes_line_by_line),
    ("a_failing_program_is_told_with_its_code_and_last_lines", a_failing_program_is_told),
    ("a_missing_program_is_told", a_missing_program_is_told),
    ("files_and_variables_are_passed_through_and_stay_out_of_the_image", passed_through),
    ("a_cancelled_build_ends_its_step", a_cancelled_build_ends_its_step),
    ("a_killed_build_leaves_nothing_running", a_killed_build_leaves_nothing_running),
];

fn main() -> ExitCode {
    minato_runtime::reexec();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, folder, busybox] = words.as_slice()
        && verb == "build-and-hang"
    {
        hang(Path::new(folder), Path::new(busybox));
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filter = words.iter().find(|word| !word.starts_with('-'));
    let chosen = TESTS.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter.as_str())));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        let result = match missing() {
            Ok(busybox) => std::panic::catch_unwind(|| test(&busybox)).map(|()| "ok"),
            Err(missing) => {
                eprintln!("SKIPPED {name}: {missing}");
                Ok("ok")
            }
        };
        println!("test {name} ... {}", result.as_ref().unwrap_or(&"FAILED"));
        *(if result.is_ok() { &mut passed } else { &mut failed }) += 1;
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// A static busybox, or what is missing.
fn missing() -> Result<PathBuf, &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("root");
    }
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    places.iter().map(PathBuf::from).find(|place| place.exists()).ok_or("busybox is not installed")
}

/// A workshop whose context has busybox as `sh`, with real steps.
pub(crate) fn workshop(busybox: &Path) -> Workshop {
    let folder = tempfile::tempdir().unwrap().keep();
    let workshop = Workshop::with(ContainerExecutor::new(&folder, Engine::Embedded).unwrap());
    std::fs::copy(busybox, workshop.context().join("sh")).unwrap();
    workshop
}

pub(crate) const BASE: &str = "FROM scratch\nCOPY sh /bin/sh\n";

fn output_comes_line_by_line(busybox: &Path) {
    let workshop = workshop(busybox);
    workshop.build(&format!("{BASE}RUN echo one; echo two >&2; printf three\n")).unwrap();
    let lines = workshop.progress.lines();
    let said: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("[stage-0 3/3] | ")).collect();
    assert_eq!(said.len(), 3, "{lines:?}");
    assert!(["one", "two", "three"].iter().all(|line| said.contains(line)), "{said:?}");
}

fn a_failing_program_is_told(busybox: &Path) {
    let error = workshop(busybox).build(&format!("{BASE}RUN echo why && exit 7\n")).unwrap_err();
    assert_eq!(error.to_string(), "Dockerfile:3:1: RUN echo why && exit 7: exit code 7");
    let BuildError::Step { cause, .. } = error else { unreachable!("it is a step's error") };
    let StepError::Failed(failure) = *cause else { unreachable!("the program failed") };
    assert_eq!(failure.last_lines, ["why"]);
}

fn a_missing_program_is_told(busybox: &Path) {
    let workshop = workshop(busybox);
    let error = workshop.build(&format!("{BASE}RUN [\"/bin/nothing\"]\n")).unwrap_err().to_string();
    assert!(error.starts_with("Dockerfile:3:1: RUN") && error.contains("/bin/nothing"), "{error}");
    let error = workshop.build(&format!("{BASE}RUN nothing-at-all\n")).unwrap_err().to_string();
    assert!(error.contains("exit code 127; the program is not in the image"), "{error}");
}

fn passed_through(busybox: &Path) {
    let workshop = workshop(busybox);
    let ca = workshop.folder().join("ca.pem");
    std::fs::write(&ca, "certificate").unwrap();
    let mut request =
        workshop.request(&format!("{BASE}RUN read -r line < \"$CA\"; echo \"$line $HTTP_PROXY\"\n"));
    request.pass_through.environment.insert("CA".to_owned(), "/etc/ssl/ca.pem".to_owned());
    let target = PathBuf::from("/etc/ssl/ca.pem");
    request.pass_through.files.push(minato_build::PassedFile { source: ca, target });
    request.arguments.insert("HTTP_PROXY".to_owned(), "http://proxy:1".to_owned());
    let built = workshop.build_request(&request).unwrap();
    let lines = workshop.progress.lines();
    assert!(lines.iter().any(|line| line.ends_with("| certificate http://proxy:1")), "{lines:?}");
    let config = String::from_utf8(built.image.config.to_json()).unwrap();
    assert!(!config.contains("proxy") && !config.contains("ca.pem"), "{config}");
    let step = workshop.layers(&built)[1].clone();
    assert!(!step.join("etc").exists(), "the step's layer has what was mounted");
}

fn a_cancelled_build_ends_its_step(busybox: &Path) {
    let workshop = workshop(busybox);
    let cancelled = Cancelled::default();
    let request = workshop.request(&format!("{BASE}RUN echo hanging; while true; do :; done\n"));
    let builder = Builder {
        store: &workshop.store,
        cache: &workshop.cache(),
        executor: workshop.executor.as_ref(),
        bases: &Offline::default(),
        progress: &workshop.progress,
        cancelled: cancelled.clone(),
    };
    let error = std::thread::scope(|scope| {
        let build = scope.spawn(|| builder.build(&request));
        until("the step runs", || workshop.progress.lines().iter().any(|line| line.ends_with("| hanging")));
        cancelled.cancel();
        build.join().unwrap().unwrap_err().to_string()
    });
    assert!(error.ends_with("cancelled"), "{error}");
    assert_eq!(processes_of(&workshop.folder().display().to_string()), 0);
}

/// The second life of this program: builds until it is killed.
fn hang(folder: &Path, busybox: &Path) {
    let store = minato_oci::Store::open(&folder.join("store")).unwrap();
    let executor = ContainerExecutor::new(&folder.join("run"), Engine::Embedded).unwrap();
    let context = folder.join("context");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::copy(busybox, context.join("sh")).unwrap();
    let text = format!("{BASE}RUN echo > /hanging; while true; do :; done\n");
    let file = minato_resource::SourceFile::new("Dockerfile", text);
    let builder = Builder {
        store: &store,
        cache: &folder.join("cache"),
        executor: &executor,
        bases: &Offline::default(),
        progress: &Recorder::default(),
        cancelled: Cancelled::default(),
    };
    drop(builder.build(&minato_build::Request::new(context, file.into())));
}

fn a_killed_build_leaves_nothing_running(busybox: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut build = Command::new(std::env::current_exe().unwrap())
        .args(["build-and-hang", place, busybox.to_str().unwrap()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the step runs", || find(folder.path(), "hanging"));
    build.kill().unwrap();
    build.wait().unwrap();
    until("its processes are gone", || processes_of(place) == 0);
    until("its container is gone", || {
        std::fs::read_dir(folder.path().join("run/containers")).unwrap().count() == 0
    });
    // The next build carries on where it was: the copied layer is there, the half step is not.
    let store = minato_oci::Store::open(&folder.path().join("store")).unwrap();
    drop(store);
    assert!(!find(&folder.path().join("store"), "hanging"), "the half layer is still there");
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a file of this name is somewhere below.
fn find(folder: &Path, name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        entry.file_name() == name || (is_folder && find(&entry.path(), name))
    })
}

/// Processes, other than this one, whose mounts or command line name the folder.
fn processes_of(folder: &str) -> usize {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_process = |pid: &String| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own;
    pids.filter(is_process)
        .filter(|pid| {
            let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            [read("cmdline"), read("mountinfo")]
                .iter()
                .any(|text| String::from_utf8_lossy(text).contains(folder))
        })
        .count()
}
