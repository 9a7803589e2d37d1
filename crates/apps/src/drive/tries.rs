//! How often, and how fast, an act is tried again that lost to others.

use super::{DriveError, DrivePath};
use crate::store::Store;
use rand::Rng;
use std::time::Duration;

/// Tries of one act. Each loss means that someone else succeeded, so the drive
/// as a whole moves on even where one act gives up.
pub(super) const TRIES_MAX: u32 = 16;
const PAUSE_MAX: Duration = Duration::from_millis(200);

pub(super) struct Tries {
    path: DrivePath,
    lost: u32,
}

impl Tries {
    pub(super) fn at(path: &DrivePath) -> Tries {
        Tries { path: path.clone(), lost: 0 }
    }

    /// After a loss: waits a little, longer each time, or gives up.
    pub(super) async fn lost(&mut self, store: &dyn Store) -> Result<(), DriveError> {
        self.lost += 1;
        if self.lost >= TRIES_MAX {
            return Err(DriveError::Conflict { path: self.path.to_string() });
        }
        let most = PAUSE_MAX.min(Duration::from_millis(1 << self.lost.min(10)));
        let pause = rand::rng().random_range(Duration::ZERO..=most);
        store.pause(pause).await;
        Ok(())
    }
}
