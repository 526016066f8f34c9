//! What came of the requests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most failures that are told in full.
const TOLD: usize = 50;

/// The sum of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests that left.
    pub sent: u64,
    /// Answered whole, with a 2xx.
    pub succeeded: u64,
    /// All others.
    pub failed: u64,
    /// Failures by kind.
    pub failed_by_kind: BTreeMap<FailureKind, u64>,
    /// The first 50 failures.
    pub failures: Vec<Failure>,
    /// Successes by the answer's `x-version` header.
    pub by_version: BTreeMap<String, u64>,
    /// For each version, milliseconds from the start to its first and last answer.
    pub version_seen_ms: BTreeMap<String, (u64, u64)>,
    /// From a request's due time to the whole answer; streams are left out.
    pub latency: Latency,
    /// Ids of the POSTs that left, in order.
    pub post_ids: Vec<String>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of all.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// One request that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Milliseconds from the start of the run to the request.
    pub at_ms: u64,
    /// `GET /`, …
    pub request: String,
    /// Whether it left on a connection that had answered before.
    pub kept_connection: bool,
    /// Its class.
    pub kind: FailureKind,
    /// In words.
    pub detail: String,
}

/// Classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Nobody listens.
    ConnectRefused,
    /// The connection was not made for another reason.
    Connect,
    /// The connection ended before an answer began.
    ClosedBeforeAnswer,
    /// The answer ended early.
    Truncated,
    /// An answer other than 2xx.
    Status,
    /// No whole answer in time.
    Timeout,
    /// Not HTTP.
    Protocol,
}

/// One request's end.
pub(crate) struct Outcome {
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) request: String,
    pub(crate) kept_connection: bool,
    pub(crate) streaming: bool,
    pub(crate) post_id: Option<String>,
    /// The answer's version.
    pub(crate) result: Result<String, (FailureKind, String)>,
}

/// Adds outcomes up.
#[derive(Default)]
pub(crate) struct Tally {
    report: Report,
    took: Vec<Duration>,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        let report = &mut self.report;
        report.sent += 1;
        report.post_ids.extend(outcome.post_id);
        if !outcome.streaming {
            self.took.push(outcome.took);
        }
        match outcome.result {
            Ok(version) => {
                report.succeeded += 1;
                *report.by_version.entry(version.clone()).or_default() += 1;
                let (first, last) = (outcome.at, outcome.at + outcome.took);
                let first = first.as_millis() as u64;
                let seen = report.version_seen_ms.entry(version).or_insert((first, 0));
                *seen = (seen.0.min(first), seen.1.max(last.as_millis() as u64));
            }
            Err((kind, detail)) => {
                report.failed += 1;
                *report.failed_by_kind.entry(kind).or_default() += 1;
                let at_ms = outcome.at.as_millis() as u64;
                let (request, kept_connection) = (outcome.request, outcome.kept_connection);
                report.failures.push(Failure { at_ms, request, kept_connection, kind, detail });
            }
        }
    }

    pub(crate) fn finish(mut self) -> Report {
        self.report.failures.sort_by_key(|failure| failure.at_ms);
        self.report.failures.truncate(TOLD);
        self.took.sort();
        self.report.latency = latency(&self.took);
        self.report
    }
}

fn latency(sorted: &[Duration]) -> Latency {
    let at = |share: f64| match sorted.len() {
        0 => 0.0,
        n => sorted[((n as f64 * share) as usize).min(n - 1)].as_secs_f64() * 1000.0,
    };
    Latency { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) }
}
