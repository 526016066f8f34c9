//! The entries of a mapping while it is read: which keys are written in it and which came by `<<`.

use indexmap::IndexMap;

use crate::Span;
use crate::document::{Entry, Node};

struct Slot {
    key_span: Span,
    value: Node,
    /// Written in this mapping, and not merged into it.
    written: bool,
}

/// Entries in the order in which their keys appeared first.
#[derive(Default)]
pub(super) struct Entries {
    slots: IndexMap<String, Slot>,
}

impl Entries {
    /// True when the mapping itself has the key.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.written)
    }

    /// Puts a written entry; it replaces one that was merged.
    pub(super) fn write(&mut self, entry: Entry) {
        let slot = Slot { key_span: entry.key_span, value: entry.value, written: true };
        self.slots.insert(entry.key, slot);
    }

    /// Puts an entry of a merged mapping, as go-yaml v2 does: over whatever is there. True when that was another
    /// value, written above.
    pub(super) fn merge(&mut self, entry: &Entry) -> bool {
        let written = self.slots.get(&entry.key).filter(|slot| slot.written);
        let replaces = written.is_some_and(|slot| slot.value.to_value() != entry.value.to_value());
        let slot = Slot { key_span: entry.key_span, value: entry.value.clone(), written: written.is_some() };
        self.slots.insert(entry.key.clone(), slot);
        replaces
    }

    /// Puts an entry of a merged mapping where the key is missing, as Kustomize does.
    pub(super) fn complete(&mut self, entry: &Entry) {
        let slot = || Slot { key_span: entry.key_span, value: entry.value.clone(), written: false };
        self.slots.entry(entry.key.clone()).or_insert_with(slot);
    }

    pub(super) fn into_vec(self) -> Vec<Entry> {
        let entries = self.slots.into_iter();
        entries.map(|(key, slot)| Entry { key, key_span: slot.key_span, value: slot.value }).collect()
    }
}
