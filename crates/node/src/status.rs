//! How a node is, for whoever asks.

use crate::node::Inner;
use crate::partition::Partition;
use rpc::wire::NodeStatus;
use std::sync::Arc;
use storage::StorageEngine;
use types::{Clock, MemberState};

impl Inner {
    /// How it is.
    pub fn status(&self) -> NodeStatus {
        let me = *self.me.read();
        let layout = self.layout.borrow().clone();
        let count = |state| {
            let of = |partition: &&Arc<Partition>| partition.look(|replica, _| replica.state() == Some(state));
            self.partitions().iter().filter(of).count() as u32
        };
        let leadership = *self.coordination.leader().borrow();
        NodeStatus {
            node: me.node,
            incarnation: me.incarnation,
            leader: leadership.is_self,
            leader_id: leadership.leader,
            voters: self
                .coordination
                .members()
                .iter()
                .filter(|member| member.is_voter)
                .map(|member| member.id)
                .collect(),
            lease_valid: self.life.lock().lease().valid(self.clock.monotonic()),
            layout: layout.version,
            serving: count(MemberState::Serving),
            syncing: count(MemberState::Syncing),
            waiting: layout.chains.iter().filter(|chain| chain.members.is_empty()).count() as u32,
            blocks_missing: self.blocks.missing() as u64,
            blocks_unchecked: self.blocks.unchecked() as u64,
            blocks: self.blocks.store().count(),
            bytes_used: self.blocks.store().bytes_used()
                + self.engine.stats().log_bytes
                + self.engine.stats().tables_bytes,
            bytes_free: self.engine.free_bytes(),
            full: self.shared.room.full(),
            stopped: self.stopped(),
            coordination: self.backend.to_string(),
        }
    }
}
