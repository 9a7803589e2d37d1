//! Copying files: a new entry, a new content of the same blocks. No bytes are
//! read or written; the copy has references of its own before it has an entry.

use super::path::{NAMES_MAX, numbered};
use super::put::{Before, Put};
use super::walk::Step;
use super::{Clash, DriveError, DrivePath, Drives, Entry, NewFile, PutCondition};
use crate::{DriveId, UserId, VersionId};

/// A file that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCopied {
    /// Where the copy is.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// What was there.
    pub before: Before,
}

impl Drives {
    /// Copies a file; none: it was left out by the rule for names that are taken.
    pub async fn copy_file(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        clash: Clash,
        by: Option<UserId>,
    ) -> Result<Option<FileCopied>, DriveError> {
        self.copy_file_of(drive, drive, from, to, clash, by).await
    }

    /// The same, of a file in another drive, perhaps.
    pub async fn copy_file_of(
        &self,
        source_drive: DriveId,
        drive: DriveId,
        from: &str,
        to: &str,
        clash: Clash,
        by: Option<UserId>,
    ) -> Result<Option<FileCopied>, DriveError> {
        let (source, to) = (DrivePath::parse(from)?, DrivePath::parse(to)?);
        let (Some(folder), Some(name)) = (to.parent(), to.name()) else {
            return Err(DriveError::Exists { path: to.to_string() });
        };
        if source_drive == drive && source == to && clash == Clash::Replace {
            return Err(DriveError::Invalid("a file cannot be replaced by itself".into()));
        }
        let mut number = 1;
        loop {
            let open = self.open(source_drive, from).await?;
            let place = folder.join(&numbered(name, number))?;
            let new = NewFile {
                mtime: Some(open.file.mtime),
                media_type: open.file.media_type.clone(),
                // Of the same bytes.
                etag: Some(open.file.etag.clone()),
                version: VersionId::random(),
                by,
            };
            let condition = if clash == Clash::Replace { PutCondition::Replace } else { PutCondition::CreateNew };
            let mut put = Put::new(drive, place.clone(), open.content, new, condition)?;
            put.composed = open.file.composed;
            put.about = self.about(source_drive, open.file.version).await?;
            put.source = Some((source_drive, source.clone(), open.file.version));
            match (self.put_or_release(&put).await, clash) {
                (Err(DriveError::Exists { .. }), Clash::KeepBoth) if number < NAMES_MAX => number += 1,
                (Err(DriveError::Exists { .. }), Clash::Skip) => return Ok(None),
                (result, _) => {
                    let put = result?;
                    return Ok(Some(FileCopied { path: place.to_string(), entry: put.entry, before: put.before }));
                }
            }
        }
    }

    /// The entry of the file that is copied, as it is now.
    pub(super) async fn source_of(
        &self,
        (drive, path, version): &(DriveId, DrivePath, VersionId),
    ) -> Result<Step, DriveError> {
        let step = self.walk(*drive, path).await?.required()?.clone();
        match step.entry.file() {
            Some(file) if file.version == *version => Ok(step),
            _ => Err(DriveError::Changed { path: path.to_string() }),
        }
    }
}
