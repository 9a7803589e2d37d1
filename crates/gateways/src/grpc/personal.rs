//! Stars, and what the caller did last, in all of their drives.

use super::GrpcState;
use super::drive::entry;
use super::problems::status;
use apps::drive::{Placed, RecentAct};
use apps::{DriveId, User};
use bytes::Bytes;
use rpc::grpc::v1;
use std::collections::HashMap;
use tonic::Status;

/// The drives that somebody may look into, by name; their own has none.
struct Reach(HashMap<DriveId, String>);

impl Reach {
    fn drives(&self) -> Vec<DriveId> {
        self.0.keys().copied().collect()
    }

    fn told(&self, user: &User, it: &Placed, at_ms: u64, act: v1::RecentAct) -> v1::Placed {
        let own = it.drive == user.drive;
        v1::Placed {
            drive: if own { Bytes::new() } else { it.drive.bytes() },
            drive_name: self.0.get(&it.drive).cloned().unwrap_or_default(),
            path: it.path.clone(),
            entry: Some(entry(&it.entry)),
            at_ms,
            act: act.into(),
        }
    }
}

impl GrpcState {
    async fn reach(&self, user: &User) -> Result<Reach, Status> {
        let shared = self.inner.accounts.drives_of(user).await.map_err(status)?;
        let shared = shared.into_iter().map(|it| (it.id, it.name));
        Ok(Reach(shared.chain([(user.drive, String::new())]).collect()))
    }

    pub(super) async fn starred(&self, user: &User) -> Result<v1::PlacedReply, Status> {
        let reach = self.reach(user).await?;
        let found = self.inner.drives.starred(user.id, &reach.drives()).await.map_err(status)?;
        let items = found.iter().map(|it| reach.told(user, &it.placed, it.since.0, v1::RecentAct::Unspecified));
        Ok(v1::PlacedReply { items: items.collect() })
    }

    pub(super) async fn recent(&self, user: &User) -> Result<v1::PlacedReply, Status> {
        let reach = self.reach(user).await?;
        let found = self.inner.drives.recent(user.id, &reach.drives()).await.map_err(status)?;
        let act = |act| match act {
            RecentAct::Opened => v1::RecentAct::Opened,
            RecentAct::Uploaded => v1::RecentAct::Uploaded,
            RecentAct::Changed => v1::RecentAct::Changed,
        };
        let items = found.iter().map(|it| reach.told(user, &it.placed, it.at.0, act(it.act)));
        Ok(v1::PlacedReply { items: items.collect() })
    }
}
