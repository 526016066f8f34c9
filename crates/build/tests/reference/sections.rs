//! The Dockerfiles in `flags/*.txt`: one section each, by instruction, flag and edge. All copy from one context.
//!
//! `=== TITLE` starts a section. A line `@argument NAME=VALUE`, `@target STAGE`, `@label KEY=VALUE` or `@secret ID VALUE` says
//! what the command line says; `@refused` that neither side may build it; `@differs REASON` that the two sides differ, and why.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{Case, check};

/// Writes every section as the folder of a case below `folder`.
pub fn cases(folder: &Path) -> Vec<Case> {
    let flags = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/flags");
    let context = folder.join("context");
    std::fs::create_dir_all(&context).unwrap();
    check(
        Command::new("sh")
            .args(["-c", "umask 022; . \"$0\""])
            .arg(flags.join("prepare"))
            .current_dir(&context),
    );
    let mut files: Vec<PathBuf> = std::fs::read_dir(flags).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for section in text.split("=== ").skip(1) {
            let (title, body) = section.split_once('\n').expect("a title has a line of its own");
            let place = folder.join(format!("case-{}", cases.len()));
            write(&place, body);
            cases.push(Case { name: title.to_owned(), folder: place, context: Some(context.clone()) });
        }
    }
    cases
}

fn write(folder: &Path, body: &str) {
    std::fs::create_dir(folder).unwrap();
    let (said, dockerfile): (Vec<&str>, Vec<&str>) =
        body.split_inclusive('\n').partition(|line| line.starts_with('@'));
    std::fs::write(folder.join("Dockerfile"), dockerfile.concat()).unwrap();
    for kind in ["argument", "target", "label", "secret", "refused", "differs"] {
        let values = said.iter().filter_map(|line| {
            let (word, value) = line[1..].trim_end().split_once(' ').unwrap_or((line[1..].trim_end(), "yes"));
            (word == kind).then(|| format!("{value}\n"))
        });
        let text: String = values.collect();
        let name = if matches!(kind, "argument" | "label" | "secret") {
            format!("{kind}s")
        } else {
            kind.to_owned()
        };
        if !text.is_empty() {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
}
