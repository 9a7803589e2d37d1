//! Can a gateway serve? The same answer for `/health`, for gRPC's hello and in the metrics.

use client::NodeStatus;
use std::sync::Arc;

/// A lease is the leader's word, heard a moment ago: without one, the node does not know of a majority.
const NO_LEASE: &str = "this node has no lease: most of the cluster's voters (or of its ZooKeeper's servers) are away, or it cannot reach them";

/// How the gateway is, as whoever composed it knows.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Requests can be answered here.
    pub ready: bool,
    /// If not, why.
    pub why: Option<String>,
    /// Of the node that it is on.
    pub node: Option<NodeStatus>,
}

impl Health {
    /// The usual judgement of a node: its lease is valid and its disk works. What
    /// it does not hold itself, the client fetches from others.
    pub fn of_node(status: NodeStatus) -> Health {
        let why = match &status.stopped {
            Some(why) => Some(format!("storage failed: {why}")),
            None if !status.lease_valid => Some(NO_LEASE.to_string()),
            None => None,
        };
        Health { ready: why.is_none(), why, node: Some(status) }
    }
}

/// Tells at any time how the gateway is; must answer at once.
pub type HealthCheck = Arc<dyn Fn() -> Health + Send + Sync>;
