//! Buckets: the names by which S3 knows drives.
//!
//! A name is one drive's, in the whole cluster, and stays so until the drive goes, whatever the drive is called
//! meanwhile. A drive gets one when somebody who may use it asks for their buckets; one that is made by S3 has the name that
//! it was made with. Two rows, name to drive and drive to name, come and go in one transaction.

use super::act::Act;
use super::bucket_rules::BucketRules;
use super::rows::{BucketRow, decode};
use super::{AccountError, Accounts, EVERYONE, TRIES_OF_A_CHANGE, User};
use crate::accounts::shared::{DriveRole, SharedDrive};
use crate::{DriveId, hex};
use bytes::Bytes;
use types::{Condition, Consistency, ItemKey, Test, Version, WallMillis};

/// Characters in a bucket's name.
const NAME_MAX: usize = 63;
/// Names tried before one with a random part.
const NUMBERED_MAX: usize = 20;

/// A drive as a bucket, for somebody who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// By which S3 knows it.
    pub name: String,
    /// The drive.
    pub drive: DriveId,
    /// What they may do in it.
    pub role: DriveRole,
    /// None: it is their own drive.
    pub shared: Option<SharedDrive>,
    /// When the drive was made.
    pub made: WallMillis,
}

/// A bucket by its name, whoever asks.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketPlace {
    /// Its name.
    pub name: String,
    /// The drive.
    pub drive: DriveId,
    /// What its managers have said of it.
    pub rules: BucketRules,
}

pub(super) fn by_name(name: &str) -> Bytes {
    [b"n", name.as_bytes()].concat().into()
}

pub(super) fn by_drive(drive: DriveId) -> Bytes {
    [b"d", &drive.0[..]].concat().into()
}

