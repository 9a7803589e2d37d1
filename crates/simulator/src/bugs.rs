//! Bugs that can be put in on purpose, to prove that the simulator finds them.
//!
//! Each makes the *simulator's own driver* do wrongly what `node` or `control` do rightly around the same pure code:
//! it swallows a record, skips a check, tells a replica what is not so. Nothing of it is in the product, which does
//! not depend on this crate (`crates/types/tests/layers.rs`).

/// Which are in. Without any, the driver is as careful as a real node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    bits: u64,
    /// Not a bug: only clients judge, by what they saw; no invariant is looked at. Shows what histories alone find.
    pub blind: bool,
}

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[allow(non_camel_case_types)]
        enum Known { $($name,)* }

        impl Bugs {
            $($(#[$doc])* pub fn $name(self) -> bool {
                self.bits & (1 << Known::$name as u64) != 0
            })*

            /// The names of all.
            pub fn names() -> Vec<&'static str> {
                vec![$(stringify!($name)),*]
            }
        }
    };
}

bugs! {
    /// An append counts as durable at once (invariant 11).
    ack_before_durable,
    /// The lease counts for ever: a head that was cut out goes on acknowledging (invariants 2 and 3).
    lease_unchecked,
    /// The lease counts from the answer, not from the request (invariant 4).
    lease_from_answer,
    /// An epoch is adopted, and never written (invariant 1).
    epoch_not_persisted,
    /// Remembered operations are not looked up (invariant 13).
    operations_forgotten,
    /// A new head does not know the operations that earlier heads carried out (invariant 13).
    operations_lost_at_failover,
    /// A restarted process goes on as the one before (invariant 9).
    incarnation_reused,
    /// Anybody may restart a chain (invariant 10).
    anyone_restarts,
    /// A promoted member counts as complete before it said that it caught up (invariant 10).
    complete_too_wide,
    /// A log whose end was cut is taken for whole (invariant 10).
    torn_end_taken_for_whole,
    /// A node is removed although partitions rest on it.
    removed_while_needed,
    /// A failed fsync is taken for a good one (invariant 11).
    failed_sync_ignored,
    /// What does not pass its checksum is taken for absent (invariant 12).
    rot_taken_for_absence,
    /// Reads answer what is under way as if it were committed (invariant 5).
    reads_pending,
    /// A replica that is still being filled answers strong reads (ruling 1).
    syncing_serves,
    /// A strong read looks at the lease before it reads, and not again before it replies (invariant 3).
    read_not_rechecked,
    /// Collection looks for references only (invariant 21).
    collection_ignores_pins,
    /// A node says that it has every block without having looked, so that a mover lets the old copy go (invariant 21).
    whole_unchecked,
    /// A range that differs is taken for one that agrees, and not copied.
    differing_range_overlooked,
    /// Whose link is cut is taken for dead, though its process goes on (invariant 4).
    death_guessed,
    /// A client that timed out says *failed* (invariant 6).
    timeout_is_failure,
}

impl Bugs {
    /// One bug by its name, for the command line and tests.
    pub fn named(name: &str) -> Option<Bugs> {
        let at = Bugs::names().iter().position(|known| *known == name)?;
        Some(Bugs { bits: 1 << at, blind: false })
    }
}
