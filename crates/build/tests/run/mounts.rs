//! `RUN --mount`.

use std::os::unix::net::UnixListener;
use std::path::Path;

use minato_build::{Built, Secret};

use super::support::{Workshop, steps};
use super::{BASE, workshop};

/// What every step on an empty image leaves, and the file that these write.
const OUT: [&str; 4] = ["dev", "out", "proc", "sys"];

/// The paths in the layer of the last step.
fn last_layer(workshop: &Workshop, built: &Built) -> Vec<String> {
    let layer = workshop.layers(built).pop().unwrap();
    let mut open = vec![layer.clone()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(&layer).unwrap().display().to_string());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

fn said(workshop: &Workshop, line: &str) -> bool {
    workshop.progress.lines().iter().any(|said| said.ends_with(&format!("| {line}")))
}

pub fn files(busybox: &Path) {
    let workshop = workshop(busybox);
    workshop
        .write("source/a", "from the context")
        .write("source/hidden", "")
        .write(".dockerignore", "source/hidden\n");
    let dockerfile = format!(
        "{BASE}RUN mkdir /made && echo from a stage >/made/b\nFROM scratch\nCOPY sh /bin/sh\n\
         RUN --mount=type=bind,source=source,target=/in,rw --mount=source=source/a,target=/one/file \
         --mount=from=0,source=/made,target=/stage --mount=type=tmpfs,target=/memory,size=1m \
         read -r a </in/a; read -r f </one/file; read -r b </stage/b; echo \"$a, $f, $b\"; echo /in/*; \
         echo x >/in/new && echo x >/memory/new; echo x 2>/dev/null >/stage/new; echo ok >/out\n"
    );
    let built = workshop.build(&dockerfile).unwrap();
    assert!(
        said(&workshop, "from the context, from the context, from a stage"),
        "{:?}",
        workshop.progress.lines()
    );
    assert!(said(&workshop, "/in/a"), "{:?}", workshop.progress.lines());
    assert_eq!(last_layer(&workshop, &built), OUT);
    assert!(!workshop.context().join("source/new").exists());
}

pub fn cache(busybox: &Path) {
    let workshop = workshop(busybox);
    // As a compiler does: what it made stays, unless a source is newer.
    let dockerfile = format!(
        "{BASE}COPY source /source\nWORKDIR /work\n\
         RUN --mount=type=cache,target=made [ made/out -nt /source ] || {{ echo making; cp=1; read -r t </source/t; echo $t >made/out; }}; \
         read -r t <made/out; echo $t >/result\n"
    );
    let result = |built: &Built| {
        std::fs::read_to_string(workshop.layers(built).pop().unwrap().join("result")).unwrap()
    };
    workshop.write("source/t", "one");
    let first = workshop.build(&dockerfile).unwrap();
    assert_eq!((result(&first).as_str(), steps(&first).as_str()), ("one\n", "...."));
    assert_eq!(steps(&workshop.build(&dockerfile).unwrap()), "cccc");
    workshop.write("source/t", "two");
    assert_eq!(result(&workshop.build(&dockerfile).unwrap()), "two\n");
    let asks =
        "RUN --mount=type=cache,id=/work/made,target=/cache,ro read -r t </cache/out; echo \"kept $t\"\n";
    workshop.build(&format!("{BASE}{asks}")).unwrap();
    assert!(said(&workshop, "kept two"), "{:?}", workshop.progress.lines());
    let begins = "FROM scratch AS full\nCOPY source /x\nFROM scratch\nCOPY sh /bin/sh\n\
         RUN --mount=type=cache,id=full,from=full,source=/x,target=/cache,mode=0700 read -r t </cache/t; echo \"began with $t\"\n";
    workshop.build(begins).unwrap();
    assert!(said(&workshop, "began with two"), "{:?}", workshop.progress.lines());
}

pub fn secret(busybox: &Path) {
    let workshop = workshop(busybox);
    let with = |value: &str| {
        let step = "RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=absent \
            read -r t </run/secrets/token; [ \"$t\" = \"$TOKEN\" ] && [ ! -e /run/secrets/absent ] && echo \"length ${#t}\" >/out\n";
        let mut request = workshop.request(&format!("{BASE}{step}"));
        request.secrets.insert("token".to_owned(), Secret::new(value.as_bytes().to_vec()));
        workshop.build_request(&request).unwrap()
    };
    let built = with("hunter2");
    assert_eq!(last_layer(&workshop, &built), OUT);
    let text = std::fs::read_to_string(workshop.layers(&built).pop().unwrap().join("out")).unwrap();
    assert_eq!(text, "length 7\n");
    assert!(!String::from_utf8(built.image.config.to_json()).unwrap().contains("hunter2"));
    assert_eq!(steps(&with("another value")), "cc");
    assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret(…)");
}

pub fn agent(busybox: &Path) {
    let workshop = workshop(busybox);
    let socket = workshop.folder().join("agent.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let step =
        "RUN --mount=type=ssh,required [ -S \"$SSH_AUTH_SOCK\" ] && echo \"agent at $SSH_AUTH_SOCK\"\n";
    let mut request = workshop.request(&format!("{BASE}{step}"));
    request.agents.insert("default".to_owned(), socket);
    let built = workshop.build_request(&request).unwrap();
    assert!(said(&workshop, "agent at /run/buildkit/ssh_agent.0"), "{:?}", workshop.progress.lines());
    assert_eq!(last_layer(&workshop, &built), ["dev", "proc", "sys"]);
}

pub fn key(busybox: &Path) {
    let workshop = workshop(busybox);
    let build = |mounts: &str| {
        let built = workshop.build(&format!("{BASE}RUN {mounts} echo done >/out\n")).unwrap();
        steps(&built)
    };
    workshop.write("in/a", "1").write("other", "1");
    assert_eq!(build("--mount=source=in,target=/in"), "..");
    workshop.write("other", "2");
    assert_eq!(build("--mount=source=in,target=/in"), "cc");
    workshop.write("in/a", "2");
    assert_eq!(build("--mount=source=in,target=/in"), "c.");
    assert_eq!(build("--mount=source=in,target=/elsewhere"), "c.");
    assert_eq!(build("--mount=type=cache,target=/c"), "c.");
    assert_eq!(build("--mount=type=cache,target=/c,id=other"), "c.");
    assert_eq!(build("--mount=type=tmpfs,target=/c"), "c.");
}

pub fn mistakes(busybox: &Path) {
    let workshop = workshop(busybox);
    let error = |step: &str| workshop.build(&format!("{BASE}{step}\n")).unwrap_err().to_string();
    for (step, told) in [
        ("RUN --mount=type=bind,source=gone,target=/x true", "\"gone\" is not in the build context"),
        ("RUN --mount=type=bind,from=0,source=/gone,target=/x true", "--from=0 is no earlier stage"),
        ("RUN --mount=type=bind,from=$STAGE,target=/x true", "variables are not expanded"),
        ("RUN --mount=type=bind true", "target=/PATH"),
        ("RUN --mount=type=tmpfs,target=/ true", "nothing can be mounted on /"),
        ("RUN --mount=type=secret,id=token,required true", "--secret id=token,src=FILE"),
        ("RUN --mount=type=ssh,required true", "--ssh default"),
        ("RUN --mount=type=cahe,target=/x true", "cache"),
    ] {
        let error = error(step);
        assert!(error.starts_with("Dockerfile:3:") && error.contains(told), "{step}: {error}");
    }
}
