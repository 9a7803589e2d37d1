//! Atoll under load, by gRPC.

use super::{Miss, Target};
use crate::cli::ServerArgs;
use crate::failure::Outcome;
use crate::session::{Chosen, Credentials, choose};
use bytes::Bytes;
use client::remote::{Options, Remote, RemoteError, TableKey};
use std::sync::Arc;
use types::{Action, Classify, Consistency, TableKind};

struct Atoll {
    remote: Remote,
    table: String,
}

/// Connections, spread over the nodes.
pub async fn connect(server: &ServerArgs, table: &str, connections: usize) -> Outcome<Vec<Arc<dyn Target>>> {
    let Chosen { addresses, cluster, token } = choose(server, &Credentials::load()?)?;
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for n in 0..connections {
        let mut turned = addresses.clone();
        turned.rotate_left(n % addresses.len().max(1));
        let remote = Remote::at(turned, cluster, Some(token.clone()), Options::default()).await?;
        if n == 0 {
            remote.create_table(table, TableKind::Strong, true).await?;
        }
        targets.push(Arc::new(Atoll { remote, table: table.to_string() }));
    }
    Ok(targets)
}

fn miss(error: RemoteError) -> Miss {
    match error.action() {
        Action::Unknown => Miss::Unknown(error.to_string()),
        _ => Miss::Failed(error.to_string()),
    }
}

#[async_trait::async_trait]
impl Target for Atoll {
    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Miss> {
        let change = self.remote.transaction(Bytes::copy_from_slice(key.as_bytes()));
        let change = change.put(self.table.as_str(), Bytes::new(), Bytes::copy_from_slice(value));
        self.remote.transact(&change).await.map(drop).map_err(miss)
    }

    async fn get(&self, key: &str) -> Result<bool, Miss> {
        let key = TableKey::new(self.table.as_str(), Bytes::copy_from_slice(key.as_bytes()), Bytes::new());
        self.remote.get(&key, Consistency::Strong).await.map(|item| item.is_some()).map_err(miss)
    }
}
