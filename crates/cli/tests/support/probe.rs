//! A light, steady stream of requests that notes which failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::support::http::get;

/// One request each 20 ms.
pub struct Probe {
    stop: Arc<AtomicBool>,
    failures: JoinHandle<Vec<String>>,
}

impl Probe {
    pub fn on(address: &str) -> Probe {
        let (address, stop) = (address.to_owned(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let failures = thread::spawn(move || {
            let (began, mut failures) = (Instant::now(), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                match get(&address, "/") {
                    Ok((200, _)) => {}
                    other => failures.push(format!("at {:?}: {other:?}", began.elapsed())),
                }
                thread::sleep(Duration::from_millis(20));
            }
            failures
        });
        Probe { stop, failures }
    }

    pub fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.failures.join().unwrap()
    }
}
