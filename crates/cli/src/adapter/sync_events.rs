//! What a sync tells, as lines.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use minato_resource::ResourceKey;
use minato_sync::{Cause, Event, Events};

use crate::print::{Printer, Step, style, styled};

/// Shows a sync as it goes. What waits has a spinner on a terminal, and elsewhere a line whenever its message changes.
pub struct SyncEvents<'a> {
    printer: &'a Printer,
    waiting: Mutex<HashMap<ResourceKey, (String, Step)>>,
}

impl<'a> SyncEvents<'a> {
    pub fn new(printer: &'a Printer) -> Self {
        Self { printer, waiting: Mutex::default() }
    }

    fn progressing(&self, key: &ResourceKey, message: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = waiting.get(key).is_some_and(|(shown, _)| shown == message);
        if known {
            return;
        }
        if !self.printer.is_live() {
            self.printer.line(&format!("{} {key}: {message}", styled(style::FAINT, "…")));
        }
        let (_, step) =
            waiting.remove(key).unwrap_or_else(|| (String::new(), self.printer.step(&key.to_string())));
        step.doing(message);
        waiting.insert(key.clone(), (message.to_owned(), step));
    }

    fn ended(&self, key: &ResourceKey) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key).is_some()
    }

    fn good(&self, text: &str) {
        self.printer.line(&format!("{} {text}", styled(style::GOOD, "✓")));
    }
}

impl Events for SyncEvents<'_> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::WaitingForLock(holder) => self.printer.line(&format!("waiting for {holder}")),
            Event::Resuming { revision } => {
                self.printer.line(&format!("carrying on with {revision}, which an earlier run left midway"))
            }
            Event::Kept(key) => self
                .printer
                .warning(&format!("{key} is no longer in the files, and is kept because pruning is off")),
            Event::Progressing { key, message } => self.progressing(key, message),
            // What nobody waited for (a ConfigMap, a kind without effect here) needs no line.
            Event::Healthy(key) if self.ended(key) => self.good(&format!("{key} is healthy")),
            Event::Failed { key, cause } => {
                self.ended(key);
                // The whole cause comes with the outcome, at the end, where it is looked for.
                self.printer.line(&format!("{} {key}: {cause}", styled(style::BAD, "✗")));
            }
            Event::RollingBack { to, .. } => {
                self.printer.line(&format!("going back to revision {} ({})", to.number, to.content.revision));
            }
            Event::SecretChanged(reference) => {
                self.printer.warning(&format!(
                    "secret {reference} has another value than that revision had: today's is used"
                ));
            }
            Event::Retrying { error, pause } => {
                self.printer.warning(&format!("{error}; asking again in {:.1} s", pause.as_secs_f64()))
            }
            Event::Removed(key) => self.good(&format!("{key} is removed")),
            Event::Compared(_) | Event::Wave { .. } | Event::Applied(_) | Event::Healthy(_) => {}
        }
    }
}

/// A cause with everything that helps: facts, the end of the log, what to do next.
pub fn describe(cause: &Cause) -> String {
    let mut lines = vec![format!("  {}", styled(style::STRONG, &cause.summary))];
    lines.extend(cause.facts.iter().map(|(name, text)| format!("  {name}: {text}")));
    if !cause.log_lines.is_empty() {
        lines.push("  last lines of its log:".to_owned());
        lines.extend(cause.log_lines.iter().map(|line| format!("    {} {line}", styled(style::FAINT, "|"))));
    }
    lines.extend(cause.hint.iter().map(|hint| format!("  {} {hint}", styled(style::GOOD, "fix:"))));
    lines.join("\n")
}
