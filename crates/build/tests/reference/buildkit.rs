//! The reference: a current `buildkitd`, started for this test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::cases::{Case, check};

/// The base images, with the layouts that hold them.
pub struct Base {
    pub name: &'static str,
    pub layout: PathBuf,
}

pub struct BuildKit {
    root: PathBuf,
    bases: Vec<Base>,
}

impl BuildKit {
    /// Builds it if need be and starts it with everything below `root`. The error says what is missing.
    pub fn start(root: &Path, bases: Vec<Base>) -> Result<Self, String> {
        std::fs::create_dir_all(root).unwrap();
        let buildkit = Self { root: root.to_owned(), bases };
        let output = buildkit.tool("start", &[root.to_str().expect("a plain path")]);
        if output.status.success() { Ok(buildkit) } else { Err(text(&output.stderr)) }
    }

    /// Builds the case; gives the folder with the unpacked archive of its image.
    pub fn build(&self, case: &Case, context: &Path) -> Result<PathBuf, String> {
        let folder = tempfile::tempdir_in(&self.root).unwrap().keep();
        let archive = folder.join("image.tar");
        let show = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let mut words =
            vec!["build".to_owned(), "--frontend=dockerfile.v0".to_owned(), "--progress=plain".to_owned()];
        let output =
            format!("type=docker,compression=uncompressed,force-compression=true,dest={}", show(&archive));
        words.extend(["--no-cache".to_owned(), format!("--output={output}")]);
        words.push(format!("--local=context={}", show(context)));
        words.push(format!("--local=dockerfile={}", show(&case.folder)));
        words.extend(["network.host", "security.insecure"].map(|allowed| format!("--allow={allowed}")));
        for base in &self.bases {
            // A layout has no tags for buildctl, only digests.
            let (digest, name) = (manifest(&base.layout), base.name.replace(':', "-"));
            words.push(format!("--opt=context:{}=oci-layout://{name}@{digest}", base.name));
            words.push(format!("--oci-layout={name}={}", show(&base.layout)));
        }
        words.extend(case.arguments().iter().map(|(name, value)| format!("--opt=build-arg:{name}={value}")));
        words.extend(case.labels().iter().map(|(name, value)| format!("--opt=label:{name}={value}")));
        words.extend(case.target().map(|target| format!("--opt=target={target}")));
        for (id, value) in case.secrets() {
            let file = folder.join(&id);
            std::fs::write(&file, value).unwrap();
            words.push(format!("--secret=id={id},src={}", show(&file)));
        }
        let root = self.root.to_str().expect("a plain path");
        let words: Vec<&str> = [root].into_iter().chain(words.iter().map(String::as_str)).collect();
        let output = self.tool("run", &words);
        if !output.status.success() {
            let lines = text(&output.stderr);
            let last: Vec<&str> = lines.lines().rev().take(6).collect();
            return Err(last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        check(Command::new("tar").arg("-C").arg(&folder).arg("-xf").arg(&archive));
        Ok(folder)
    }

    fn tool(&self, verb: &str, words: &[&str]) -> Output {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reference-buildkit");
        Command::new(tool).arg(verb).args(words).output().expect("bash is installed")
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        self.tool("stop", &[self.root.to_str().expect("a plain path")]);
    }
}

/// The digest of the only manifest in a layout.
fn manifest(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().expect("a digest").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
