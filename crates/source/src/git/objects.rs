//! Reading a repository's objects through one `git cat-file --batch` that lives as long as the reader.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::command::{git, with};

/// The largest tree that is read, in bytes: a folder of half a million files.
const MAX_TREE: u64 = 32 << 20;

/// The longest header: an object's name, its type and its size.
const MAX_HEADER: u64 = 256;

/// A reader of objects. The process starts with the first read.
#[derive(Debug)]
pub(super) struct Objects {
    repository: PathBuf,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an object holds.
#[derive(Debug)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// More bytes than the reader takes.
    TooLarge {
        size: u64,
    },
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The object, as hex digits.
    pub(super) object: String,
}

/// What an entry is, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Submodule,
}

impl Objects {
    pub(super) fn of(repository: &Path) -> Objects {
        Objects { repository: repository.to_owned(), process: None }
    }

    /// The entries of a tree, or of the tree of a commit.
    pub(super) fn tree(&mut self, object: &str) -> io::Result<Vec<Entry>> {
        let Content::Bytes(bytes) = self.read(&format!("{object}^{{tree}}"), "tree", MAX_TREE)? else {
            return Err(wrong(format!("the folder has more entries than fit into {} MiB", MAX_TREE >> 20)));
        };
        // An object's name is half as many bytes as hex digits.
        parse_tree(&bytes, object.len() / 2).ok_or_else(|| wrong(format!("the tree {object} is damaged")))
    }

    /// The content of a file, or of a link.
    pub(super) fn blob(&mut self, object: &str, limit: u64) -> io::Result<Content> {
        self.read(object, "blob", limit)
    }

    fn read(&mut self, question: &str, wanted: &str, limit: u64) -> io::Result<Content> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => self.start()?,
        };
        let content = process.ask(question, wanted, limit)?;
        // Where it stands in the middle of an answer, the next read starts another.
        if let Content::Bytes(_) = content {
            self.process = Some(process);
        }
        Ok(content)
    }

    fn start(&self) -> io::Result<Process> {
        let mut command = with(git(&self.repository), ["cat-file", "--batch"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let pipes = questions.zip(answers);
        let (questions, answers) = pipes.ok_or_else(|| io::Error::other("git gave no pipes"))?;
        Ok(Process { child, questions, answers: BufReader::new(answers) })
    }
}

impl Process {
    /// `OBJECT TYPE SIZE\n`, that many bytes, `\n` (git-cat-file(1), batch output).
    fn ask(&mut self, question: &str, wanted: &str, limit: u64) -> io::Result<Content> {
        writeln!(self.questions, "{question}")?;
        self.questions.flush()?;
        let mut header = Vec::new();
        (&mut self.answers).take(MAX_HEADER).read_until(b'\n', &mut header)?;
        let header = String::from_utf8_lossy(&header);
        let size = parse_header(&header, wanted).ok_or_else(|| {
            wrong(format!("{question} is no {wanted} that the repository has: {}", header.trim()))
        })?;
        if size > limit {
            return Ok(Content::TooLarge { size });
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.answers.read_exact(&mut bytes)?;
        self.answers.read_exact(&mut [0])?;
        Ok(Content::Bytes(bytes))
    }
}

fn parse_header(header: &str, wanted: &str) -> Option<u64> {
    let mut words = header.trim_end().split(' ');
    let (_, kind, size) = (words.next()?, words.next()?, words.next()?);
    if kind == wanted && words.next().is_none() { size.parse().ok() } else { None }
}

/// A tree object: `MODE NAME\0ID` again and again. Names that no folder can have, or that are not text, are left out.
fn parse_tree(bytes: &[u8], id_length: usize) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mode_end = rest.iter().position(|byte| *byte == b' ')?;
        let name_end = rest.iter().position(|byte| *byte == 0).filter(|end| *end > mode_end)?;
        let (mode, name) = (&rest[..mode_end], &rest[mode_end + 1..name_end]);
        let id = rest.get(name_end + 1..name_end + 1 + id_length)?;
        rest = &rest[name_end + 1 + id_length..];
        let name = std::str::from_utf8(name).ok().filter(|name| is_a_name(name));
        if let Some((name, kind)) = name.zip(kind_of(mode)) {
            entries.push(Entry { name: name.to_owned(), kind, object: hex::encode(id) });
        }
    }
    Some(entries)
}

fn is_a_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/') && !name.chars().any(char::is_control)
}

fn kind_of(mode: &[u8]) -> Option<Kind> {
    match mode {
        b"40000" | b"040000" => Some(Kind::Folder),
        b"120000" => Some(Kind::Link),
        b"160000" => Some(Kind::Submodule),
        [b'1', b'0', b'0', ..] => Some(Kind::File),
        _ => None,
    }
}

fn wrong(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(mode: &str, name: &str) -> Vec<u8> {
        [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat()
    }

    #[test]
    fn a_tree_is_its_entries_without_names_that_lead_elsewhere() {
        let bytes = [
            entry("100644", "a.yaml"),
            entry("40000", "k8s"),
            entry("120000", "link"),
            entry("160000", "module"),
            entry("100755", ".."),
            entry("100644", "a/b"),
            entry("100644", ""),
            entry("100644", "\u{1b}[31m"),
            entry("777", "odd"),
        ];
        let entries = parse_tree(&bytes.concat(), 20).unwrap();
        let found: Vec<(&str, Kind)> = entries.iter().map(|entry| (&*entry.name, entry.kind)).collect();
        let expected = [
            ("a.yaml", Kind::File),
            ("k8s", Kind::Folder),
            ("link", Kind::Link),
            ("module", Kind::Submodule),
        ];
        assert_eq!(found, expected);
        assert_eq!(entries[0].object, "07".repeat(20));
        assert_eq!(parse_tree(&bytes.concat()[..30], 20), None, "cut off");
    }

    #[test]
    fn headers() {
        assert_eq!(parse_header("abc blob 12\n", "blob"), Some(12));
        assert_eq!(parse_header("abc tree 12\n", "blob"), None);
        assert_eq!(parse_header("abc missing\n", "blob"), None);
        assert_eq!(parse_header("", "blob"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_tree_or_are_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for entry in parse_tree(&bytes, 20).unwrap_or_default() {
                prop_assert!(is_a_name(&entry.name));
            }
        }
    }
}
