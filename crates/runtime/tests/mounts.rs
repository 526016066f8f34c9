//! Files and folders of other layers, mounted into a container.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use minato_runtime::{ContainerSpec, Mount, StartError, Writable};
use support::{Bench, Missing, nothing_is_left, run};

fn main() {
    run(&[
        ("layers_show_as_one_tree_and_can_not_be_written_to", layers_show_as_one_tree),
        ("what_is_written_goes_to_a_folder_of_its_own", what_is_written_goes_to_a_folder_of_its_own),
        ("a_path_never_leads_out_of_its_layers", a_path_never_leads_out_of_its_layers),
    ]);
}

/// Two layers, of which the upper one replaces a file of the lower.
fn layers(bench: &Bench) -> Vec<PathBuf> {
    let folder = |name: &str, files: &[(&str, &str)]| {
        let layer = bench.path().join(name);
        fs::create_dir_all(layer.join("usr/share")).unwrap();
        files.iter().for_each(|(file, text)| fs::write(layer.join("usr/share").join(file), text).unwrap());
        layer
    };
    let layers = vec![folder("lower", &[("one", "1"), ("two", "old")]), folder("upper", &[("two", "2")])];
    symlink("usr/share", layers[0].join("share")).unwrap();
    symlink("/etc", layers[0].join("outside")).unwrap();
    layers
}

fn mount(layers: &[PathBuf], path: &str, target: &str) -> Mount {
    Mount::Layers { layers: layers.to_vec(), path: path.into(), target: target.into(), writable: None }
}

fn with(bench: &Bench, script: &str, mounts: Vec<Mount>) -> ContainerSpec {
    ContainerSpec { mounts, ..bench.shell(script) }
}

fn layers_show_as_one_tree() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let layers = layers(&bench);
        let script =
            "cat /given/one /given/two /file /alone/two; touch /given/new 2>/dev/null || echo refused";
        let mounts = vec![
            mount(&layers, "/share", "/given"),
            mount(&layers, "/usr/share/one", "/file"),
            mount(&layers[1..], "/usr/share", "/alone"),
        ];
        let (exit, output) = bench.run(&with(&bench, script, mounts));
        assert!(exit.success(), "{output}");
        assert_eq!(output, "1212refused\n");
    }
    nothing_is_left();
    Ok(())
}

fn what_is_written_goes_to_a_folder_of_its_own() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let layers = layers(&bench);
        let folder = |name: &str| {
            let path = bench.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let writable = Writable { upper: folder("written"), work: folder("work") };
        let upper = writable.upper.clone();
        let mount = Mount::Layers {
            layers: layers.clone(),
            path: "/usr/share".into(),
            target: "/given".into(),
            writable: Some(writable),
        };
        let (exit, output) = bench.run(&with(&bench, "echo x > /given/new && cat /given/new", vec![mount]));
        assert!(exit.success() && output == "x\n", "{output}");
        assert_eq!(fs::read_to_string(upper.join("usr/share/new")).unwrap(), "x\n");
        assert!(!Path::new(&layers[1]).join("usr/share/new").exists());
    }
    nothing_is_left();
    Ok(())
}

fn a_path_never_leads_out_of_its_layers() -> Result<(), Missing> {
    {
        let bench = Bench::new()?;
        let layers = layers(&bench);
        for path in ["/outside", "/outside/passwd", "/nothing"] {
            let spec = with(&bench, "true", vec![mount(&layers, path, "/given")]);
            let error = bench.runtime.start(&spec).unwrap_err();
            assert_eq!(error, StartError::MissingMountSource { path: path.into() });
        }
        let upwards = with(&bench, "true", vec![mount(&layers, "/../etc", "/given")]);
        assert!(matches!(bench.runtime.start(&upwards), Err(StartError::InvalidSpec { .. })));
    }
    nothing_is_left();
    Ok(())
}
