//! The map, as this node's copy of the metadata has it, taken up by its replicas; and where its members are, kept.

use crate::node::Inner;
use control::controller::keys;
use std::sync::Arc;
use types::Layout;

/// Takes up new maps as the metadata changes.
pub(crate) async fn follow(inner: Arc<Inner>) {
    let mut revision = inner.coordination.watch();
    loop {
        revision.borrow_and_update();
        inner.adopt_layout();
        if revision.changed().await.is_err() {
            return;
        }
    }
}

impl Inner {
    /// Takes up what this node's copy of the metadata says, if it is newer.
    pub fn adopt_layout(&self) {
        let all = self.coordination.local_range("");
        if let Some(members) = keys::members(&all) {
            self.credentials.keys.set_members(members);
        }
        let Some(layout) = keys::layout(&all) else { return };
        let newer = self.layout_sender.send_if_modified(|old| {
            // Invariant 24: an older map changes nothing.
            let newer = layout.version > old.version;
            if newer {
                *old = Arc::new(layout.clone());
            }
            newer
        });
        if newer {
            for (partition, chain) in self.partitions().iter().zip(&layout.chains) {
                let before = partition.look(|replica, _| replica.progress().epoch);
                partition.step(|replica, env, _, out| replica.adopt(env, chain, out));
                if chain.epoch > before {
                    self.blocks.scan(partition.id);
                }
            }
            self.remember_members(&layout);
        }
    }

    /// Whoever comes back to this folder finds the cluster by them, whether this process runs or not.
    fn remember_members(&self, layout: &Layout) {
        // At the address that it had before, this node is reached no more.
        let others = layout.nodes.values().filter(|node| node.id != self.id());
        let others = others.map(|node| node.address.clone()).collect();
        let mut identity = self.identity.lock();
        let mut newer = identity.clone();
        if !newer.meets(&self.address, Some(others)) {
            return;
        }
        match newer.save(&self.folder) {
            Ok(()) => *identity = newer,
            // Tried again with the next map.
            Err(error) => tracing::warn!(%error, "where the members are was not kept"),
        }
    }
}
