use super::*;
use std::fs;

/// A repository in a folder of its own; `None`, said, without `git`.
fn repository(test: &str) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    if !git(folder.path(), &["init", "--quiet"]) {
        eprintln!("SKIPPED {test}: git");
        return None;
    }
    Some(folder)
}

fn git(folder: &Path, arguments: &[&str]) -> bool {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let status =
        Command::new("git").args(identity).args(arguments).current_dir(folder).env_remove("GIT_DIR").status();
    status.is_ok_and(|status| status.success())
}

fn commit(folder: &Path) {
    assert!(git(folder, &["add", "--all"]));
    assert!(git(folder, &["commit", "--quiet", "--message", "one"]));
}

#[test]
fn a_clean_folder_has_its_commit_and_a_changed_one_is_dirty() {
    let Some(folder) = repository("a_clean_folder_has_its_commit_and_a_changed_one_is_dirty") else { return };
    assert_eq!(revision(folder.path()).unwrap(), None, "no commit yet");
    fs::create_dir(folder.path().join("app")).unwrap();
    fs::write(folder.path().join("app/file"), "1").unwrap();
    fs::write(folder.path().join(".gitignore"), "made\n").unwrap();
    commit(folder.path());

    let app = folder.path().join("app");
    let clean = revision(&app).unwrap().unwrap();
    assert!(!clean.dirty && clean.commit.len() >= 40, "{clean:?}");
    assert_eq!(clean.root, folder.path().canonicalize().unwrap());

    fs::write(folder.path().join("beside"), "1").unwrap();
    fs::write(app.join("made"), "1").unwrap();
    assert!(!revision(&app).unwrap().unwrap().dirty, "a file beside it and an ignored file do not count");
    fs::write(app.join("file"), "2").unwrap();
    assert!(revision(&app).unwrap().unwrap().dirty);
    fs::write(app.join("file"), "1").unwrap();
    fs::write(app.join("new"), "1").unwrap();
    assert!(revision(&app).unwrap().unwrap().dirty, "a new file counts");
}

#[test]
fn a_repository_cannot_make_git_run_a_program() {
    let Some(folder) = repository("a_repository_cannot_make_git_run_a_program") else { return };
    fs::write(folder.path().join("file"), "1").unwrap();
    commit(folder.path());
    let witness = folder.path().join("ran");
    let monitor = folder.path().join(".git/monitor");
    fs::write(&monitor, format!("#!/bin/sh\ntouch {}\n", witness.display())).unwrap();
    assert!(Command::new("chmod").arg("755").arg(&monitor).status().unwrap().success());
    assert!(git(folder.path(), &["config", "core.fsmonitor", &monitor.display().to_string()]));
    assert!(revision(folder.path()).unwrap().is_some());
    assert!(!witness.exists());
}

#[test]
fn a_folder_outside_any_repository_has_no_revision() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(revision(folder.path()).unwrap(), None);
}

#[test]
fn tags() {
    let at = |dirty| Revision { commit: "c0ffee".into(), dirty, root: PathBuf::new() };
    let hash = "sha256:0123456789abcdef";
    assert_eq!(Revision::tag(Some(&at(false)), hash), "c0ffee");
    assert_eq!(Revision::tag(Some(&at(true)), hash), "c0ffee-dirty-0123456789ab");
    assert_eq!(Revision::tag(None, "0123456789abcdef"), "0123456789ab");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for ours in [commit.to_owned(), format!("{commit}-dirty-0123456789ab"), "0123456789ab".to_owned()] {
        assert!(Revision::is_tag(&ours), "{ours}");
    }
    for chosen in ["latest", "1.0", "0123456789AB", "v1-dirty-0123456789ab", "decade", ""] {
        assert!(!Revision::is_tag(chosen), "{chosen}");
    }
}
