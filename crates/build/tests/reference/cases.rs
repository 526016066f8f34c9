//! The Dockerfiles that are built twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use minato_resource::SourceFile;
use rustix::fs::{XattrFlags, setxattr};

/// One folder of `testdata/`, or of the same form.
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    /// The context where it is not the case's own, ready to be read.
    pub context: Option<PathBuf>,
}

impl Case {
    pub fn all() -> Vec<Self> {
        let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        let mut cases: Vec<Self> = std::fs::read_dir(testdata)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| Self {
                name: entry.file_name().into_string().unwrap(),
                folder: entry.path(),
                context: None,
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(cases.len() >= 20, "the test data is missing");
        cases
    }

    /// Copies the context and does to it what Git can't keep.
    pub fn prepare(&self, contexts: &Path) -> PathBuf {
        if let Some(context) = &self.context {
            return context.clone();
        }
        let context = contexts.join(&self.name);
        std::fs::create_dir_all(contexts).unwrap();
        let source = self.folder.join("context");
        if source.is_dir() {
            check(Command::new("cp").arg("-rP").arg(&source).arg(&context));
        } else {
            std::fs::create_dir(&context).unwrap();
        }
        // Whatever the checkout's umask was.
        check(Command::new("chmod").arg("-R").arg("u=rwX,go=rX").arg(&context));
        let script = self.folder.join("prepare");
        if script.exists() {
            check(Command::new("sh").arg("-e").arg(&script).current_dir(&context));
        }
        for path in self.text("capabilities").lines() {
            make_capable(&context.join(path));
        }
        context
    }

    pub fn dockerfile(&self) -> PathBuf {
        self.folder.join("Dockerfile")
    }

    pub fn arguments(&self) -> BTreeMap<String, String> {
        self.pairs("arguments", '=')
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        self.pairs("labels", '=')
    }

    pub fn secrets(&self) -> BTreeMap<String, String> {
        self.pairs("secrets", ' ')
    }

    /// Whether no side may build it.
    pub fn is_refused(&self) -> bool {
        !self.text("refused").is_empty()
    }

    /// Why the two sides differ, where they do.
    pub fn differs(&self) -> Option<String> {
        Some(self.text("differs").trim().to_owned()).filter(|reason| !reason.is_empty())
    }

    pub fn target(&self) -> Option<String> {
        Some(self.text("target").trim().to_owned()).filter(|target| !target.is_empty())
    }

    /// `<Dockerfile>.dockerignore` before the context's.
    pub fn ignore(&self, context: &Path) -> Option<Arc<SourceFile>> {
        let places = [self.folder.join("Dockerfile.dockerignore"), context.join(".dockerignore")];
        let place = places.into_iter().find(|place| place.exists())?;
        Some(read(&place))
    }

    fn pairs(&self, file: &str, between: char) -> BTreeMap<String, String> {
        let text = self.text(file);
        let pairs = text.lines().map(|line| line.split_once(between).expect("a name and a value"));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }
}

/// Gives a file cap_net_bind_service, effective and permitted.
pub fn make_capable(place: &Path) {
    let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    setxattr(place, "security.capability", &value, XattrFlags::empty()).unwrap();
}

pub fn read(place: &Path) -> Arc<SourceFile> {
    Arc::new(SourceFile::new(place, std::fs::read_to_string(place).unwrap()))
}

pub fn check(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
