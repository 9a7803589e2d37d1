//! What a bucket's managers have said of it: who may use it beside its members, and which pages of other sites. It stands
//! in the row of the bucket's name, which every request reads, and goes with the name.
//!
//! What a policy means is for who speaks S3 to say; here it is text, with the people whom it names as they were when it came:
//! somebody else who is called so later is not meant.

use super::act::Act;
use super::buckets::by_name;
use super::rows::BucketRow;
use super::{AccountError, Accounts, By, TRIES_OF_A_CHANGE, User};
use crate::accounts::BucketPlace;
use crate::accounts::shared::SharedDrive;
use crate::{DriveId, UserId};
use bytes::Bytes;
use prost::Message;

/// Bytes of all that is said of a bucket.
pub const RULES_BYTES_MAX: usize = 32 * 1024;

/// What is said of a bucket.
#[derive(Clone, PartialEq, Message)]
pub struct BucketRules {
    /// Who may do what.
    #[prost(message, optional, tag = "1")]
    pub policy: Option<BucketPolicy>,
    /// From which pages browsers may come, in order.
    #[prost(message, repeated, tag = "2")]
    pub cors: Vec<CorsRule>,
    /// What no policy may allow.
    #[prost(message, optional, tag = "3")]
    pub block: Option<PublicBlock>,
    /// Whose own drive it is; empty: it is shared.
    #[prost(bytes = "bytes", tag = "4")]
    owner: Bytes,
    /// Tags of the bucket.
    #[prost(message, repeated, tag = "5")]
    pub tags: Vec<BucketTag>,
}

/// A tag of a bucket.
#[derive(Clone, PartialEq, Message)]
pub struct BucketTag {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A policy.
#[derive(Clone, PartialEq, Message)]
pub struct BucketPolicy {
    /// As it came: JSON.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Whom it names.
    #[prost(message, repeated, tag = "2")]
    pub people: Vec<PolicyPerson>,
}

/// Somebody whom a policy names.
#[derive(Clone, PartialEq, Message)]
pub struct PolicyPerson {
    /// As it does.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "bytes", tag = "2")]
    user: Bytes,
}

/// A rule for pages of other sites.
#[derive(Clone, PartialEq, Message)]
pub struct CorsRule {
    /// What it is called; empty: nothing.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Origins, with at most one `*` each.
    #[prost(string, repeated, tag = "2")]
    pub origins: Vec<String>,
    /// Methods.
    #[prost(string, repeated, tag = "3")]
    pub methods: Vec<String>,
    /// Headers that requests may have, with at most one `*` each.
    #[prost(string, repeated, tag = "4")]
    pub headers: Vec<String>,
    /// Headers of answers that pages may see.
    #[prost(string, repeated, tag = "5")]
    pub exposed: Vec<String>,
    /// Seconds for which browsers may remember it.
    #[prost(int32, optional, tag = "6")]
    pub seconds: Option<i32>,
}

/// What S3 calls a block of public access.
#[derive(Clone, PartialEq, Message)]
pub struct PublicBlock {
    /// No access list may open it; none is offered.
    #[prost(bool, tag = "1")]
    pub block_lists: bool,
    /// None that is there counts.
    #[prost(bool, tag = "2")]
    pub ignore_lists: bool,
    /// No policy that lets everybody in is taken.
    #[prost(bool, tag = "3")]
    pub block_policy: bool,
    /// One that is there lets nobody in who is not named.
    #[prost(bool, tag = "4")]
    pub restrict: bool,
}

impl BucketPolicy {
    /// By which name it knows this person.
    pub fn name_of(&self, user: UserId) -> Option<&str> {
        self.people.iter().find(|person| person.user == user.0[..]).map(|person| person.name.as_str())
    }
}

/// Whose room is taken by what comes into a bucket.
pub enum BucketKeeper {
    /// That person's.
    Person(User),
    /// The shared drive's.
    Drive(SharedDrive),
}

impl Accounts {
    /// Whom a policy of this drive names, by the names that they have now.
    pub async fn policy_people(
        &self,
        by: impl Into<By>,
        drive: DriveId,
        names: &[String],
    ) -> Result<Vec<PolicyPerson>, AccountError> {
        let by = by.into();
        let mut people = Vec::new();
        for name in names {
            let (id, ..) = self.find_for_drive(&by, drive, name, true).await?;
            people.push(PolicyPerson { name: name.clone(), user: id.bytes() });
        }
        Ok(people)
    }

    /// Changes what is said of a bucket. Its managers may.
    pub async fn set_bucket_rules(
        &self,
        by: impl Into<By>,
        name: &str,
        action: &str,
        change: impl Fn(&mut BucketRules) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let by = by.into();
        let table = self.inner.tables.buckets;
        for _ in 0..TRIES_OF_A_CHANGE {
            let Some((version, place)) = self.bucket_row(name).await? else {
                return Err(AccountError::NotFound { what: "bucket" });
            };
            let mut rules = place.rules.clone();
            change(&mut rules)?;
            let own = place.drive == by.user.drive;
            rules.owner = if own { by.user.id.bytes() } else { Bytes::new() };
            if rules.encoded_len() > RULES_BYTES_MAX {
                return Err(AccountError::Invalid(
                    "a bucket's policy and its rules for other sites have at most 32 KiB together",
                ));
            }
            if rules == place.rules {
                return Ok(());
            }
            let mut act = Act::default().when_is(table, by_name(name), version);
            if !own {
                act = self.with_all(act, self.authority(&by.user, place.drive).await?.conditions);
            }
            let row = BucketRow { name: name.to_string(), drive: place.drive.bytes(), rules: Some(rules) };
            let line = self.line(action, &by).detail(format!("{name} ({})", place.drive));
            if self.carried_out(self.noted(act.put(table, by_name(name), &row), line).await?).await? {
                return Ok(());
            }
        }
        Err(AccountError::Conflict)
    }

    /// Whose room it takes when somebody who is no member puts something there, as a policy lets them.
    pub async fn bucket_keeper(&self, place: &BucketPlace) -> Result<BucketKeeper, AccountError> {
        match UserId::from_slice(&place.rules.owner) {
            None => Ok(BucketKeeper::Drive(self.drive_for_nobody(place.drive).await?)),
            Some(owner) => {
                let row = self.read_user(owner).await?;
                let (_, row) = row.ok_or(AccountError::NotFound { what: "bucket" })?;
                Ok(BucketKeeper::Person(row.user(owner)?))
            }
        }
    }
}
