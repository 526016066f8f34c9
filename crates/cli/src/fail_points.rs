//! Death at a named point, for the tests that show that nothing is left half-done: only with the feature `failpoints`.
//!
//! `MINATO_KILL_AT=POINT` and `MINATO_KILL_MARK=FILE`: the first process of a whole run (command, supervisor, shim) that
//! comes to the point makes the file and dies as by `kill -9`. The others find the file and go on.

use std::env;
use std::fs::File;
use std::path::Path;

use rustix::process::{Signal, getpid, kill_process};

/// Must be called before anything else in `main`, so that re-executed processes are armed too.
pub fn arm() {
    let (Ok(point), Some(mark)) = (env::var("MINATO_KILL_AT"), env::var_os("MINATO_KILL_MARK")) else {
        return;
    };
    fail::cfg_callback(point, move || {
        if File::create_new(Path::new(&mark)).is_ok() {
            kill_process(getpid(), Signal::KILL).expect("a process may end itself");
        }
    })
    .expect("a point's name is never an action");
}
