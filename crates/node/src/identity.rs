//! Who a data folder is: kept in `identity.json`, written whole, synced, then named.

use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use types::{ClusterId, Incarnation, NodeId};

/// A node's identity, for as long as its data folder lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of this format: 1.
    pub format: u32,
    /// Which cluster.
    pub cluster: ClusterId,
    /// Proves membership between nodes.
    pub key: [u8; 32],
    /// Number in the cluster.
    pub node: NodeId,
    /// Partitions of the cluster, fixed for ever.
    pub partitions: u16,
    /// The last life begun.
    pub incarnation: Incarnation,
    /// Members that were last known, to find the cluster again.
    pub contacts: Vec<String>,
    /// Its folders are marked as its own: from then on none may be missing.
    #[serde(default)]
    pub bound: bool,
}

/// Why an identity could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A folder is not the one that this identity left behind.
    #[error(
        "{folder} is not what node {node} left there: {why}. This node does not start, lest it forget what it promised; \
         the other machines' copies are safe. If the folder cannot be put back as it was, remove the whole data folder \
         and join as a new machine: `atoll cluster join-token` on a member, then `atoll up --join TOKEN` here"
    )]
    Foreign {
        /// Which folder.
        folder: PathBuf,
        /// Whose it should be.
        node: NodeId,
        /// What is wrong.
        why: String,
    },
    /// It cannot be understood.
    #[error("{path} is damaged or of another release: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

const FORMAT: u32 = 1;

impl Identity {
    /// The first node of a new cluster.
    pub fn new_cluster(partitions: u16) -> Identity {
        let mut random = rand::rng();
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        let mut id = [0; 16];
        random.fill_bytes(&mut id);
        Identity {
            format: FORMAT,
            cluster: ClusterId(u128::from_be_bytes(id)),
            key,
            node: NodeId(1),
            partitions,
            incarnation: Incarnation(0),
            contacts: Vec::new(),
            bound: false,
        }
    }

    /// A node that has just joined.
    pub fn joined(token: &crate::JoinToken, node: NodeId, partitions: u16) -> Identity {
        Identity {
            format: FORMAT,
            cluster: token.cluster,
            key: token.key,
            node,
            partitions,
            incarnation: Incarnation(0),
            contacts: token.addresses.clone(),
            bound: false,
        }
    }

    /// Reads it; none in a new folder.
    pub fn load(folder: &Path) -> Result<Option<Identity>, IdentityError> {
        let path = folder.join("identity.json");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(IdentityError::Io { path, error }),
        };
        let identity: Identity = serde_json::from_slice(&text)
            .map_err(|error| IdentityError::Unreadable { path: path.clone(), why: error.to_string() })?;
        if identity.format != FORMAT {
            let why = format!("format {} where {FORMAT} is known", identity.format);
            return Err(IdentityError::Unreadable { path, why });
        }
        Ok(Some(identity))
    }

    /// Writes it durably, readable by its owner alone.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        let path = folder.join("identity.json");
        let write = || -> std::io::Result<()> {
            use std::os::unix::fs::OpenOptionsExt;
            let fresh = folder.join("identity.json.new");
            let text = serde_json::to_vec_pretty(self)?;
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| IdentityError::Io { path: path.clone(), error })
    }
}
