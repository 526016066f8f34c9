use proptest::prelude::*;

use super::*;

fn git(text: &str) -> GitAddress {
    match Remote::parse_context(text) {
        Some(Ok(Remote::Git(git))) => git,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn repositories_with_what_is_meant_of_them() {
    let check = |text: &str, repository: &str, reference: Option<&str>, folder: Option<&str>| {
        let git = git(text);
        let found = (git.repository.as_str(), git.reference.as_deref(), git.folder.as_deref());
        assert_eq!(found, (repository, reference, folder), "{text}");
    };
    let here = "https://git.example/a/b.git";
    check("https://git.example/a/b.git", here, None, None);
    check("https://git.example/a/b.git#v1:x/../y", here, Some("v1"), Some("y"));
    check("https://git.example/a/b.git#:sub", here, None, Some("sub"));
    check("https://git.example/a/b.git?tag=v1&subdir=s", here, Some("refs/tags/v1"), Some("s"));
    check("https://git.example/a/b.git?branch=refs/heads/x", here, Some("refs/heads/x"), None);
    check("https://user:pa%40ss@git.example/a/b.git#x", here, Some("x"), None);
    check("git@git.example:a/b.git#main:dir", "git@git.example:a/b.git", Some("main"), Some("dir"));
    check("git://git.example/b#x", "git://git.example/b", Some("x"), None);
    check("ssh://me@git.example:22/b", "ssh://me@git.example:22/b", None, None);
    check("github.com/a/b#x", "https://github.com/a/b.git", Some("x"), None);
    let all = git("git@h:b?checksum=0123abcdef&keep-git-dir&submodules=false");
    assert_eq!(
        (all.checksum.as_deref(), all.keep_git_folder, all.submodules),
        (Some("0123abcdef"), Some(true), Some(false))
    );
}

#[test]
fn files_and_their_names() {
    for (text, name) in [
        ("https://example.com/a/file.tgz?x=1#y", Some("file.tgz")),
        ("https://example.com/a%20b", Some("a b")),
        ("https://example.com/a/b/", Some("b")),
        ("https://example.com/", None),
        ("https://example.com/a%2F..", None),
    ] {
        let Some(Ok(Remote::Http(address))) = Remote::parse(text) else { panic!("{text}") };
        assert_eq!(address.file_name().as_deref(), name, "{text}");
    }
}

#[test]
fn paths_are_no_addresses() {
    for text in ["a/b", "./x", "ftp://h/x", "a@b/c:d", "github.com/a/b", "C:x", "@:x", "httpx"] {
        assert_eq!(Remote::parse(text), None, "{text}");
    }
}

#[test]
fn what_means_nothing_or_is_hostile_is_refused() {
    for (text, told) in [
        ("https://h/b.git#-upload-pack=x", "can't be the name"),
        ("https://h/b.git#a..b", "can't be the name"),
        ("https://h/b.git?ref=a&ref=b", "more than once"),
        ("https://h/b.git?tag=a&branch=b", "it names both"),
        ("https://h/b.git#x?y=z:--", "can't be the name"),
        ("https://h/b.git?what=1", "unknown what="),
        ("https://h/b.git?checksum=xyz", "no name of a commit"),
        ("https://h/b.git?submodules=maybe", "must be true or false"),
        ("ssh://-oProxyCommand=x/b.git", ""),
        ("git@-oProxyCommand:b", "holds what no address does"),
    ] {
        let error = Remote::parse(text).unwrap_or_else(|| panic!("{text}")).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let git = git("https://user:secret@git.example/b.git");
    assert_eq!(git.authorization().unwrap(), format!("Basic {}", BASE64.encode("user:secret")));
    let told = git.without_credentials("fatal: https://user:secret@git.example refused user");
    assert!(!told.contains("secret") && !format!("{git} {git:?}").contains("secret"), "{told}");
    let error = Remote::parse("https://user:secret@h/b.git?x=y").unwrap().unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
    let Some(Ok(Remote::Http(file))) = Remote::parse("https://user:secret@h/file") else { panic!() };
    assert_eq!(file.to_string(), "https://h/file");
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(https?://|git@|ssh://|git://)?[a-z%@:/?#=&.0-9-]{0,40}") {
        if let Some(Ok(Remote::Git(git))) = Remote::parse_context(&text) {
            prop_assert!(!git.repository.starts_with('-'));
            prop_assert!(git.folder.is_none_or(|folder| !folder.split('/').any(|name| name == "..")));
        }
    }
}
