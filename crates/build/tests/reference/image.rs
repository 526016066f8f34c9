//! Base images for both sides, and what the two configs differ in.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use minato_oci::ImageConfig;
use serde_json::Value;

use crate::buildkit::Base;
use crate::docker::Docker;
use crate::minato::Minato;

/// `base:1` is busybox with a few users and folders; `configured:1` the same with something in its config.
pub fn make_bases(docker: &Docker, minato: &Minato, folder: &Path) -> Vec<Base> {
    let root = folder.join("root");
    make_root(&root, &docker.programs().join("bin/busybox"));
    let archive = folder.join("root.tar");
    let flags = ["--xattrs", "--xattrs-include=*", "-cf"];
    crate::cases::check(Command::new("tar").arg("-C").arg(&root).args(flags).arg(&archive).arg("."));
    let archive = archive.to_str().expect("a plain path");
    let changes = [
        "ENV BASE=1",
        "WORKDIR /data",
        "USER app",
        "EXPOSE 7/tcp",
        "VOLUME /volume",
        r#"CMD ["base", "cmd"]"#,
    ];
    let changes: Vec<&str> = changes.iter().flat_map(|change| ["-c", change]).collect();
    docker.run(&["import", archive, "base:1"]).unwrap();
    docker.run(&[&["import"], changes.as_slice(), &[archive, "configured:1"]].concat()).unwrap();
    let save = |name: &'static str| {
        // What docker saves is an OCI layout, too.
        let layout = docker.save(name);
        minato.tag(name, &minato.import(&layout));
        Base { name, layout }
    };
    ["base:1", "configured:1"].map(save).into()
}

fn make_root(root: &Path, busybox: &Path) {
    for folder in ["bin", "etc", "root", "tmp", "usr/bin", "usr/share/docs", "opt/data/deep", "data"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    let applets = Command::new(busybox).arg("--list").output().unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
    write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n");
    write("etc/group", "root:x:0:\napp:x:1001:\nstaff:x:50:app\n");
    write("usr/share/docs/readme", "docs\n");
    write("opt/data/old", "old\n");
    write("opt/data/deep/old", "old\n");
    write("usr/bin/capable", "capable\n");
    crate::cases::make_capable(&root.join("usr/bin/capable"));
    for (path, mode) in [("tmp", 0o1777), ("root", 0o700)] {
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Every difference of two configs but times and layers.
pub fn config_differences(expected: &ImageConfig, found: &ImageConfig) -> Vec<String> {
    let mut differences = Vec::new();
    compare("", &comparable(expected), &comparable(found), &mut differences);
    differences
}

fn comparable(config: &ImageConfig) -> Value {
    let mut value: Value = serde_json::from_slice(&config.to_json()).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("created");
    fields.remove("rootfs");
    let history = fields.get_mut("history").and_then(Value::as_array_mut);
    history.into_iter().flatten().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("created")));
    value
}

fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let value =
                    |side: &serde_json::Map<String, Value>| side.get(name).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}/{name}"), &value(one), &value(other), differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{index}"), one, other, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("config {path}: expected {expected}, found {found}")),
    }
}
