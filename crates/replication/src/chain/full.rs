//! Disks that are full: whoever is, or has somebody below who is, says so up the chain, and the head
//! orders nothing more that grows before anything is logged. What is ordered already is still
//! logged everywhere, from the reserve that each node keeps; so are deletes.

use super::command::{Command, Environment, Failure, Out};
use super::message::Body;
use super::replica::{REPEAT, Replica};
use std::time::Duration;
use types::{MemberState, Monotonic, NodeId, ReplicaId, Template, Transaction, Update};

/// How long it holds that a disk below is full, once that was said.
const FULL_LASTS: Duration = REPEAT.saturating_mul(10);
/// What a transaction that deletes may put beside: a note of what is to be cleaned up, a counter.
const BESIDE_DELETES: usize = 16 * 1024;

/// Whether a transaction may take more room than it gives back.
pub(super) fn grows(transaction: &Transaction) -> bool {
    let size = |template: &Template| template.len();
    let (mut puts, mut deletes) = (0, 0);
    for update in &transaction.updates {
        match update {
            Update::Put { sort_key, value, .. } => puts += 1 + size(sort_key) + size(value),
            Update::Add { sort_key, .. } => puts += 1 + sort_key.len(),
            Update::Delete { .. } => deletes += 1,
        }
    }
    puts > 0 && (deletes == 0 || puts > BESIDE_DELETES)
}

impl Replica {
    /// The neighbour below says that a disk is full.
    pub(super) fn on_full(&mut self, env: &Environment, from: ReplicaId, node: NodeId, out: &mut Vec<Command>) {
        let Some(link) = self.role.as_mut().and_then(|role| role.downstream.as_mut()) else { return };
        if link.peer == from {
            link.full = Some((node, env.now));
            self.tell_full(env, out);
        }
    }

    /// Whose disk keeps this chain from growing, as far as is known here. One that syncs holds up nobody else.
    fn full(&self, env: &Environment) -> Option<NodeId> {
        if env.full {
            return Some(self.me.node);
        }
        let link = self.role.as_ref()?.downstream.as_ref()?;
        link.full.filter(|(_, said)| link.counts && env.now - *said < FULL_LASTS).map(|(node, _)| node)
    }

    pub(super) fn check_growth(&self, env: &Environment, transaction: &Transaction) -> Result<(), Failure> {
        match self.full(env).filter(|_| grows(transaction)) {
            Some(node) => Err(Failure::NoSpace(node)),
            None => Ok(()),
        }
    }

    /// Says so to the neighbour above, not too often.
    pub(super) fn tell_full(&mut self, env: &Environment, out: &mut Vec<Command>) {
        let Some(node) = self.full(env) else { return };
        let Some(role) = &mut self.role else { return };
        let Some(upstream) = role.upstream else { return };
        if role.full_told == Monotonic(0) || env.now - role.full_told >= 2 * REPEAT {
            role.full_told = env.now;
            out.send(self.message(upstream, Body::Full { node }));
        }
    }

    /// A replica that is still being filled takes nothing more while its own disk is full: the chain
    /// does not wait for it.
    pub(super) fn declines(&self, env: &Environment) -> bool {
        env.full && self.role.as_ref().is_some_and(|role| role.state == MemberState::Syncing)
    }

    /// The neighbour below syncs, and declines.
    pub(super) fn declined(&self, env: &Environment) -> bool {
        let link = self.role.as_ref().and_then(|role| role.downstream.as_ref());
        link.is_some_and(|link| !link.counts && link.full.is_some_and(|(_, said)| env.now - said < FULL_LASTS))
    }
}