/// Text as the beginning of a bucket's name.
fn slug(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(NAME_MAX) {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(NAME_MAX - 20);
    let name = name.trim_matches('-');
    match name.len() {
        0 => "drive".to_string(),
        1 | 2 => format!("{name}-drive"),
        _ if name.starts_with("xn--") => format!("drive-{name}"),
        _ => name.to_string(),
    }
}

fn candidate(text: &str, number: usize) -> String {
    match number {
        0 => slug(text),
        _ if number < NUMBERED_MAX => format!("{}-{}", slug(text), number + 1),
        _ => format!("{}-{}", slug(text), hex::encode(&rand::random::<[u8; 6]>())),
    }
}

impl Act {
    /// A drive has that name from now on, which nobody else has.
    pub(super) fn name_bucket(self, accounts: &Accounts, name: &str, drive: DriveId) -> Act {
        let table = accounts.inner.tables.buckets;
        let row = BucketRow { name: name.to_string(), drive: drive.bytes(), rules: None };
        let absent = |sort_key| Condition { table, sort_key, test: Test::Absent };
        self.when(absent(by_name(name))).when(absent(by_drive(drive))).put(table, by_name(name), &row).put(
            table,
            by_drive(drive),
            &row,
        )
    }

    /// The drive goes, and its name.
    pub(super) fn forget_bucket(self, accounts: &Accounts, drive: DriveId, name: Option<&str>) -> Act {
        let table = accounts.inner.tables.buckets;
        match name {
            Some(name) => self.delete(table, by_name(name)).delete(table, by_drive(drive)),
            // None is given to it in the meantime.
            None => self.when(Condition { table, sort_key: by_drive(drive), test: Test::Absent }),
        }
    }
}

impl Accounts {
    fn bucket_item(&self, sort_key: Bytes) -> ItemKey {
        ItemKey::new(self.inner.tables.buckets, EVERYONE, sort_key)
    }

    /// The name that a drive has already.
    pub(super) async fn bucket_name(&self, drive: DriveId) -> Result<Option<String>, AccountError> {
        let item = self.inner.store.get(&self.bucket_item(by_drive(drive)), Consistency::Strong).await?;
        item.map(|item| Ok(decode::<BucketRow>("a bucket", &item.value)?.name)).transpose()
    }

    pub(super) async fn bucket_is_taken(&self, name: &str) -> Result<bool, AccountError> {
        Ok(self.inner.store.get(&self.bucket_item(by_name(name)), Consistency::Strong).await?.is_some())
    }

    /// The buckets that somebody may use, by name. Drives without a name get one.
    pub async fn buckets_of(&self, user: &User) -> Result<Vec<Bucket>, AccountError> {
        let own = (user.drive, user.name.clone(), DriveRole::Manage, None, user.created);
        let shared = self.drives_of(user).await?.into_iter().map(|drive| {
            let role = drive.role.unwrap_or(DriveRole::View);
            (drive.id, drive.name.clone(), role, Some(drive.clone()), drive.made)
        });
        let drives: Vec<_> = std::iter::once(own).chain(shared).collect();
        let keys = drives.iter().map(|(drive, ..)| self.bucket_item(by_drive(*drive))).collect();
        let rows = self.inner.store.get_many(keys, Consistency::Strong).await?;
        let mut buckets = Vec::new();
        for ((drive, text, role, shared, made), row) in drives.into_iter().zip(rows) {
            let name = match row {
                Some(item) => decode::<BucketRow>("a bucket", &item.value)?.name,
                None => self.give_bucket_name(drive, &text).await?,
            };
            buckets.push(Bucket { name, drive, role, shared, made });
        }
        buckets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(buckets)
    }

    async fn give_bucket_name(&self, drive: DriveId, text: &str) -> Result<String, AccountError> {
        for number in 0..NUMBERED_MAX + TRIES_OF_A_CHANGE {
            if let Some(name) = self.bucket_name(drive).await? {
                return Ok(name);
            }
            let name = candidate(text, number);
            if !self.bucket_is_taken(&name).await?
                && self.carried_out(Act::default().name_bucket(self, &name, drive)).await?
            {
                return Ok(name);
            }
        }
        Err(AccountError::Conflict)
    }

    /// The bucket of that name, if somebody may use it. One that is there for others is told apart from none: names
    /// are taken for all.
    pub async fn bucket(&self, user: &User, name: &str) -> Result<Bucket, AccountError> {
        let Some(place) = self.bucket_place(name).await? else {
            // One of theirs that has no name yet may get this one.
            let all = self.buckets_of(user).await?;
            let found = all.into_iter().find(|bucket| bucket.name == name);
            return found.ok_or(AccountError::NotFound { what: "bucket" });
        };
        self.bucket_at(user, &place).await
    }

    /// The bucket of that name, if there is one.
    pub async fn bucket_place(&self, name: &str) -> Result<Option<BucketPlace>, AccountError> {
        Ok(self.bucket_row(name).await?.map(|(_, place)| place))
    }

    pub(super) async fn bucket_row(&self, name: &str) -> Result<Option<(Version, BucketPlace)>, AccountError> {
        let item = self.inner.store.get(&self.bucket_item(by_name(name)), Consistency::Strong).await?;
        let Some(item) = item else { return Ok(None) };
        let row: BucketRow = decode("a bucket", &item.value)?;
        let drive = DriveId::from_slice(&row.drive).ok_or_else(|| AccountError::Damaged("a bucket".into()))?;
        let place = BucketPlace { name: name.to_string(), drive, rules: row.rules.unwrap_or_default() };
        Ok(Some((item.version, place)))
    }

    /// The bucket there, if somebody may use it by their role.
    pub async fn bucket_at(&self, user: &User, place: &BucketPlace) -> Result<Bucket, AccountError> {
        let (name, drive) = (place.name.clone(), place.drive);
        if drive == user.drive {
            return Ok(Bucket { name, drive, role: DriveRole::Manage, shared: None, made: user.created });
        }
        match self.drive_for(user, drive, DriveRole::View).await {
            Ok(shared) => {
                let role = shared.role.unwrap_or(DriveRole::View);
                Ok(Bucket { name, drive, role, made: shared.made, shared: Some(shared) })
            }
            Err(AccountError::NotFound { .. }) => Err(AccountError::Forbidden { what: "use this bucket" }),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_makes_a_name_that_s3_takes(text in "\\PC{0,80}", number in 0usize..30) {
            let name = candidate(&text, number);
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            prop_assert!((3..=63).contains(&name.len()), "{name}");
            prop_assert!(name.bytes().all(|byte| plain(byte) || byte == b'-'), "{name}");
            prop_assert!(name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain), "{name}");
            prop_assert!(!name.starts_with("xn--"), "{name}");
        }
    }

    #[test]
    fn names_are_those_that_people_expect() {
        assert_eq!(slug("ada"), "ada");
        assert_eq!(slug("Tea club"), "tea-club");
        assert_eq!(slug("ada.l_x"), "ada-l-x");
        assert_eq!(slug("é"), "drive");
        assert_eq!(candidate("ada", 1), "ada-2");
    }
}
