//! `--build-context`: names of stages and images mean folders, images and addresses.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::path::PathBuf;

use minato_build::{Built, ContextFolder, Remote, RemoteSettings, Remotes};
use minato_oci::export::{Export, ExportOptions};
use minato_oci::layout::{Item, write_folder};
use support::server::{Answer, Server};
use support::{Workshop, steps};

fn build(workshop: &Workshop, dockerfile: &str, contexts: &[(&str, &str)]) -> Result<Built, String> {
    let mut request = workshop.request(dockerfile);
    for (name, context) in contexts {
        request.contexts.insert(name, context.parse().unwrap());
    }
    workshop.build_request(&request).map_err(|error| error.to_string())
}

/// A folder beside the context, with two files of which one is ignored.
fn other(workshop: &Workshop) -> PathBuf {
    let folder = workshop.folder().join("other");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub/file"), "other").unwrap();
    std::fs::write(folder.join("hidden"), "hidden").unwrap();
    std::fs::write(folder.join(".dockerignore"), "hidden\n").unwrap();
    folder
}

#[test]
fn files_come_from_a_named_folder() {
    let workshop = Workshop::new();
    let folder = other(&workshop);
    let folder = folder.to_str().unwrap();
    let dockerfile = "FROM scratch\nCOPY --from=other sub/file /a/\nRUN --mount=from=other,target=/m make\n";
    let built = build(&workshop, dockerfile, &[("other", folder)]).unwrap();
    assert_eq!(steps(&built), "..");
    assert_eq!(std::fs::read_to_string(workshop.layers(&built)[0].join("a/file")).unwrap(), "other");
    assert_eq!(steps(&build(&workshop, dockerfile, &[("other", folder)]).unwrap()), "cc");
    let error =
        build(&workshop, "FROM scratch\nCOPY --from=other hidden /\n", &[("other", folder)]).unwrap_err();
    assert!(error.starts_with("Dockerfile:2:1") && error.contains(".dockerignore"), "{error}");
    let error =
        build(&workshop, "FROM scratch\nCOPY --from=other x /\n", &[("other", "/no/where")]).unwrap_err();
    assert_eq!(error, "build context /no/where is not a folder");
}

#[test]
fn a_named_folder_stands_in_for_a_base_or_a_stage() {
    let workshop = Workshop::new();
    let folder = other(&workshop);
    let folder = folder.to_str().unwrap();
    let built =
        build(&workshop, "FROM alpine\nRUN make\n", &[("docker.io/library/alpine:latest", folder)]).unwrap();
    let layers = workshop.layers(&built);
    assert!(layers[0].join("sub/file").exists() && !layers[0].join("hidden").exists());
    assert_eq!((layers.len(), built.image.config.history.len()), (2, 2));
    // The stage's own instructions are not done, and its base is not asked for.
    let dockerfile = "FROM nowhere:1 AS tools\nRUN fail\nFROM scratch\nCOPY --from=tools /sub /s\n";
    let built = build(&workshop, dockerfile, &[("tools", folder)]).unwrap();
    assert_eq!(steps(&built), ".");
    assert!(workshop.layers(&built)[0].join("s/file").exists());
}

#[test]
fn a_named_image_stands_in_for_another_one() {
    let workshop = Workshop::new();
    workshop.write("base", "base");
    let base = workshop.build("FROM scratch\nCOPY base /base\nENV A=b\n").unwrap();
    workshop.store.tag(&"local:1".parse().unwrap(), &base.image.id).unwrap();
    let layout = workshop.folder().join("layout");
    let export =
        Export::plan(&workshop.store, std::slice::from_ref(&base.image), ExportOptions::default()).unwrap();
    let packed = export.pack(&workshop.store).unwrap();
    let names = ["local:1".parse().unwrap()];
    write_folder(&workshop.store, &[Item::new(&packed, &names)], &layout).unwrap();
    let layout = format!("oci-layout://{}:1", layout.display());
    for context in ["docker-image://local:1", &layout] {
        let dockerfile = "FROM registry.example/x:1 AS a\nFROM scratch\nCOPY --from=registry.example/x:1 /base /b\nCOPY --from=a /base /a\n";
        let built = build(&workshop, dockerfile, &[("registry.example/x:1", context)]).unwrap();
        assert_eq!(built.steps.len(), 2, "{context}");
        let built = build(&workshop, "FROM x\n", &[("x", context)]).unwrap();
        assert!(built.image.config.config.env.contains(&"A=b".to_owned()), "{context}");
    }
    let built = build(&workshop, "FROM x\nCOPY base /\n", &[("x", "docker-image://scratch")]).unwrap();
    assert_eq!(workshop.layers(&built).len(), 1);
}

#[test]
fn an_archive_at_an_address_is_a_context() {
    let workshop = Workshop::new();
    let folder = other(&workshop);
    let tar =
        std::process::Command::new("tar").arg("-C").arg(&folder).args(["-czf", "-", "."]).output().unwrap();
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/a.tgz" => Answer::ok(tar.stdout.clone()),
        _ => Answer::ok("no archive"),
    });
    let dockerfile = "FROM scratch\nCOPY --from=other / /\n";
    let built = build(&workshop, dockerfile, &[("other", &server.url("/a.tgz"))]).unwrap();
    let layer = &workshop.layers(&built)[0];
    assert!(layer.join("sub/file").exists() && !layer.join("hidden").exists());
    let built = build(&workshop, dockerfile, &[("other", &server.url("/file"))]).unwrap();
    assert_eq!(std::fs::read_to_string(workshop.layers(&built)[0].join("context")).unwrap(), "no archive");
}

#[test]
fn a_hostile_archive_is_no_context() {
    let workshop = Workshop::new();
    let place = workshop.folder().join("hostile.tar");
    let inside = workshop.folder().join("inside");
    std::fs::write(&inside, "x").unwrap();
    let status = std::process::Command::new("tar")
        .args(["-P", "--transform", "s,.*,../../escaped,", "-cf"])
        .args([&place, &inside])
        .status();
    assert!(status.unwrap().success());
    let error = ContextFolder::of_archive(&workshop.store, &place).err().unwrap().to_string();
    assert!(error.contains("hostile.tar"), "{error}");
}

#[test]
fn a_repository_is_a_context() {
    let workshop = Workshop::new();
    let app = workshop.folder().join("app");
    std::fs::create_dir_all(app.join("sub")).unwrap();
    std::fs::write(app.join("sub/Dockerfile"), "FROM scratch\n").unwrap();
    for words in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
        &["update-server-info"],
    ] {
        assert!(
            std::process::Command::new("git").arg("-C").arg(&app).args(words).status().unwrap().success()
        );
    }
    let root = app.join(".git");
    let server = Server::start(move |asked| {
        let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches("/app.git/");
        std::fs::read(root.join(path)).map_or_else(|_| Answer::status(404), Answer::ok)
    });
    let (settings, cancelled) = (RemoteSettings::default(), minato_build::Cancelled::default());
    let cache = workshop.cache();
    let remotes = Remotes::new(&cache, &settings, &cancelled);
    let Some(Ok(Remote::Git(address))) = Remote::parse_context(&server.url("/app.git#:sub")) else {
        panic!()
    };
    let folder = ContextFolder::of_repository(&workshop.store, &remotes, &address).unwrap();
    assert!(folder.path().join("Dockerfile").is_file());
    let place = folder.path().to_owned();
    drop(folder);
    assert!(!place.exists());
}
