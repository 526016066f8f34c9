//! What arrives is hostile: each bad input ends with code 2, names its place, and writes nothing but the data folder.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/archive.rs"]
mod archive;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use archive::{Entry, archive};
use support::machine::Machine;
use support::parts::{Part, present};

/// Files of a folder, the verb that reads them, and what the message must contain.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    verb: &'static str,
    says: &'static [&'static str],
}

const DEPLOYMENT_HEAD: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n";

#[test]
fn a_broken_dockerfile_names_the_line() {
    let dockerfile = |name, text: &str, says| Case {
        name,
        files: vec![("Dockerfile", text.as_bytes().to_vec())],
        verb: "build",
        says,
    };
    check(vec![
        dockerfile(
            "unknown instruction",
            "FROM scratch\nFORM scratch\n",
            &["Dockerfile:2:1", "FORM", "FROM"],
        ),
        dockerfile("no stage", "ENV A=b\n", &["Dockerfile:1", "FROM"]),
        dockerfile("empty", "", &["Dockerfile", "FROM"]),
        dockerfile("unterminated heredoc", "FROM scratch\nCOPY <<END /a\nbody\n", &["Dockerfile:2", "END"]),
        dockerfile("unknown flag", "FROM scratch\nCOPY --form=x a /a\n", &["Dockerfile:2", "--form"]),
        dockerfile("unknown stage", "FROM scratch\nCOPY --from=7 /a /a\n", &["Dockerfile:2", "7"]),
        dockerfile("a cycle", "FROM scratch AS a\nCOPY --from=a /a /a\n", &["Dockerfile:2", "a"]),
        dockerfile("missing file", "FROM scratch\nCOPY nothing-here /a\n", &["Dockerfile:2", "nothing-here"]),
        dockerfile("not yet", "FROM scratch\nADD https://example.com/a /a\n", &["Dockerfile:2"]),
        dockerfile("not text", "FROM scratch\n\u{0}\u{1}\n", &["Dockerfile:2"]),
    ]);
}

#[test]
fn a_broken_manifest_names_the_place() {
    let manifest = |name, text: String, says| Case {
        name,
        files: vec![("k8s/web.yaml", text.into_bytes())],
        verb: "up",
        says,
    };
    let spec = |spec: &str| format!("{DEPLOYMENT_HEAD}spec:\n{spec}");
    check(vec![
        manifest("not YAML", format!("{DEPLOYMENT_HEAD}  labels: [a\nspec: b\n"), &["web.yaml:"]),
        manifest("duplicate key", format!("{DEPLOYMENT_HEAD}  name: other\n"), &["web.yaml:5:3", "name"]),
        manifest("no kind", "apiVersion: v1\nmetadata: {name: a}\n".into(), &["web.yaml:1", "kind"]),
        manifest("unknown alias", spec("  replicas: *nobody\n"), &["web.yaml:6", "nobody"]),
        manifest("alias bomb", alias_bomb(), &["web.yaml:"]),
        manifest(
            "too deep",
            spec(&format!("  a: {}{}\n", "[".repeat(5000), "]".repeat(5000))),
            &["web.yaml:6"],
        ),
        manifest("wrong type", spec("  replicas: many\n"), &["web.yaml:6:13", "replicas"]),
        manifest(
            "no template",
            spec("  replicas: 1\n  selector: {matchLabels: {a: b}}\n"),
            &["web.yaml", "template"],
        ),
    ]);
}

#[test]
fn a_broken_task_definition_names_the_place() {
    let json = |name, text: &str, says| Case {
        name,
        files: vec![("ecs-task-definition.json", text.as_bytes().to_vec())],
        verb: "up",
        says,
    };
    check(vec![
        json(
            "not JSON",
            "// first\n{\"family\": \"web\",\n \"containerDefinitions\": [}\n",
            &["task-definition.json:3"],
        ),
        json("unterminated comment", "/* first\n{}\n", &["task-definition.json:1"]),
        json("no containers", "{\"family\": \"web\"}\n", &["task-definition.json", "containerDefinitions"]),
    ]);
}

