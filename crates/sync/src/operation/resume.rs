//! What an operation that starts now makes of the record that the last one left: a pure decision.

use crate::fingerprint::Fingerprint;
use crate::store::{Operation, OperationKind, Phase};
use crate::target::Cause;

/// How to start.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Start {
    /// Nothing to carry on with.
    Fresh,
    /// The same revision was being brought out: carry on.
    Resume(Box<Operation>),
    /// The same revision had failed and was being rolled back: finish that, and report the failure. Bringing it
    /// out once more would be a second deploy of a revision that is known to be bad.
    FinishRollback { operation: Box<Operation>, to: u64, cause: Cause },
}

/// Decides how to start bringing out `fingerprint`. What died halfway on another revision is left behind:
/// comparing with what is live shows what it did.
pub(super) fn decide(last: Option<&Operation>, kind: OperationKind, fingerprint: &Fingerprint) -> Start {
    let Some(operation) = last else { return Start::Fresh };
    if operation.kind != kind || operation.fingerprint != *fingerprint {
        return Start::Fresh;
    }
    let kept = || Box::new(operation.clone());
    match &operation.phase {
        Phase::Applying | Phase::Pruning => Start::Resume(kept()),
        Phase::RollingBack { to, cause } => {
            Start::FinishRollback { operation: kept(), to: *to, cause: cause.clone() }
        }
        Phase::Succeeded | Phase::Failed { .. } => Start::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::Holder;

    fn operation(phase: Phase) -> Operation {
        let holder = Holder {
            pid: 1,
            start_time: 1,
            boot_id: String::new(),
            command: String::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
            nonce: 0,
        };
        Operation {
            kind: OperationKind::Sync,
            revision: "a".into(),
            fingerprint: Fingerprint::of(&[], &BTreeMap::new()),
            phase,
            holder,
            started: jiff::Timestamp::UNIX_EPOCH,
            intended: vec![],
            applied: vec![],
        }
    }

    #[test]
    fn only_the_same_unfinished_work_is_carried_on() {
        let same = Fingerprint::of(&[], &BTreeMap::new());
        let other = Fingerprint::of(&[serde_json::json!(1)], &BTreeMap::new());
        let check = |phase: Phase, kind: OperationKind, fingerprint: &Fingerprint, expected: &str| {
            let start = decide(Some(&operation(phase.clone())), kind, fingerprint);
            let name = match start {
                Start::Fresh => "fresh",
                Start::Resume(_) => "resume",
                Start::FinishRollback { .. } => "finish rollback",
            };
            assert_eq!(name, expected, "{phase:?} {kind:?}");
        };
        let rolling_back = Phase::RollingBack { to: 1, cause: Cause::new("bad") };
        check(Phase::Applying, OperationKind::Sync, &same, "resume");
        check(Phase::Pruning, OperationKind::Sync, &same, "resume");
        check(rolling_back.clone(), OperationKind::Sync, &same, "finish rollback");
        check(Phase::Succeeded, OperationKind::Sync, &same, "fresh");
        check(Phase::Failed { cause: Cause::new("bad") }, OperationKind::Sync, &same, "fresh");
        check(Phase::Applying, OperationKind::Sync, &other, "fresh");
        check(rolling_back, OperationKind::Sync, &other, "fresh");
        check(Phase::Applying, OperationKind::Rollback, &same, "fresh");
        assert_eq!(decide(None, OperationKind::Sync, &same), Start::Fresh);
    }
}
