//! What drives keep for an account that goes.

use crate::accounts::{Estate, Kept};
use crate::drive::JobState;
use crate::drive::objects::{ObjectCondition, ObjectKey};
use crate::{DriveError, DriveId, Drives, UserId};
use async_trait::async_trait;
use client::ClientError;
use std::fmt;
use types::{Action, Classify};

/// Entries taken away in one go; the rest is asked for again.
const CLEARED_MAX: usize = 2000;
/// Entries read at a time.
const PAGE: u32 = 200;

/// One go at clearing a drive.
#[derive(Default)]
struct Clearing {
    cleared: usize,
    /// Something could not be taken away yet.
    left: bool,
}

impl Clearing {
    /// One that cannot be taken away does not keep the others. Where the store itself does not answer, none can be.
    fn step<T>(
        &mut self,
        drive: DriveId,
        what: impl fmt::Display,
        done: Result<T, DriveError>,
    ) -> Result<(), ClientError> {
        match done {
            Ok(_)
            | Err(
                DriveError::NotFound { .. }
                | DriveError::NotInTrash
                | DriveError::NoSuchJob
                | DriveError::NoSuchLink
                | DriveError::NoSuchUpload { .. },
            ) => {
                self.cleared += 1;
                Ok(())
            }
            Err(DriveError::Client(error)) if error.action() != Action::Rejected => Err(error),
            Err(error) => {
                tracing::warn!(%drive, what = %what, %error, "something of an account that has gone is left for later");
                self.left = true;
                Ok(())
            }
        }
    }

    /// The rest is for the next go.
    fn enough(&mut self) -> bool {
        let enough = self.cleared >= CLEARED_MAX;
        self.left |= enough;
        enough
    }
}

impl Drives {
    /// Whoever has one would find a drive that nobody owns.
    async fn clear_links(&self, drive: DriveId, clearing: &mut Clearing) -> Result<(), DriveError> {
        for id in self.link_ids(drive).await? {
            clearing.step(drive, id, self.revoke_link(drive, id).await.map(drop))?;
        }
        Ok(())
    }

    /// Copies that are under way would hang themselves into a drive that nobody owns.
    async fn clear_jobs(&self, drive: DriveId, clearing: &mut Clearing) -> Result<(), DriveError> {
        for job in self.jobs(drive).await?.into_iter().filter(|job| job.state == JobState::Running) {
            let cancelled = self.cancel_job(drive, job.id).await;
            // One of a newer release is left to whoever knows how to stop it.
            clearing.left |= cancelled.as_ref().is_ok_and(|job| job.state == JobState::Running);
            clearing.step(drive, job.id, cancelled)?;
        }
        Ok(())
    }

    /// Each entry at the top goes with all that is in it; content is left to the sweeper.
    async fn clear_tree(&self, drive: DriveId, clearing: &mut Clearing) -> Result<(), DriveError> {
        let mut cursor = None;
        while !clearing.enough() {
            let page = self.list(drive, "/", cursor.as_deref(), PAGE).await?;
            for entry in page.items {
                let path = format!("/{}", entry.name);
                clearing.step(drive, &path, self.remove(drive, &path, true).await)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Programs that are sending parts would make objects of them.
    async fn clear_uploads(&self, drive: DriveId, clearing: &mut Clearing) -> Result<(), DriveError> {
        for (id, upload) in self.uploads(drive).await? {
            let key = ObjectKey::parse(&upload.key)?;
            clearing.step(drive, &upload.key, self.abort_upload(drive, id, &key).await)?;
        }
        Ok(())
    }

    /// Objects that are not in the tree.
    async fn clear_flat(&self, drive: DriveId, clearing: &mut Clearing) -> Result<(), DriveError> {
        let mut after = None;
        while !clearing.enough() {
            let (keys, next) = self.flat_keys(drive, after, PAGE).await?;
            for key in keys {
                clearing.step(drive, &key, self.delete_object(drive, &key, &ObjectCondition::Any).await)?;
            }
            if next.is_none() {
                break;
            }
            after = next;
        }
        Ok(())
    }

    /// What was thrown away does not wait for its time.
    async fn clear_trash(&self, drive: DriveId, clearing: &mut Clearing) -> Result<(), DriveError> {
        let mut cursor = None;
        while !clearing.enough() {
            let page = self.trash_list(drive, cursor.as_deref(), PAGE).await?;
            for trashed in page.items {
                clearing.step(drive, trashed.id, self.purge(drive, trashed.id).await)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Estate for Drives {
    async fn describe(&self, _: UserId, drive: DriveId) -> Result<Option<Kept>, ClientError> {
        match self.usage(drive).await {
            Ok(usage) => Ok(Some(usage.bytes).filter(|bytes| *bytes > 0).map(|bytes| Kept::Drive(Some(bytes)))),
            Err(DriveError::Client(error)) => Err(error),
            Err(_) => Ok(Some(Kept::Drive(None))),
        }
    }

    /// Stars and the like are the person's, the rest is the drive's.
    async fn clear(&self, user: UserId, drive: DriveId) -> Result<bool, ClientError> {
        let mut clearing = Clearing::default();
        let own = self.clear_personal(user).await;
        clearing.step(drive, "stars", own)?;
        Ok(self.clear_drive(drive).await? && !clearing.left)
    }

    /// Links, jobs and uploads first, so that none adds to what is taken away after; then objects, the tree, and the trash.
    async fn clear_drive(&self, drive: DriveId) -> Result<bool, ClientError> {
        let mut clearing = Clearing::default();
        let links = self.clear_links(drive, &mut clearing).await;
        clearing.step(drive, "links", links)?;
        let jobs = self.clear_jobs(drive, &mut clearing).await;
        clearing.step(drive, "jobs", jobs)?;
        let uploads = self.clear_uploads(drive, &mut clearing).await;
        clearing.step(drive, "uploads", uploads)?;
        let flat = self.clear_flat(drive, &mut clearing).await;
        clearing.step(drive, "objects beside the tree", flat)?;
        let tree = self.clear_tree(drive, &mut clearing).await;
        clearing.step(drive, "the tree", tree)?;
        // After the objects, of which markers may have come.
        let left = self.clear_left(drive, PAGE).await;
        clearing.left |= left.as_ref().is_ok_and(|more| *more);
        clearing.step(drive, "earlier versions", left)?;
        let trash = self.clear_trash(drive, &mut clearing).await;
        clearing.step(drive, "the trash", trash)?;
        let gathered = self.forget_gathered(drive).await;
        clearing.step(drive, "what was gathered", gathered)?;
        if !clearing.left {
            clearing.step(drive, "its rules", self.forget_rules(drive).await)?;
        }
        Ok(!clearing.left)
    }
}
