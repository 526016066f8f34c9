//! A light, steady stream of requests that notes when which was answered.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::support::http::get;
use super::support::traces::ticks_since_boot;

/// One request each 20 ms.
pub struct Probe {
    stop: Arc<AtomicBool>,
    answers: JoinHandle<Answers>,
}

/// What became of the requests, one after the other.
#[derive(Debug, Default)]
pub struct Answers(Vec<Answer>);

/// Times are hundredths of a second since this machine's start.
#[derive(Debug)]
struct Answer {
    asked: u64,
    came: u64,
    failure: Option<String>,
}

impl Probe {
    pub fn on(address: &str) -> Probe {
        let (address, stop) = (address.to_owned(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let answers = thread::spawn(move || {
            let mut answers = Answers::default();
            while !stopped.load(Ordering::Relaxed) {
                let asked = ticks_since_boot();
                let failure = match get(&address, "/") {
                    Ok((200, _)) => None,
                    other => Some(format!("{other:?}")),
                };
                answers.0.push(Answer { asked, came: ticks_since_boot(), failure });
                thread::sleep(Duration::from_millis(20));
            }
            answers
        });
        Probe { stop, answers }
    }

    pub fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        self.answers.join().unwrap()
    }
}

impl Answers {
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The failures of what was asked from a moment on, in words.
    pub fn failures_since(&self, moment: u64) -> Vec<String> {
        let failed = self.0.iter().filter(|answer| answer.asked >= moment);
        let failed = failed.filter_map(|answer| Some((answer.asked - moment, answer.failure.as_ref()?)));
        failed.map(|(later, failure)| format!("{later}0 ms later: {failure}")).collect()
    }

    /// When the first answer came that was asked for after a moment and is good.
    pub fn first_good_since(&self, moment: u64) -> Option<u64> {
        let since = self.0.iter().filter(|answer| answer.asked >= moment);
        since.filter(|answer| answer.failure.is_none()).map(|answer| answer.came).next()
    }
}
