//! Decisions, without any I/O: what was asked for and what is seen go in, actions come out.
//!
//! ```text
//! rollout: Desired + replicas ─► create, admit, stop replicas; healthy? failed?
//! pod:     Pod + its containers' lives ─► start, probe, hook, signal containers
//! ```
//! `health` counts probes' answers, `backoff` spaces restarts, `cause` puts a failure into words. Time is an argument
//! everywhere.

pub(crate) mod backoff;
pub(crate) mod cause;
pub(crate) mod health;
pub(crate) mod pod;
pub(crate) mod rollout;
