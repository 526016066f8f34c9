//! The open-loop load of the acceptance table on one address, and what must be true of its report.

use std::collections::BTreeMap;

use minato_loadgen::{Options, Report};
use tokio::runtime::Runtime;

/// 200 requests a second until it is stopped: half on new connections, a tenth streams of 2 s, a tenth POSTs.
pub struct Load {
    runtime: Runtime,
    load: minato_loadgen::Load,
}

impl Load {
    pub fn on(address: &str) -> Load {
        let options = Options {
            address: address.trim_start_matches("http://").to_owned(),
            stream_path: "/stream".to_owned(),
            post_path: "/orders".to_owned(),
            ..Options::default()
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let load = runtime.block_on(async { minato_loadgen::start(options) });
        Load { runtime, load }
    }

    pub fn stop(self) -> Report {
        self.runtime.block_on(self.load.stop())
    }
}

#[track_caller]
pub fn assert_none_failed(report: &Report) {
    assert_eq!(report.failed, 0, "of {} requests: {:#?}", report.sent, report.failures);
    assert!(report.sent > 0, "no request was sent");
}

/// Each id that was sent is in the servers' logs exactly once.
#[track_caller]
pub fn assert_executed_once(report: &Report, logs: &str) {
    let mut executed: BTreeMap<&str, usize> = BTreeMap::new();
    for id in logs.lines().filter_map(|line| line.split_once("POST ")).map(|(_, id)| id.trim()) {
        *executed.entry(id).or_default() += 1;
    }
    let wrong: Vec<_> = report
        .post_ids
        .iter()
        .map(|id| (id, executed.get(&**id).copied().unwrap_or(0)))
        .filter(|(_, times)| *times != 1)
        .collect();
    assert!(wrong.is_empty(), "executed another number of times than once: {wrong:?}");
    assert!(!report.post_ids.is_empty(), "no POST was sent");
}
