//! Looking for acknowledged writes in what is left at the end.

use super::{Call, CheckError, Operation, Outcome, Reply, Value, check};
use std::collections::{BTreeMap, BTreeSet};

/// The client that reads everything at the end.
const AUDITOR: u64 = u64::MAX;

/// The history, followed by a read of every key after all else has ended. `final_state` is what the keys held
/// then; a key that is not in it was absent.
pub fn with_final_reads(history: &[Operation], final_state: &BTreeMap<String, Value>) -> Vec<Operation> {
    let end = history.iter().map(|operation| operation.returned.unwrap_or(operation.invoked)).max().unwrap_or(0);
    let keys: BTreeSet<&String> = history.iter().map(|operation| &operation.key).chain(final_state.keys()).collect();
    let reads = keys.into_iter().map(|key| Operation {
        client: AUDITOR,
        key: key.clone(),
        call: Call::Get,
        outcome: Outcome::Ok(Reply::Read { found: final_state.get(key).cloned() }),
        invoked: end.saturating_add(1),
        returned: Some(end.saturating_add(2)),
    });
    history.iter().cloned().chain(reads).collect()
}

/// Is every acknowledged write accounted for: there at the end, or overwritten by one that may have come later?
/// And is nothing there that nobody wrote? Reads along the way are not judged here, so that a lost write is told
/// from a stale read; [`check`] on [`with_final_reads`] judges both.
pub fn acknowledged_writes_present(
    history: &[Operation],
    final_state: &BTreeMap<String, Value>,
) -> Result<(), CheckError> {
    let mut audited = with_final_reads(history, final_state);
    audited.retain(|operation| {
        operation.client == AUDITOR
            || !matches!(operation.outcome, Outcome::Ok(Reply::Read { .. } | Reply::Mismatch { .. }))
    });
    check(&audited)
}
