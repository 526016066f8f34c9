//! A pull, push or copy on the terminal: one spinner that says how far it is, one line when it is done.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use minato_oci::{Digest, Reference};
use minato_registry::{Event, Progress};

use crate::print::{Printer, Step, size};

/// Shows one image's pull, push or copy.
pub struct PullProgress<'a> {
    printer: &'a Printer,
    step: Mutex<Option<Step>>,
    arrived: Mutex<HashMap<Digest, u64>>,
}

impl<'a> PullProgress<'a> {
    /// `doing`: pull, push.
    pub fn new(printer: &'a Printer, doing: &str, reference: &Reference) -> Self {
        Self::named(printer, &format!("{doing} {}", reference.familiar()))
    }

    /// What is done, to which image.
    pub fn named(printer: &'a Printer, name: &str) -> Self {
        let step = printer.step(name);
        Self { printer, step: Mutex::new(Some(step)), arrived: Mutex::default() }
    }

    /// Ends it: a pull that failed leaves no line, because its error does.
    pub fn end(&self, succeeded: bool) {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(step) = step.filter(|_| succeeded) {
            step.done(&size(self.total()));
        }
    }

    fn total(&self) -> u64 {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Progress for PullProgress<'_> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::LayerAdvanced { layer, bytes } => {
                self.arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(*layer, bytes);
                if let Some(step) = &*self.step.lock().unwrap_or_else(PoisonError::into_inner) {
                    step.doing(&size(self.total()));
                }
            }
            Event::Retrying { url, reason, after } => {
                self.printer.warning(&format!("{url}: {reason}; again in {:.1} s", after.as_secs_f64()));
            }
            Event::MirrorFailed { url, reason } => {
                self.printer.warning(&format!("mirror {url}: {reason}; asking the next"))
            }
            Event::Resolved { .. }
            | Event::LayerPresent { .. }
            | Event::LayerStarted { .. }
            | Event::LayerDone { .. } => {}
        }
    }
}
