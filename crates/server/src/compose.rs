//! The composition root: a node, its apps and its gateways, put together.
//!
//! **Owns** the order in which the parts start and stop. **Invariant**: gateways
//! take requests only once the node serves, and stop before it does.

use crate::failure::{Failure, Outcome};
use std::net::TcpListener;
use std::path::PathBuf;

/// Everything that a node needs to start. Ports are taken already.
#[derive(Debug)]
pub struct Plan {
    pub data: PathBuf,
    pub node: TcpListener,
    pub grpc: TcpListener,
    pub web: TcpListener,
    pub node_address: String,
    pub grpc_address: String,
    pub web_address: String,
    pub zone: String,
    pub capacity: u64,
    pub join: Option<String>,
    pub first_admin: Option<FirstAdmin>,
}

/// The administrator to make when there is none.
#[derive(Debug)]
pub struct FirstAdmin {
    pub name: String,
    pub password: String,
}

impl From<(String, String)> for FirstAdmin {
    fn from((name, password): (String, String)) -> FirstAdmin {
        FirstAdmin { name, password }
    }
}

/// A running node with its gateways.
pub struct Running {
    pub setup_link: Option<String>,
    pub nodes: usize,
}

/// Starts everything.
pub async fn start(plan: Plan) -> Outcome<Running> {
    drop(plan);
    Err(Failure::failed("not yet"))
}

impl Running {
    /// Ends when the node has stopped by itself.
    pub async fn failed(&self) -> Failure {
        std::future::pending().await
    }

    /// Stops cleanly.
    pub async fn stop(self) {}
}
