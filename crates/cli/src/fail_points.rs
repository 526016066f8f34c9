//! Death at a named point, for the tests that show that nothing is left half-done: only with the feature `failpoints`.
//!
//! `MINATO_KILL_POINTS=A,B,…` are the points' names. While the file that `MINATO_KILL_ORDER` names holds one of them, the
//! first process of all that have this environment (command, supervisor, shim) to come there writes what it is into
//! the file's neighbour `*.taken`, removes the order and dies as by `kill -9`. The others go on.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, getpid, kill_process};

/// Must be called before anything else in `main`, so that re-executed processes are armed too.
pub fn arm() {
    let (Ok(points), Some(order)) = (env::var("MINATO_KILL_POINTS"), env::var_os("MINATO_KILL_ORDER")) else {
        return;
    };
    for point in points.split(',') {
        let (name, order) = (point.to_owned(), PathBuf::from(&order));
        fail::cfg_callback(point, move || die_if_ordered(&name, &order))
            .expect("a callback is never refused");
    }
}

fn die_if_ordered(point: &str, order: &Path) {
    if fs::read(order).is_ok_and(|ordered| ordered == point.as_bytes())
        && let Ok(mut taken) = File::create_new(order.with_extension("taken"))
    {
        let who = env::args().nth(1).unwrap_or_default();
        taken.write_all(who.as_bytes()).expect("the test's own folder can be written to");
        fs::remove_file(order).expect("nobody else takes the order");
        kill_process(getpid(), Signal::KILL).expect("a process may end itself");
    }
}
