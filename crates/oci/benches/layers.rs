//! How fast a layer of 205 MB in 10,000 files is written, unpacked and stored, beside GNU tar with the same work.
//!
//! `cargo bench -p minato-oci`; the files lie on /dev/shm, so that the disk does not decide.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and fails by panicking")]

use std::fs;
use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use minato_oci::layer::{Compression, Encoding, EncodingWriter, Limits, write_tar};
use minato_oci::{Digest, Digester, Store};

const FILES: usize = 10_000;
const BYTES: usize = 205_000_000 / FILES;
const ROUNDS: usize = 5;

fn main() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let tree = place.path().join("tree");
    make_tree(&tree);
    let tar = write_tar(&tree, Vec::new()).unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let diff_id = Digest::sha256(&tar);
    println!(
        "{FILES} files, {} MB, load {}",
        tar.len() / 1_000_000,
        fs::read_to_string("/proc/loadavg").unwrap().trim()
    );

    measure("write_tar and sha256", || {
        assert_eq!(write_tar(&tree, Digester::default()).unwrap().finish().0, diff_id);
    });
    measure("tar -c | sha256sum", || {
        shell(&format!("tar -C {} -c . | sha256sum >/dev/null", tree.display()))
    });
    for (name, blob) in [("unpack_layer, uncompressed", &tar), ("unpack_layer, zstd", &zstd)] {
        measure(name, || {
            let root = tempfile::tempdir_in(place.path()).unwrap();
            let store = Store::open(root.path()).unwrap();
            store
                .unpack_layer(blob.as_slice(), Compression::detect(blob), &diff_id, Limits::default())
                .unwrap();
        });
    }
    for (name, compression) in [("gzip -6", Compression::Gzip), ("zstd -3", Compression::Zstd)] {
        let encoding = Encoding::new(compression, None).unwrap();
        for threads in [1, 2] {
            measure(&format!("{name}, threads: {threads}"), || {
                let threads = NonZero::new(threads).unwrap();
                let mut writer = EncodingWriter::with_threads(encoding, threads, std::io::sink());
                writer.write_all(&tar).unwrap();
                writer.finish().unwrap();
            });
        }
    }
    let (plain, packed) = (place.path().join("a.tar"), place.path().join("a.tar.zst"));
    fs::File::create(&plain).unwrap().write_all(&tar).unwrap();
    fs::write(&packed, &zstd).unwrap();
    measure("tee sha256sum | tar -x", || {
        let out = tempfile::tempdir_in(place.path()).unwrap();
        let (plain, out) = (plain.display(), out.path().display());
        shell(&format!("bash -c 'tee >(sha256sum >/dev/null) <{plain} | tar -C {out} -x'"));
    });
}

/// Times some rounds and prints the median; making and removing is not counted where it is done outside.
fn measure(name: &str, work: impl Fn()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    times.sort();
    println!("{name:32} {:5.0} ms", times[ROUNDS / 2].as_secs_f64() * 1000.0);
}

fn shell(script: &str) {
    assert!(Command::new("sh").arg("-c").arg(script).status().unwrap().success());
}

fn make_tree(tree: &Path) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for number in 0..FILES {
        let folder = tree.join(format!("folder{:03}", number / 100));
        fs::create_dir_all(&folder).unwrap();
        let mut content = Vec::with_capacity(BYTES);
        while content.len() < BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Half noise, half text: what program trees compress to.
            content.extend_from_slice(&state.to_le_bytes());
            content.extend_from_slice(b"let x = ");
        }
        fs::write(folder.join(format!("file{number}.js")), &content[..BYTES]).unwrap();
    }
}
