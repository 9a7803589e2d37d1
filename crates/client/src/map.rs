//! The map held: the newest layout seen. An older one is ignored (invariant 24).

use std::sync::Arc;
use tokio::sync::watch;
use types::{ClusterId, Layout, LayoutVersion};

/// The newest layout seen.
pub(crate) struct Map {
    cluster: ClusterId,
    held: watch::Sender<Arc<Layout>>,
}

impl Map {
    /// Holds nothing yet.
    pub(crate) fn new(cluster: ClusterId) -> Map {
        Map { cluster, held: watch::Sender::new(Arc::default()) }
    }

    /// The layout held.
    pub(crate) fn current(&self) -> Arc<Layout> {
        self.held.borrow().clone()
    }

    /// Its version.
    pub(crate) fn version(&self) -> LayoutVersion {
        self.held.borrow().version
    }

    /// Hears of newer ones.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Layout>> {
        self.held.subscribe()
    }

    /// Takes the layout if it is of this cluster and newer than the one held. True when it was taken.
    pub(crate) fn offer(&self, layout: Layout) -> bool {
        if layout.cluster != self.cluster {
            tracing::warn!(theirs = %layout.cluster, ours = %self.cluster, "ignored the layout of another cluster");
            return false;
        }
        self.held.send_if_modified(|held| {
            if layout.version <= held.version || layout.chains.is_empty() {
                return false;
            }
            if !held.chains.is_empty() && held.chains.len() != layout.chains.len() {
                tracing::error!("ignored a layout with another number of partitions: that number never changes");
                return false;
            }
            *held = Arc::new(layout);
            true
        })
    }

    /// Waits until a newer one than `seen` is held.
    pub(crate) async fn newer_than(&self, seen: LayoutVersion) {
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = self.subscribe().wait_for(|held| held.version > seen).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::Chain;

    fn layout(version: u64, chains: usize) -> Layout {
        Layout {
            version: LayoutVersion(version),
            cluster: ClusterId(7),
            chains: vec![Chain::default(); chains],
            ..Layout::default()
        }
    }

    proptest! {
        #[test]
        fn the_map_never_goes_back(versions in proptest::collection::vec(1u64..50, 1..40)) {
            let map = Map::new(ClusterId(7));
            let mut newest = 0;
            for version in versions {
                prop_assert_eq!(map.offer(layout(version, 4)), version > newest);
                newest = newest.max(version);
                prop_assert_eq!(map.version(), LayoutVersion(newest));
            }
        }
    }

    #[test]
    fn strange_maps_are_ignored() {
        let map = Map::new(ClusterId(8));
        assert!(!map.offer(layout(1, 4)), "of another cluster");
        let map = Map::new(ClusterId(7));
        assert!(!map.offer(layout(1, 0)), "empty");
        assert!(map.offer(layout(1, 4)));
        assert!(!map.offer(layout(2, 8)), "another number of partitions");
    }
}
