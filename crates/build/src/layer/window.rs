//! Bytes of many files on their way from several readers to one hasher that wants them in order.
//!
//! Readers run ahead, but not further than a limit of bytes: a layer is never held in memory. The reader of the file
//! that the hasher waits for is always let through, so nobody waits for anybody in a circle.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that readers may be ahead of the hasher.
const AHEAD: usize = 24 << 20;
/// Buffers kept for reuse.
const SPARE: usize = 64;

/// A part of one file.
enum Part {
    /// The value of the file's security capability; comes first.
    Start(Option<Vec<u8>>),
    Bytes(Vec<u8>),
    End,
}

#[derive(Default)]
struct State {
    parts: HashMap<usize, VecDeque<Part>>,
    bytes: usize,
    /// The file that the hasher reads or is going to read next.
    current: usize,
    closed: bool,
    spare: Vec<Vec<u8>>,
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Window {
    state: Mutex<State>,
    changed: Condvar,
}

impl Window {
    /// Says what is known of file number `file` before its bytes.
    pub(super) fn start(&self, file: usize, capability: Option<Vec<u8>>) {
        self.add(self.lock(), file, Part::Start(capability));
    }

    /// Hands over the next bytes of file number `file`; waits while too many are ahead. `false` when nobody wants
    /// them any more.
    pub(super) fn push(&self, file: usize, bytes: Vec<u8>) -> bool {
        let mut state = self.lock();
        while !state.closed && state.bytes + bytes.len() > AHEAD && state.current != file {
            state = self.wait(state);
        }
        if state.closed {
            return false;
        }
        state.bytes += bytes.len();
        self.add(state, file, Part::Bytes(bytes));
        true
    }

    /// Says that file number `file` is complete.
    pub(super) fn end(&self, file: usize) {
        self.add(self.lock(), file, Part::End);
    }

    /// An empty buffer.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Ends everything: somebody failed.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The bytes of file number `file`, to be read before any later file's, and its security capability.
    pub(super) fn reader(&self, file: usize) -> io::Result<(Option<Vec<u8>>, FileReader<'_>)> {
        self.lock().current = file;
        self.changed.notify_all();
        let mut reader = FileReader { window: self, file, bytes: Vec::new(), at: 0, ended: false };
        let capability = match self.next(file, Vec::new())? {
            Part::Start(capability) => capability,
            part => {
                reader.receive(part);
                None
            }
        };
        Ok((capability, reader))
    }

    fn add(&self, mut state: MutexGuard<'_, State>, file: usize, part: Part) {
        state.parts.entry(file).or_default().push_back(part);
        if state.current == file {
            self.changed.notify_all();
        }
    }

    fn next(&self, file: usize, used: Vec<u8>) -> io::Result<Part> {
        let mut state = self.lock();
        if used.capacity() > 0 && state.spare.len() < SPARE {
            state.spare.push(used);
        }
        loop {
            if state.closed {
                return Err(io::Error::other("another file of the layer failed"));
            }
            if let Some(part) = state.parts.get_mut(&file).and_then(VecDeque::pop_front) {
                match &part {
                    Part::Start(_) => {}
                    Part::Bytes(bytes) => state.bytes -= bytes.len(),
                    Part::End => drop(state.parts.remove(&file)),
                }
                self.changed.notify_all();
                return Ok(part);
            }
            state = self.wait(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one file from a window.
pub(super) struct FileReader<'a> {
    window: &'a Window,
    file: usize,
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
}

impl FileReader<'_> {
    fn receive(&mut self, part: Part) {
        match part {
            Part::Start(_) => {}
            Part::Bytes(bytes) => self.bytes = bytes,
            Part::End => self.ended = true,
        }
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.bytes.len() && !self.ended {
            let mut used = std::mem::take(&mut self.bytes);
            used.clear();
            self.at = 0;
            let part = self.window.next(self.file, used)?;
            self.receive(part);
        }
        let count = (&self.bytes[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_order_however_far_ahead_the_readers_are() {
        let window = Window::default();
        let content = |file: usize| vec![u8::try_from(file).unwrap(); AHEAD / 3];
        std::thread::scope(|scope| {
            // The last files first, and more bytes than fit.
            for file in (0..6).rev() {
                let window = &window;
                scope.spawn(move || {
                    window.start(file, None);
                    for part in content(file).chunks(1 << 20) {
                        assert!(window.push(file, part.to_vec()));
                    }
                    window.end(file);
                });
            }
            for file in 0..6 {
                let mut bytes = Vec::new();
                window.reader(file).unwrap().1.read_to_end(&mut bytes).unwrap();
                assert!(bytes == content(file), "file {file}");
            }
        });
    }

    #[test]
    fn a_failure_lets_everybody_go() {
        let window = Window::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| window.reader(0).map(drop));
            let writer = scope.spawn(|| while window.push(7, vec![0; AHEAD / 2]) {});
            window.close();
            assert!(reader.join().unwrap().is_err());
            writer.join().unwrap();
        });
    }
}
