//! What drives keep for an account that goes.

use crate::accounts::Estate;
use crate::{DriveError, DriveId, Drives, UserId};
use async_trait::async_trait;
use client::ClientError;

/// Entries taken away in one go; the rest is asked for again.
const CLEARED_MAX: usize = 2000;

#[async_trait]
impl Estate for Drives {
    async fn describe(&self, _: UserId, drive: DriveId) -> Result<String, ClientError> {
        match self.usage(drive).await {
            Ok(usage) if usage.bytes > 0 => Ok(format!("a drive with {} bytes in files", usage.bytes)),
            Ok(_) => Ok(String::new()),
            Err(DriveError::Client(error)) => Err(error),
            Err(_) => Ok("a drive".into()),
        }
    }

    /// Each entry at the top goes with all that is in it; content is left to the sweeper.
    async fn clear(&self, _: UserId, drive: DriveId) -> Result<bool, ClientError> {
        let mut cleared = 0;
        loop {
            let page = match self.list(drive, "/", None, 200).await {
                Ok(page) => page,
                Err(error) => return later(error),
            };
            if page.items.is_empty() {
                return Ok(true);
            }
            for entry in page.items {
                match self.remove(drive, &format!("/{}", entry.name), true).await {
                    Ok(_) | Err(DriveError::NotFound { .. }) => cleared += 1,
                    Err(error) => return later(error),
                }
            }
            if cleared >= CLEARED_MAX {
                return Ok(false);
            }
        }
    }
}

fn later(error: DriveError) -> Result<bool, ClientError> {
    match error {
        DriveError::Client(error) => Err(error),
        error => {
            tracing::warn!(%error, "a drive is not cleared yet");
            Ok(false)
        }
    }
}
