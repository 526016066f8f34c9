//! A reference program (see `oracle/` at the top of the tree) that answers requests line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The running program; it ends with this value.
pub struct Oracle {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Oracle {
    /// Builds and starts it; says so and returns `None` where it cannot be built.
    pub fn start(name: &str, test: &str) -> Option<Oracle> {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../oracle/build");
        let built = Command::new(build).arg(name).output().unwrap();
        if !built.status.success() {
            eprintln!("SKIPPED {test}: oracle/{name} cannot be built: Go or its module proxy is missing");
            return None;
        }
        let program = String::from_utf8(built.stdout).unwrap();
        let mut child = Command::new(program.trim())
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (requests, replies) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Oracle { child, requests, replies: BufReader::new(replies) })
    }

    /// The text of the reply, or why the reference refuses.
    pub fn ask(&mut self, request: &Value) -> Result<String, String> {
        let mut line = String::new();
        writeln!(self.requests, "{request}").unwrap();
        self.replies.read_line(&mut line).unwrap();
        let reply: Value = serde_json::from_str(&line).unwrap();
        match reply["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(reply["text"].as_str().unwrap().to_owned()),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
