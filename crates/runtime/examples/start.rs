//! Measures how long a container takes from the request to the first byte that its program writes, for this crate and
//! for the OCI runtimes given as arguments, in turns. `bench/start` runs it.
//!
//! Every engine gets the same `config.json` and writes into the same FIFO. This crate's time includes what the others
//! find ready: starting a shim, mounting the overlay, network, cgroup, record and log.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A measuring tool, not part of the product.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use minato_runtime::{
    ContainerSpec, Engine, ExecSpec, ExecStdio, Mount, Network, OwnNetwork, Rootfs, Runtime,
};

fn main() {
    minato_runtime::reexec();
    let mut arguments = std::env::args().skip(1);
    let (rounds, folder) =
        (arguments.next().unwrap().parse().unwrap(), PathBuf::from(arguments.next().unwrap()));
    let engines: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let bench = Bench::new(&folder);
    let mut times = vec![Vec::new(); engines.len() + 1];
    for round in 0..rounds {
        times[0].push(bench.ours(round));
        for (times, engine) in times[1..].iter_mut().zip(&engines) {
            times.push(bench.theirs(engine, round));
        }
    }
    println!("minato {:.1}", median(&mut times[0]));
    for (times, engine) in times[1..].iter_mut().zip(&engines) {
        println!("{} {:.1}", engine.file_name().unwrap().display(), median(times));
    }
    let (exec, memory) = bench.exec_and_memory(rounds);
    println!("exec {exec:.1}");
    println!("shim-memory {memory}");
    if let Some(engine) = engines.first() {
        println!("{}-exec {:.1}", engine.file_name().unwrap().display(), bench.their_exec(engine, rounds));
    }
}

