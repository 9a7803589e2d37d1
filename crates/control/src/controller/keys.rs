//! The metadata's keys, and the map that is put together from them.
//!
//! Values are JSON, so that an older and a newer release can both read them; a node's holdings
//! are postcard, because they are written at every start and are of no use to another release.

use super::plan::HoldingsByNode;
use crate::store::{Pair, Range};
use rpc::ClusterKey;
use rpc::tls::{Authority, Members};
use rpc::wire::{Beginning, Holding};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use types::{Chain, ClusterId, Layout, LayoutVersion, NodeId, NodeInfo, PartitionId, TableId, TableSpec, WallMillis};

/// [`Settings`].
pub const SETTINGS: &str = "cluster";
/// [`Secrets`]: on every node's disk, and in no map.
pub const SECRETS: &str = "secrets";
/// The next node's number, as text.
pub const NEXT_NODE: &str = "next/node";
/// The next table's number, as text.
pub const NEXT_TABLE: &str = "next/table";

/// [`NodeInfo`].
pub fn node(id: NodeId) -> String {
    format!("nodes/{:08}", id.0)
}

/// [`Removal`]: that node was removed.
pub fn removed(id: NodeId) -> String {
    format!("removed/{:08}", id.0)
}

/// Postcard of `Vec<Holding>`.
pub fn holdings(id: NodeId) -> String {
    format!("holdings/{:08}", id.0)
}

/// [`TableSpec`].
pub fn table(id: TableId) -> String {
    format!("tables/{:08}", id.0)
}

/// The number of the table of that name, as text: makes names unique.
pub fn table_name(namespace: &str, name: &str) -> String {
    format!("table-names/{namespace}/{name}")
}

/// [`Chain`].
pub fn chain(partition: PartitionId) -> String {
    format!("chains/{:05}", partition.0)
}

/// [`Token`], by the hash of its secret.
pub fn token(secret_hash: &str) -> String {
    format!("tokens/{secret_hash}")
}

/// What was settled when the cluster was made, and what rises only by command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Random.
    pub cluster: ClusterId,
    /// Fixed for ever.
    pub partitions: u16,
    /// Replicas that a partition should have.
    pub replicas_wanted: u8,
    /// Durable replicas that a strong write needs.
    pub replicas_min: u8,
    /// It was set by command, and no longer rises by itself.
    #[serde(default)]
    pub replicas_min_set: bool,
    /// Which records and messages may be used.
    pub feature_level: u32,
}

/// What makes certificates, and what gateways share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Makes certificates.
    pub authority: Authority,
    /// What one gateway signs another can check.
    pub gateways: ClusterKey,
}

/// How a node came to be removed: for whoever asks later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// By the leader's clock.
    pub at: WallMillis,
    /// Who asked for it.
    pub by: String,
    /// Partitions that began again without it, given up for lost, and with whose copy.
    pub begun: Vec<Beginning>,
}

/// A join token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// By the leader's clock.
    pub expires: WallMillis,
    /// Who has used it: kept until it expires, so that a retry gets the same answer.
    pub used: Option<TokenUse>,
}

/// A machine that was admitted with a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// Hash of the nonce that it sent.
    pub nonce: String,
    /// Its number.
    pub node: NodeId,
}

/// JSON for the metadata.
pub fn encode<T: Serialize>(value: &T) -> bytes::Bytes {
    // Plain data with text keys: cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The reverse of [`encode`]; none when it cannot be read.
pub fn decode<T: DeserializeOwned>(pair: &Pair) -> Option<T> {
    serde_json::from_slice(&pair.value)
        .map_err(|error| tracing::error!(key = pair.key, %error, "metadata that this release cannot read"))
        .ok()
}

/// The map. None before the cluster is made.
pub fn layout(all: &Range) -> Option<Layout> {
    let mut layout = Layout { version: LayoutVersion(all.revision), ..Layout::default() };
    let mut made = false;
    for pair in &all.pairs {
        match pair.key.split('/').next() {
            Some(SETTINGS) => {
                let settings: Settings = decode(pair)?;
                layout.cluster = settings.cluster;
                layout.replicas_min = settings.replicas_min;
                layout.replicas_wanted = settings.replicas_wanted;
                made = true;
            }
            Some("nodes") => {
                let node: NodeInfo = decode(pair)?;
                layout.nodes.insert(node.id, node);
            }
            Some("removed") => {
                layout.removed.extend(pair.key.strip_prefix("removed/").and_then(|id| id.parse().ok()).map(NodeId));
            }
            Some("tables") => {
                let table: TableSpec = decode(pair)?;
                layout.tables.insert(table.id, table);
            }
            // Keys are in order, so chains are too.
            Some("chains") => layout.chains.push(decode::<Chain>(pair)?),
            _ => {}
        }
    }
    made.then_some(layout)
}

/// The secrets. None before the cluster is made, or heard of.
pub fn secrets(all: &Range) -> Option<Secrets> {
    decode(all.pairs.iter().find(|pair| pair.key == SECRETS)?)
}

/// Who belongs to the cluster; none before that is known.
pub fn members(all: &Range) -> Option<Members> {
    let next = all.pairs.iter().find(|pair| pair.key == NEXT_NODE)?;
    let next = NodeId(std::str::from_utf8(&next.value).ok()?.parse().ok()?);
    let id = |pair: &Pair| pair.key.strip_prefix("nodes/")?.parse().ok().map(NodeId);
    let gone = |node: &NodeId| all.pairs.iter().any(|pair| pair.key == removed(*node));
    Some(Members { nodes: all.pairs.iter().filter_map(id).filter(|node| !gone(node)).collect(), next })
}

/// What every node held when its present life began.
pub fn all_holdings(all: &Range) -> HoldingsByNode {
    all.pairs
        .iter()
        .filter_map(|pair| {
            let id = pair.key.strip_prefix("holdings/")?.parse().ok()?;
            let held: Vec<Holding> = postcard::from_bytes(&pair.value).ok()?;
            Some((NodeId(id), held.into_iter().map(|holding| (holding.partition, holding)).collect()))
        })
        .collect()
}
