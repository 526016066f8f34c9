//! A socket inside a step that leads to an SSH agent outside: the agent's own may be used by its owner only.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, Gid, Mode, Uid};

/// Carries connections until it is dropped.
pub(super) struct Agent {
    place: PathBuf,
    closed: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Agent {
    /// Listens at `place` for those who may, and carries what they say to `socket`.
    pub(super) fn listen(place: PathBuf, socket: &Path, owner: (u32, u32), mode: u32) -> io::Result<Self> {
        let listener = UnixListener::bind(&place)?;
        let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
        rustix::fs::chownat(CWD, &place, Some(uid), Some(gid), rustix::fs::AtFlags::empty())?;
        rustix::fs::chmod(&place, Mode::from_raw_mode(mode & 0o7777))?;
        let closed = Arc::new(AtomicBool::new(false));
        let (flag, socket) = (Arc::clone(&closed), socket.to_owned());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if flag.load(Ordering::Acquire) {
                    return;
                }
                // A client that goes away, or an agent that is gone, ends one connection only.
                let (Ok(client), Ok(agent)) = (stream, UnixStream::connect(&socket)) else { continue };
                let _ended = carry(client, agent);
            }
        });
        Ok(Self { place, closed, accepting: Some(accepting) })
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes the one that accepts.
        let woken = UnixStream::connect(&self.place);
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let _ended = accepting.join();
        }
    }
}

/// Both ways, each in a thread of its own that ends with its connection.
fn carry(client: UnixStream, agent: UnixStream) -> io::Result<()> {
    let (from_client, from_agent) = (client.try_clone()?, agent.try_clone()?);
    thread::spawn(move || pump(from_client, agent));
    thread::spawn(move || pump(from_agent, client));
    Ok(())
}

fn pump(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 8192];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(Shutdown::Write);
    let _closed = from.shutdown(Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_inside_reaches_the_agent_and_its_answer_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (real, inside) = (folder.path().join("real"), folder.path().join("inside"));
        let listener = UnixListener::bind(&real).unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            stream.read_to_string(&mut asked).unwrap();
            write!(stream, "{asked}!").unwrap();
        });
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let agent = Agent::listen(inside.clone(), &real, owner, 0o600).unwrap();
        let mut client = UnixStream::connect(agent.place()).unwrap();
        client.write_all(b"keys").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "keys!");
        answering.join().unwrap();
        drop(agent);
    }
}