struct Bench {
    folder: PathBuf,
    layer: PathBuf,
    runtime: Runtime,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        let layer = folder.join("layer");
        for name in ["bin", "etc", "proc", "sys", "dev", "tmp", "fifo"] {
            fs::create_dir_all(layer.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", layer.join("bin/sh")).unwrap();
        fs::create_dir_all(folder.join("fifo")).unwrap();
        let runtime = Runtime::new(&folder.join("run"), Engine::Embedded).unwrap();
        Self { folder: folder.to_owned(), layer, runtime }
    }

    fn spec(&self, id: &str, script: &str) -> ContainerSpec {
        let rootfs = Rootfs::Layers { layers: vec![self.layer.clone()], read_only: false };
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        let mut spec = ContainerSpec::new(id.parse().unwrap(), rootfs, args);
        let fifo = Mount::Bind { source: self.folder.join("fifo"), target: "/fifo".into(), read_only: false };
        spec.mounts = vec![fifo];
        spec.limits.memory_bytes = Some(64 << 20);
        spec.limits.pids = Some(100);
        spec.network = Network::Own(OwnNetwork { address: [10, 88, 7, 7].into(), uplink: None });
        spec
    }

    /// A fresh FIFO, and the time until something comes out of it.
    fn until_first_byte(&self, start: impl FnOnce()) -> Duration {
        let fifo = self.folder.join("fifo/out");
        let _absent = fs::remove_file(&fifo);
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let reader = std::thread::spawn(move || {
            let mut byte = [0];
            File::open(fifo).unwrap().read_exact(&mut byte).unwrap();
            Instant::now()
        });
        let began = Instant::now();
        start();
        reader.join().unwrap() - began
    }

    fn ours(&self, round: u32) -> Duration {
        let spec = self.spec(&format!("ours-{round}"), "echo x > /fifo/out");
        let mut shim = None;
        let time = self.until_first_byte(|| shim = Some(self.runtime.start(&spec).unwrap()));
        let shim = shim.unwrap();
        shim.wait().unwrap();
        shim.release().unwrap();
        time
    }

    fn theirs(&self, engine: &Path, round: u32) -> Duration {
        if engine.ends_with("docker") {
            return self.docker(engine);
        }
        let bundle = self.folder.join(format!("bundle-{}", engine.file_name().unwrap().display()));
        if !bundle.exists() {
            self.make_bundle(engine, &bundle);
        }
        let id = format!("theirs-{}-{round}", std::process::id());
        let mut command = Command::new(engine);
        command.args(["run", "--bundle"]).arg(&bundle).arg(&id).stdin(Stdio::null());
        // Waited for inside: an engine that fails must not be waited for at the FIFO.
        self.until_first_byte(|| assert!(command.status().unwrap().success(), "{} failed", engine.display()))
    }

    /// `docker run` of the image `bench`, which holds the same files, by the daemon that DOCKER_HOST names.
    fn docker(&self, program: &Path) -> Duration {
        let mut command = Command::new(program);
        command.args([
            "run",
            "--rm",
            "--network",
            "none",
            "--memory",
            "64m",
            "--pids-limit",
            "100",
            "--volume",
        ]);
        command.arg(format!("{}:/fifo", self.folder.join("fifo").display()));
        command.args(["bench", "sh", "-c", "echo x > /fifo/out"]).stdin(Stdio::null());
        self.until_first_byte(|| assert!(command.status().unwrap().success(), "docker failed"))
    }

    /// The median time of `ENGINE exec`.
    fn their_exec(&self, engine: &Path, rounds: u32) -> f64 {
        let bundle = self.folder.join(format!("bundle-{}", engine.file_name().unwrap().display()));
        let text = fs::read_to_string(bundle.join("config.json")).unwrap();
        let long = text.replace("echo x > /fifo/out", "while :; do sleep 1; done");
        fs::write(bundle.join("config.json"), long).unwrap();
        let id = format!("long-{}", std::process::id());
        let call = |arguments: &[&str]| {
            let mut command = Command::new(engine);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(command.status().unwrap().success(), "{arguments:?}");
        };
        call(&["run", "--detach", "--bundle", bundle.to_str().unwrap(), &id]);
        let timed = |_| {
            let began = Instant::now();
            call(&["exec", &id, "sh", "-c", ":"]);
            began.elapsed()
        };
        let mut times: Vec<_> = (0..rounds).map(timed).collect();
        call(&["delete", "--force", &id]);
        median(&mut times)
    }

    /// The configuration that this crate writes for that engine, with a network namespace of its own and a plain root.
    fn make_bundle(&self, engine: &Path, bundle: &Path) {
        let runtime = Runtime::new(&self.folder.join("other"), Engine::Command(engine.to_owned())).unwrap();
        let spec = self.spec("template", "echo x > /fifo/out");
        let mut shim = None;
        self.until_first_byte(|| shim = Some(runtime.start(&spec).unwrap()));
        let made = self.folder.join("other/containers/template/config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(made).unwrap()).unwrap();
        shim.unwrap().wait().unwrap();
        runtime.remove(&spec.id).unwrap();
        config["root"]["path"] = self.layer.to_str().unwrap().into();
        config["linux"]["namespaces"].as_array_mut().unwrap().push(serde_json::json!({ "type": "network" }));
        config["linux"]["cgroupsPath"] = format!("/minato-bench-{}", std::process::id()).into();
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/etc/"));
        fs::create_dir(bundle).unwrap();
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
    }

    /// The median time of a program run by exec, from the request to its exit, and a shim's own memory in KiB.
    fn exec_and_memory(&self, rounds: u32) -> (f64, u64) {
        let spec = self.spec("long", "while :; do sleep 1; done");
        let shim = self.runtime.start(&spec).unwrap();
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let mut times: Vec<_> = (0..rounds)
            .map(|_| {
                use std::os::fd::AsFd;
                let stdio = ExecStdio { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() };
                let began = Instant::now();
                let program = ExecSpec::new(["sh", "-c", ":"].map(str::to_owned).to_vec());
                assert!(shim.exec(&program, &stdio).unwrap().wait().unwrap().success());
                began.elapsed()
            })
            .collect();
        let smaps = fs::read_to_string(format!("/proc/{}/smaps_rollup", shim.identity().pid)).unwrap();
        let private = smaps.lines().filter(|line| line.starts_with("Private_"));
        let memory =
            private.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum();
        self.runtime.remove(&spec.id).unwrap();
        (median(&mut times), memory)
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
