//! What each person, and each shared drive, may keep: a quota of its own, or everybody's, which is remembered for some seconds.

use crate::{AccountError, Accounts, SharedDrive, User};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How long everybody's quota counts as known.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// What is known of quotas.
#[derive(Default)]
pub struct Quotas {
    usual: Mutex<Option<(Instant, Option<u64>)>>,
    usual_drive: Mutex<Option<(Instant, Option<u64>)>>,
}

impl Quotas {
    /// Bytes that this person may keep; none: no bound.
    pub async fn of(&self, accounts: &Accounts, user: &User) -> Result<Option<u64>, AccountError> {
        if user.quota.is_some() {
            return Ok(user.quota);
        }
        if let Some((read, usual)) = *self.usual.lock()
            && read.elapsed() < KNOWN_FOR
        {
            return Ok(usual);
        }
        let (read, usual) = (Instant::now(), accounts.quota_of(user).await?);
        *self.usual.lock() = Some((read, usual));
        Ok(usual)
    }

    /// Bytes that this drive may hold; none: no bound.
    pub async fn of_drive(&self, accounts: &Accounts, drive: &SharedDrive) -> Result<Option<u64>, AccountError> {
        if drive.quota.is_some() {
            return Ok(drive.quota);
        }
        if let Some((read, usual)) = *self.usual_drive.lock()
            && read.elapsed() < KNOWN_FOR
        {
            return Ok(usual);
        }
        let (read, usual) = (Instant::now(), accounts.policy().await?.drive_quota);
        *self.usual_drive.lock() = Some((read, usual));
        Ok(usual)
    }
}