#[test]
fn a_broken_minato_yaml_names_the_place() {
    let settings = |name, text: &str, says| Case {
        name,
        files: vec![
            ("minato.yaml", text.as_bytes().to_vec()),
            ("Dockerfile", b"FROM scratch\nUSER 1\n".to_vec()),
        ],
        verb: "up",
        says,
    };
    check(vec![
        settings("unknown version", "version: 99\n", &["minato.yaml:1", "99"]),
        settings("unknown field", "version: 1\nimage: []\n", &["minato.yaml:2:1", "image"]),
        settings("not YAML", "version: [1\n", &["minato.yaml:"]),
    ]);
}

#[test]
fn two_candidates_of_one_rank_are_listed() {
    let text = |name: &str| format!("{{\"family\": \"{name}\", \"containerDefinitions\": []}}").into_bytes();
    check(vec![Case {
        name: "two task definitions",
        files: vec![("a-task-definition.json", text("a")), ("b-task-definition.json", text("b"))],
        verb: "up",
        says: &["a-task-definition.json", "b-task-definition.json"],
    }]);
}

#[test]
fn an_archive_that_leaves_its_folder_is_refused() {
    let target = std::env::temp_dir().join(format!("minato-escaped-{}", std::process::id()));
    let name = target.to_string_lossy().into_owned();
    let through_link = [
        Entry::Link { name: "out".into(), target: "/tmp".into() },
        Entry::File { name: format!("out/{}", target.file_name().unwrap().to_string_lossy()), size: 1 },
    ];
    let up = "../".repeat(30);
    let cases = [
        ("a path with ..", vec![Entry::File { name: format!("{up}{}", &name[1..]), size: 1 }]),
        ("a file through a link", through_link.to_vec()),
        (
            "a hard link outside",
            vec![Entry::HardLink { name: "a".into(), target: format!("{up}etc/passwd") }],
        ),
        ("an endless entry", vec![Entry::Claim { name: "big".into(), size: 1 << 42 }]),
    ];
    if !present("an_archive_that_leaves_its_folder_is_refused", &[Part::Root]) {
        return;
    }
    for (case, entries) in cases {
        let files = vec![
            ("Dockerfile", b"FROM scratch\nADD evil.tar /x/\n".to_vec()),
            ("evil.tar", archive(&entries)),
        ];
        // Docker confines a link's target to the image; what must never happen is a write outside it.
        let confined = case == "a file through a link";
        let machine = Machine::new();
        let folder = write(&files);
        let run = machine.minato(&[Path::new("build"), folder.path()]);
        assert!(!target.exists(), "{case}: written outside");
        assert!(run.code == 2 || confined && run.code == 0, "{case}: {run}");
        assert!(run.code == 0 || run.stderr.contains("Dockerfile:2"), "{case}: {run}");
    }
}

fn check(cases: Vec<Case>) {
    let failures: Vec<String> = cases.iter().filter_map(|case| try_case(case).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn try_case(case: &Case) -> Result<(), String> {
    let machine = Machine::new();
    let folder = write(&case.files);
    let before = tree(folder.path());
    let run = machine.minato(&[Path::new(case.verb), folder.path()]);
    let missing: Vec<_> = case.says.iter().filter(|text| !run.stderr.contains(**text)).collect();
    match () {
        () if run.code != 2 => Err(format!("{}: code 2 expected: {run}", case.name)),
        () if !missing.is_empty() => Err(format!("{}: does not say {missing:?}: {run}", case.name)),
        () if run.stderr.contains("panicked") => Err(format!("{}: panicked: {run}", case.name)),
        () if tree(folder.path()) != before => Err(format!("{}: the folder was written to", case.name)),
        () => Ok(()),
    }
}

fn write(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    folder
}

fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files.extend(tree(&path)),
            false => drop(files.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    files
}

/// Nine levels of ten aliases each: a thousand million values when expanded.
fn alias_bomb() -> String {
    let mut text = format!("{DEPLOYMENT_HEAD}a0: &a0 x\n");
    for level in 1..10 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    text
}
