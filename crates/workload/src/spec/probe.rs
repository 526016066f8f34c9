//! How a container's health is asked for.

use serde::{Deserialize, Serialize};

/// A question asked again and again. Kubernetes' fields and meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The question.
    pub action: ProbeAction,
    /// Wait after the container's start.
    pub initial_delay_seconds: u32,
    /// Between two questions, at least 1.
    pub period_seconds: u32,
    /// For one answer, at least 1.
    pub timeout_seconds: u32,
    /// Failures in a row that mean "no", at least 1.
    pub failure_threshold: u32,
    /// Successes in a row that mean "yes", at least 1.
    pub success_threshold: u32,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeAction {
    /// GET; 200–399 is yes.
    Http {
        /// Path and query.
        path: String,
        /// On the pod's address.
        port: u16,
        /// `Host` to send; the pod's address where absent.
        host: Option<String>,
        /// More headers.
        headers: Vec<(String, String)>,
        /// http or https (its certificate is not checked, as in Kubernetes).
        scheme: ProbeScheme,
    },
    /// A connection is yes.
    Tcp {
        /// On the pod's address.
        port: u16,
    },
    /// Exit code 0 is yes.
    Exec {
        /// Program first.
        argv: Vec<String>,
    },
    /// Nothing: a hook that only sleeps.
    None,
}

/// Scheme of an HTTP probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeScheme {
    /// Plain.
    Http,
    /// TLS: asked as a TCP connection here, since the workload speaks TLS itself and nothing here does.
    Https,
}

impl Default for Probe {
    /// Kubernetes' defaults, around a question that is never asked.
    fn default() -> Self {
        Probe {
            action: ProbeAction::None,
            initial_delay_seconds: 0,
            period_seconds: 10,
            timeout_seconds: 1,
            failure_threshold: 3,
            success_threshold: 1,
        }
    }
}
