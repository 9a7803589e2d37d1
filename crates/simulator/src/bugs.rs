//! Bugs that can be put into the driver on purpose, to prove that the simulator finds them.

/// Which are in. Without any, the driver is as careful as a real node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// An append counts as durable at once (invariant 11).
    pub ack_before_durable: bool,
    /// The lease counts for ever (invariants 2 and 3).
    pub lease_unchecked: bool,
    /// The lease counts from the answer, not from the request (invariant 4).
    pub lease_from_answer: bool,
    /// An epoch is adopted, and never written (invariant 1).
    pub epoch_not_persisted: bool,
    /// Remembered operations are not looked up (invariant 13).
    pub operations_forgotten: bool,
    /// A restarted process goes on as the one before (invariant 9).
    pub incarnation_reused: bool,
    /// Anybody may restart a chain (invariant 10).
    pub anyone_restarts: bool,
    /// A failed fsync is taken for a good one (invariant 11).
    pub failed_sync_ignored: bool,
    /// Reads answer what is under way as if it were committed (invariant 5).
    pub reads_pending: bool,
    /// A strong read does not look at the lease again before replying (invariant 3).
    pub read_not_rechecked: bool,
    /// A client that timed out says *failed* (invariant 6).
    pub timeout_is_failure: bool,
    /// Not a bug: only clients judge, by what they saw; no invariant is looked at. Shows what histories alone find.
    pub blind: bool,
}

impl Bugs {
    /// One bug by its name, for the command line and tests.
    pub fn named(name: &str) -> Option<Bugs> {
        let mut bugs = Bugs::default();
        let all = bugs.fields();
        let (_, field) = all.into_iter().find(|(known, _)| *known == name)?;
        *field = true;
        Some(bugs)
    }

    /// The names of all.
    pub fn names() -> Vec<&'static str> {
        Bugs::default().fields().into_iter().map(|(name, _)| name).collect()
    }

    fn fields(&mut self) -> [(&'static str, &mut bool); 11] {
        [
            ("ack_before_durable", &mut self.ack_before_durable),
            ("lease_unchecked", &mut self.lease_unchecked),
            ("lease_from_answer", &mut self.lease_from_answer),
            ("epoch_not_persisted", &mut self.epoch_not_persisted),
            ("operations_forgotten", &mut self.operations_forgotten),
            ("incarnation_reused", &mut self.incarnation_reused),
            ("anyone_restarts", &mut self.anyone_restarts),
            ("failed_sync_ignored", &mut self.failed_sync_ignored),
            ("reads_pending", &mut self.reads_pending),
            ("read_not_rechecked", &mut self.read_not_rechecked),
            ("timeout_is_failure", &mut self.timeout_is_failure),
        ]
    }
}
