//! The docker that makes base images: its daemon is started for this test and ended with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Docker {
    root: PathBuf,
}

impl Docker {
    /// Fetches it if need be and starts it with everything below `root`. The error says what is missing.
    pub fn start(root: &Path) -> Result<Self, String> {
        let docker = Self { root: root.to_owned() };
        let output = docker.tool("start", &[root.to_str().expect("a plain path")]);
        if output.status.success() { Ok(docker) } else { Err(text(&output.stderr)) }
    }

    /// The image as an unpacked archive, in a folder of its own.
    pub fn save(&self, image: &str) -> PathBuf {
        let folder = self.root.join("saved").join(image.replace(':', "-"));
        std::fs::create_dir_all(&folder).unwrap();
        let archive = folder.join("image.tar");
        self.run(&["save", image, "-o", archive.to_str().expect("a plain path")]).unwrap();
        crate::cases::check(Command::new("tar").arg("-C").arg(&folder).arg("-xf").arg(&archive));
        folder
    }

    pub fn run(&self, words: &[&str]) -> Result<String, String> {
        let root = self.root.to_str().expect("a plain path");
        let output = self.tool("run", &[&[root], words].concat());
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The folder with the reference's programs; busybox is among them.
    pub fn programs(&self) -> PathBuf {
        PathBuf::from(text(&self.tool("fetch", &[]).stdout))
    }

    fn tool(&self, verb: &str, words: &[&str]) -> Output {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reference-docker");
        Command::new(tool).arg(verb).args(words).output().expect("bash is installed")
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.tool("stop", &[self.root.to_str().expect("a plain path")]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
