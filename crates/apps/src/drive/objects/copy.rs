//! Copying objects: a new entry, a new content of the same blocks.

use super::find::OpenObject;
use super::put::{NewObject, ObjectCondition, Putting};
use super::{Object, ObjectKey};
use crate::drive::change::Change;
use crate::drive::{DriveError, Drives};
use crate::{DriveId, VersionId};
use bytes::Bytes;
use types::{Consistency, ItemKey, Test};

/// What an object is a copy of.
#[derive(Clone, Debug)]
pub struct ObjectSource {
    /// In which drive.
    pub drive: DriveId,
    /// Its key.
    pub key: ObjectKey,
    /// Its content.
    pub version: VersionId,
    /// The row that names it, where it is not the latest.
    pub earlier: Option<Bytes>,
}

impl Drives {
    /// Puts a copy of an object that was opened. No bytes are read or written. Where the source is replaced or deleted
    /// meanwhile nothing is put.
    pub async fn copy_object(
        &self,
        (drive, key): (DriveId, &ObjectKey),
        (source_drive, source): (DriveId, &OpenObject),
        new: NewObject,
        condition: ObjectCondition,
    ) -> Result<Object, DriveError> {
        let from = match source.object.version() {
            None => None,
            Some(version) => {
                let key = ObjectKey::parse(&source.object.key)?;
                Some(ObjectSource { drive: source_drive, key, version, earlier: source.earlier.clone() })
            }
        };
        let content = source.content.clone();
        self.put_or_give_up(&Putting { drive, key, content, new, condition, source: from }, &mut |_| {}).await
    }

    /// The source still names the content, so that the content had references all the time. In another drive this
    /// cannot be a condition, and need not: ours are there already.
    pub(super) async fn require_source(
        &self,
        drive: DriveId,
        source: &ObjectSource,
        change: &mut Change,
    ) -> Result<(), DriveError> {
        if let Some(row) = &source.earlier {
            let mut other = Change::new(self, source.drive);
            let rests = if source.drive == drive { change } else { &mut other };
            return self.require_earlier(source.drive, row, rests, &source.key).await;
        }
        let spot = self.spot(source.drive, &source.key).await?;
        if spot.object(&source.key).and_then(|object| object.version()) != Some(source.version) {
            return Err(DriveError::Changed { path: source.key.to_string() });
        }
        if source.drive == drive {
            spot.require(self, change, &source.key);
        }
        Ok(())
    }

    /// The row of an earlier version is there still, as a condition.
    pub(in crate::drive) async fn require_earlier(
        &self,
        drive: DriveId,
        row: &Bytes,
        change: &mut Change,
        said: &(dyn ToString + Sync),
    ) -> Result<(), DriveError> {
        match self.require_row_of_earlier(drive, row, change).await? {
            true => Ok(()),
            false => Err(DriveError::Changed { path: said.to_string() }),
        }
    }

    /// The same, for who looks again: is the row there?
    pub(super) async fn require_row_of_earlier(
        &self,
        drive: DriveId,
        row: &Bytes,
        change: &mut Change,
    ) -> Result<bool, DriveError> {
        let table = self.inner.tables.versions;
        let key = ItemKey::new(table, drive.bytes(), row.clone());
        let Some(item) = self.inner.store.get(&key, Consistency::Strong).await? else { return Ok(false) };
        change.require(table, row.clone(), Test::VersionIs(item.version));
        Ok(true)
    }
}
