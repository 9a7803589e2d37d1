//! `/health`: can this gateway serve?

use super::WebState;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use client::NodeStatus;
use serde::Serialize;
use types::{LayoutVersion, NodeId};

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
            None if !status.lease_valid => Some("the node has no lease".to_string()),
            None => None,
        };
        Health { ready: why.is_none(), why, node: Some(status) }
    }
}

/// What strangers may know.
#[derive(Serialize)]
pub(super) struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    release: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    layout: LayoutVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syncing: Option<u32>,
}

pub(super) async fn health(State(state): State<WebState>) -> (StatusCode, Json<Report>) {
    let health = (state.inner.health)();
    let node = health.node.as_ref();
    let report = Report {
        status: if health.ready { "serving" } else { "not serving" },
        why: health.why,
        release: env!("CARGO_PKG_VERSION"),
        node: node.map(|node| node.node),
        layout: state.inner.client.layout().version,
        serving: node.map(|node| node.serving),
        syncing: node.map(|node| node.syncing),
    };
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}
