//! What an administrator decides for all accounts.

use super::act::{Act, put};
use super::rows::{PolicyRow, SignUpRow, decode};
use super::{AccountError, Accounts, By, User};
use crate::UserId;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;
use types::{Consistency, ItemKey, Version};

/// The sort key.
const POLICY: Bytes = Bytes::from_static(b"policy");
/// How long the log's retention may be remembered.
const FRESH: Duration = Duration::from_secs(30);
/// Days that the log may be kept.
const AUDIT_DAYS_MAX: u32 = 3650;

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Only administrators.
    Off,
    /// And whoever has an invitation.
    Invitation,
    /// Anybody.
    Open,
}

/// What an administrator decides for all accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may make an account.
    pub sign_up: SignUp,
    /// Bytes for those who have no quota of their own; none: no bound.
    pub quota: Option<u64>,
    /// Days that the log is kept.
    pub audit_days: u32,
    /// Accounts beyond which nobody can sign up; administrators still make some.
    pub users_max: u64,
    /// Bytes for shared drives that have no quota of their own; none: no bound.
    pub drive_quota: Option<u64>,
    /// Shared drives that somebody may manage and still make another; 0: administrators alone make them.
    pub drives_max: u32,
}

/// [`Policy::drives_max`], where nobody decided.
const DRIVES_USUAL: u32 = 20;

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            sign_up: SignUp::Invitation,
            quota: None,
            audit_days: 180,
            users_max: 10_000,
            drive_quota: None,
            drives_max: DRIVES_USUAL,
        }
    }
}

impl SignUp {
    /// `off`, `invitation` or `open`.
    pub fn as_str(self) -> &'static str {
        match self {
            SignUp::Off => "off",
            SignUp::Invitation => "invitation",
            SignUp::Open => "open",
        }
    }
}

impl std::str::FromStr for SignUp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SignUp, Self::Err> {
        match text {
            "off" => Ok(SignUp::Off),
            "invitation" => Ok(SignUp::Invitation),
            "open" => Ok(SignUp::Open),
            _ => Err("sign-up is off, invitation or open"),
        }
    }
}

impl Accounts {
    /// What holds now.
    pub async fn policy(&self) -> Result<Policy, AccountError> {
        Ok(self.read_policy().await?.1)
    }

    pub(super) async fn read_policy(&self) -> Result<(Option<Version>, Policy), AccountError> {
        let key = ItemKey::new(self.inner.tables.policy, super::EVERYONE, POLICY);
        let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else {
            return Ok((None, Policy::default()));
        };
        let row: PolicyRow = decode("the policy", &item.value)?;
        let sign_up = match row.sign_up() {
            SignUpRow::Off => SignUp::Off,
            SignUpRow::Invitation => SignUp::Invitation,
            SignUpRow::Open => SignUp::Open,
        };
        let policy = Policy {
            sign_up,
            quota: row.quota,
            audit_days: row.audit_days,
            users_max: row.users_max,
            // By a release that knew no shared drives: nobody escapes the quota by making one.
            drive_quota: if row.drives_max.is_none() { row.quota } else { row.drive_quota },
            drives_max: row.drives_max.unwrap_or(DRIVES_USUAL),
        };
        Ok((Some(item.version), policy))
    }

    /// The policy as it is, as a condition of what rests on it.
    pub(super) fn when_policy(&self, act: Act, version: Option<Version>) -> Act {
        match version {
            Some(version) => act.when_is(self.inner.tables.policy, POLICY, version),
            None => act.when(types::Condition {
                table: self.inner.tables.policy,
                sort_key: POLICY,
                test: types::Test::Absent,
            }),
        }
    }

    /// Decides anew. Only an administrator may.
    pub async fn set_policy(&self, by: impl Into<By>, policy: Policy) -> Result<(), AccountError> {
        let by = by.into();
        if policy.audit_days == 0 || policy.audit_days > AUDIT_DAYS_MAX {
            return Err(AccountError::Invalid("the log is kept for 1 to 3650 days"));
        }
        let row = PolicyRow {
            sign_up: match policy.sign_up {
                SignUp::Off => SignUpRow::Off,
                SignUp::Invitation => SignUpRow::Invitation,
                SignUp::Open => SignUpRow::Open,
            } as i32,
            quota: policy.quota,
            audit_days: policy.audit_days,
            users_max: policy.users_max,
            drive_quota: policy.drive_quota,
            drives_max: Some(policy.drives_max),
        };
        let said = |quota: Option<u64>| quota.map_or("none".to_string(), |bytes| bytes.to_string());
        let (quota, drive_quota) = (said(policy.quota), said(policy.drive_quota));
        let Policy { users_max, audit_days, sign_up, drives_max, .. } = &policy;
        let sign_up = sign_up.as_str();
        let detail = format!(
            "sign-up {sign_up}, quota {quota}, up to {users_max} accounts, log {audit_days} days, \
             up to {drives_max} drives each, quota of a drive {drive_quota}"
        );
        let line = self.line("policy", &by).detail(detail);
        for _ in 0..super::TRIES_OF_A_CHANGE {
            let allowed = self.require_administrator(&by.user, "change the settings").await?;
            let act = Act::default().when(allowed).update(put(self.inner.tables.policy, POLICY, &row, None));
            if self.carried_out(self.noted(act, line.clone()).await?).await? {
                *self.inner.audit_days.lock() = None;
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// How long the log is kept, as far as this node has heard.
    pub(super) async fn audit_days(&self) -> Result<u32, AccountError> {
        if let Some((days, read)) = *self.inner.audit_days.lock()
            && read.elapsed() < FRESH
        {
            return Ok(days);
        }
        let (read, days) = (Instant::now(), self.policy().await?.audit_days);
        *self.inner.audit_days.lock() = Some((days, read));
        Ok(days)
    }

    /// Bytes that this user may keep, as it stands now; none: no bound. For the drive to ask.
    pub async fn quota(&self, user: UserId) -> Result<Option<u64>, AccountError> {
        let (_, row) = self.read_user(user).await?.ok_or(AccountError::NotSignedIn)?;
        match row.quota {
            Some(bytes) => Ok(Some(bytes)),
            None => Ok(self.policy().await?.quota),
        }
    }

    /// The same, of a user who was just read.
    pub async fn quota_of(&self, user: &User) -> Result<Option<u64>, AccountError> {
        match user.quota {
            Some(bytes) => Ok(Some(bytes)),
            None => Ok(self.policy().await?.quota),
        }
    }
}
