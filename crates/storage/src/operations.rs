//! When a remembered operation is forgotten: the same rule in every engine.
//!
//! The rule looks at nothing but the entries applied, never at how they were
//! grouped or at a clock, so that replicas with the same history hold the same rows.

use types::limits::OPERATION_WINDOW;
use types::{LogEntry, WallMillis};

/// Only entries whose sequence is a multiple of this forget anything.
pub(crate) const FORGET_EVERY: u64 = 64;
/// How many operations one of them forgets at most: faster than they come in.
pub(crate) const FORGET_MAX: usize = 128;

/// Operations created before this are forgotten with `entry`, oldest first,
/// [`FORGET_MAX`] at most. None: this entry forgets nothing.
///
/// They are kept for twice the window, so that a replica whose head had another
/// idea of the time does not forget what a client may still ask for.
pub(crate) fn forget_before(entry: &LogEntry) -> Option<WallMillis> {
    let keep = OPERATION_WINDOW.as_millis() as u64 * 2;
    let before = entry.time.wall().0.saturating_sub(keep);
    (entry.version.seq.0.is_multiple_of(FORGET_EVERY) && before > 0).then_some(WallMillis(before))
}
