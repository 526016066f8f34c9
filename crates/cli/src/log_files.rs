//! Reading the containers' log files, also while they grow and are put aside.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use minato_runtime::{LOG_FILE, LogLine};

/// Most bytes that one look takes from one file: following a flood stays responsive.
const LOOK_LIMIT: u64 = 4 << 20;

/// One line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// RFC 3339, UTC: sorts as time does.
    pub time: String,
    /// Without the line's end.
    pub text: String,
}

/// The log files of one container, read once from the oldest to the newest and then as they grow.
pub struct LogFiles {
    folder: PathBuf,
    current: Option<File>,
    /// What follows the last whole line.
    rest: Vec<u8>,
    /// Parts of a line that goes on.
    parts: String,
}

impl LogFiles {
    pub fn new(folder: &Path) -> LogFiles {
        LogFiles { folder: folder.to_owned(), current: None, rest: Vec::new(), parts: String::new() }
    }

    /// Everything written since the last look. A folder that is gone has nothing more to say.
    pub fn look(&mut self) -> io::Result<Vec<Entry>> {
        let mut bytes = std::mem::take(&mut self.rest);
        if self.current.is_none() {
            self.read_older(&mut bytes)?;
        } else if self.put_aside() {
            // The file in hand has got its last line; what follows stands in the new one.
            self.read_current(&mut bytes)?;
            self.current = None;
        }
        self.read_current(&mut bytes)?;
        Ok(self.entries(&bytes))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(LOG_FILE)
    }

    fn put_aside(&self) -> bool {
        let inode = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| metadata.ino());
        let named = inode(fs::metadata(self.path()));
        named.is_some() && named != self.current.as_ref().and_then(|file| inode(file.metadata()))
    }

    /// The files put aside, the oldest (with the highest number) first.
    fn read_older(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let numbered = (1..).map(|number| self.folder.join(format!("{LOG_FILE}.{number}")));
        let older: Vec<PathBuf> = numbered.take_while(|path| path.exists()).collect();
        for path in older.iter().rev() {
            bytes.extend(absent_is_empty(fs::read(path))?);
        }
        Ok(())
    }

    fn read_current(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.current.is_none() {
            self.current = match File::open(self.path()) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        if let Some(file) = &mut self.current {
            file.take(LOOK_LIMIT).read_to_end(bytes)?;
        }
        Ok(())
    }

    fn entries(&mut self, bytes: &[u8]) -> Vec<Entry> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.rest = bytes[whole..].to_vec();
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut entries = Vec::new();
        for line in text.lines().filter_map(LogLine::parse) {
            self.parts.push_str(line.text);
            if !line.partial {
                entries.push(Entry { time: line.time.to_owned(), text: std::mem::take(&mut self.parts) });
            }
        }
        entries
    }
}

fn absent_is_empty(read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn texts(files: &mut LogFiles) -> Vec<String> {
        files.look().unwrap().into_iter().map(|entry| entry.text).collect()
    }

    fn append(folder: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(folder.join(LOG_FILE)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn nothing_is_lost_or_doubled_while_files_grow_and_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = LogFiles::new(folder.path());
        assert!(texts(&mut files).is_empty());
        append(folder.path(), "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stdout F tw");
        assert_eq!(texts(&mut files), ["one"]);
        append(folder.path(), "o\n");
        fs::rename(folder.path().join(LOG_FILE), folder.path().join("output.log.1")).unwrap();
        append(folder.path(), "2026-01-01T00:00:02Z stderr P thr\n2026-01-01T00:00:02Z stderr F ee\n");
        assert_eq!(texts(&mut files), ["two", "three"]);
        assert!(texts(&mut files).is_empty());
        assert_eq!(texts(&mut LogFiles::new(folder.path())), ["one", "two", "three"]);
    }
}
