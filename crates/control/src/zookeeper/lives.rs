//! Leases: each life is a znode that its node writes again and again. The writing succeeds only while the
//! znode is there; the leader deletes it, in the same multi-operation as the batch that says that the life is
//! over, and only at the version that it has seen for longer than a lease.

use super::journal::{PERSISTENT, unavailable};
use super::session::{OPERATION, within};
use super::{Shared, ZooKeeperNode};
use crate::store::{Batch, Committed, LifeChange, Lives, MetadataError, Renewal};
use async_trait::async_trait;
use std::time::{Duration, Instant};
use types::ReplicaId;
use zookeeper_client::{Client, Error, MultiWriter};

/// One life's part in a multi-operation.
pub(super) enum LifeOperation {
    Create(String),
    Delete(String, Option<i32>),
}

impl LifeOperation {
    pub(super) fn add(&self, multi: &mut MultiWriter<'_>) -> Result<(), Error> {
        match self {
            LifeOperation::Create(path) => multi.add_create(path, b"0", &PERSISTENT),
            LifeOperation::Delete(path, version) => multi.add_delete(path, *version),
        }
    }

    /// As it is called in an error.
    pub(super) fn key(&self) -> String {
        let (LifeOperation::Create(path) | LifeOperation::Delete(path, _)) = self;
        path.clone()
    }
}

impl Shared {
    /// What these changes are in ZooKeeper: a life that is to end and is not there has ended.
    pub(super) async fn life_operations(
        &self,
        client: &Client,
        changes: &[LifeChange],
    ) -> Result<Vec<LifeOperation>, MetadataError> {
        let mut operations = Vec::new();
        for change in changes {
            match *change {
                LifeChange::Begin(life) => operations.push(LifeOperation::Create(self.paths.life(life))),
                LifeChange::EndUnrenewed(life, number) => {
                    operations.push(LifeOperation::Delete(self.paths.life(life), Some(number)));
                }
                LifeChange::End(life) => {
                    let path = self.paths.life(life);
                    if within(client.check_stat(&path)).await.map_err(unavailable)?.is_some() {
                        operations.push(LifeOperation::Delete(path, None));
                    }
                }
            }
        }
        Ok(operations)
    }
}

#[async_trait]
impl Lives for ZooKeeperNode {
    async fn renew(&self, life: ReplicaId, lease: Duration) -> Result<bool, MetadataError> {
        let client = self.shared.client()?;
        let millis = lease.as_millis().to_string();
        let begun = Instant::now();
        let path = self.shared.paths.life(life);
        let writing = client.set_data(&path, millis.as_bytes(), None);
        let written = tokio::time::timeout(OPERATION.min(lease / 2), writing).await.unwrap_or(Err(Error::Timeout));
        self.shared.pace.took(begun.elapsed());
        match written {
            Ok(_) => Ok(true),
            Err(Error::NoNode) => Ok(false),
            Err(error) => Err(unavailable(format!("{}: {error}", self.shared.place))),
        }
    }

    async fn look(&self, lives: &[ReplicaId]) -> Result<Vec<Option<Renewal>>, MetadataError> {
        let client = self.shared.client()?;
        let looks = lives.iter().map(|life| {
            let (client, path) = (&client, self.shared.paths.life(*life));
            async move {
                match within(client.get_data(&path)).await {
                    Ok((data, stat)) => {
                        let millis = std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok());
                        // What cannot be read may have been meant for as long as that.
                        let lease = Duration::from_millis(millis.unwrap_or(60_000));
                        Ok(Some(Renewal { number: stat.version, lease }))
                    }
                    Err(Error::NoNode) => Ok(None),
                    Err(error) => Err(unavailable(error)),
                }
            }
        });
        futures::future::join_all(looks).await.into_iter().collect()
    }

    async fn commit(&self, batch: Batch, changes: &[LifeChange]) -> Result<Committed, MetadataError> {
        self.shared.commit(batch, changes).await
    }
}
