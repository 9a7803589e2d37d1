//! The first node makes the cluster's place in the ensemble. Every step is harmless when it was done before.

use super::Shared;
use super::journal::{PERSISTENT, unavailable};
use super::records::Header;
use super::session::within;
use crate::codec::seal;
use crate::store::MetadataError;
use std::time::Duration;
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, MultiWriteError};

/// How long the ensemble may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// The way to the cluster's place is not its own.
const SHARED: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());

impl Shared {
    /// Makes it, unless it is there, and waits until somebody leads.
    pub(super) async fn found(&self) -> Result<(), MetadataError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tried = match self.client() {
                Ok(client) => self.make_place(&client).await,
                Err(error) => Err(error),
            };
            match tried {
                Ok(()) => break,
                Err(error @ MetadataError::Unavailable(_)) if Instant::now() < deadline => {
                    tracing::debug!(%error, "the cluster's place in ZooKeeper is not made yet");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
        let mut leadership = self.leadership.subscribe();
        let led = leadership.wait_for(|leadership| leadership.leader.is_some());
        match tokio::time::timeout_at(deadline + PATIENCE, led).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(unavailable(format!("nobody leads at {} yet", self.place))),
        }
    }

    async fn make_place(&self, client: &Client) -> Result<(), MetadataError> {
        let root = self.paths.root().to_string();
        for (end, _) in root.match_indices('/').skip(1) {
            match within(client.create(&root[..end], b"", &SHARED)).await {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(error) => return Err(self.not_made(error)),
            }
        }
        let header = Header { cluster: self.cluster, position: 0, first: 1, snapshot: None };
        let header = seal(&header).map_err(MetadataError::Invalid)?;
        // An administrator may have made the place beforehand, with other rights.
        for with_root in [true, false] {
            let made = async {
                let mut multi = client.new_multi_writer();
                if with_root {
                    multi.add_create(&root, b"", &PERSISTENT)?;
                }
                multi.add_create(&self.paths.header(), &header, &PERSISTENT)?;
                for folder in [self.paths.log(), self.paths.snapshots(), self.paths.candidates(), self.paths.lives()] {
                    multi.add_create(&folder, b"", &PERSISTENT)?;
                }
                multi.commit().await.map_err(|error: MultiWriteError| Error::from(error))
            };
            match within(made).await {
                Ok(_) => {
                    tracing::info!(place = self.place, "the cluster's place in ZooKeeper is made");
                    return Ok(());
                }
                Err(Error::NodeExists) if with_root => {}
                Err(Error::NodeExists) => break,
                Err(error) => return Err(self.not_made(error)),
            }
        }
        // By ourselves, earlier; or by another cluster.
        self.read_header(client).await.map(drop)
    }

    fn not_made(&self, error: Error) -> MetadataError {
        match error {
            Error::NoAuth => MetadataError::Invalid(format!(
                "{} may not be written: it is another cluster's, or ZooKeeper's rights forbid it",
                self.place
            )),
            other => unavailable(format!("{}: {other}", self.place)),
        }
    }
}
