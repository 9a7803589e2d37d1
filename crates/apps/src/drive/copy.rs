//! Copying. Of a file: a new entry, a new content of the same blocks. No bytes are
//! read or written; the copy has references of its own before it has an entry. What takes long is a [job](super::jobs).

use super::brake::LateBrake;
use super::change::{Change, Commit};
use super::jobs::is_long;
use super::path::{NAMES_MAX, numbered};
use super::put::{Before, Put};
use super::tries::Tries;
use super::walk::Step;
use super::{
    Clash, DriveError, DrivePath, Drives, Entry, EntryKind, FolderInfo, Job, NewFile, PutCondition, RenameCondition,
};
use crate::{DriveId, FolderId, UserId, VersionId};

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

/// A copy to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copying {
    /// From which drive.
    pub source: DriveId,
    /// What.
    pub from: DrivePath,
    /// The copy's path.
    pub to: DrivePath,
    /// If something is there.
    pub over: Over,
    /// Only if this file or folder is there, by its id or the version of its content.
    pub only: Option<[u8; 16]>,
    /// Who copies it.
    pub by: Option<UserId>,
    /// What they showed of their locks, if the copy is to keep out of others'.
    pub tokens: Option<Vec<String>>,
}

/// What becomes of what is where a copy is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// By the rule for names that are taken.
    Rule(Clash),
    /// A file: this content becomes an earlier version of what is copied; no other does.
    Version(VersionId),
    /// This file or folder goes to the trash, by its id or the version of its content; nothing else does.
    Trash([u8; 16]),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// A file was copied.
    File(FileCopied),
    /// This job does it.
    Begun(Job),
}

impl Copying {
    /// Of what is in that drive, where nothing is yet.
    pub fn new(source: DriveId, from: DrivePath, to: DrivePath) -> Copying {
        Copying { source, from, to, over: Over::Rule(Clash::Fail), only: None, by: None, tokens: None }
    }
}

impl Over {
    /// When a put may take place that does the same; none: no put does.
    fn put_condition(self) -> Option<PutCondition> {
        match self {
            Over::Rule(Clash::Replace) => Some(PutCondition::Replace),
            Over::Rule(_) => Some(PutCondition::CreateNew),
            Over::Version(version) => Some(PutCondition::ReplaceIfVersion(version)),
            Over::Trash(_) => None,
        }
    }
}

impl Drives {
    /// Copies a file, or begins to copy a folder or a very large file, or what has to wait until something else is in the
    /// trash; the job's first step is done by [`Drives::spawn_job`]. None: it was left out by the rule for names that are taken.
    pub async fn copy(&self, drive: DriveId, asked: &Copying) -> Result<Option<Copied>, DriveError> {
        let source = self.stat(asked.source, &asked.from.to_string()).await?;
        source.must_be(asked.only, &asked.from)?;
        let at_once = asked.over.put_condition().filter(|_| !source.is_folder() && !is_long(source.size()));
        if let Some(condition) = at_once {
            return Ok(self.copy_at_once(drive, asked, condition).await?.map(Copied::File));
        }
        match self.begin_copying(drive, asked).await {
            Err(DriveError::Exists { .. }) if asked.over == Over::Rule(Clash::Skip) => Ok(None),
            begun => Ok(Some(Copied::Begun(begun?))),
        }
    }

    /// Copies a folder without what is in it, in one transaction.
    pub async fn copy_folder_alone(
        &self,
        drive: DriveId,
        from: &DrivePath,
        to: &DrivePath,
        condition: RenameCondition,
        by: Option<UserId>,
    ) -> Result<Entry, DriveError> {
        let Some(name) = to.name() else { return Err(DriveError::Exists { path: to.to_string() }) };
        let mut tries = Tries::at(to);
        let mut brake = LateBrake::default();
        loop {
            let walks = self.walk_all(drive, &[from, to]).await?;
            let [source, target] = &walks[..] else { return Err(DriveError::Conflict { path: to.to_string() }) };
            source.folder()?;
            let (parent, ancestors) = target.parent()?;
            let mut change = Change::new(self, drive);
            change.require_locks(self);
            change.require_steps(source.steps());
            change.require_steps(ancestors);
            let now = self.now();
            let kind = EntryKind::Folder(FolderInfo::new(FolderId::random()));
            let mut entry = Entry { name: name.to_string(), created: now, modified: now, properties: false, kind };
            if let Some(step) = source.found()
                && let Some(row) = self.require_properties(drive, &step.entry, &mut change).await?
            {
                entry.properties = true;
                change.put_properties(self, &entry, row);
            }
            let mut braked = None;
            match target.found() {
                None => condition.check_nothing(&mut change, parent, to)?,
                Some(there) => {
                    condition.check(&entry, &there.entry, to)?;
                    if there.entry.folder().is_some_and(|folder| source.passes(folder.id)) {
                        return Err(DriveError::Cycle { from: from.to_string(), to: to.to_string() });
                    }
                    braked = brake.require(self, drive, &mut change).await?;
                    change.make_room(self, target, to, by)?;
                }
            }
            change.raise(ancestors, Some(0))?;
            change.put_entry(parent, &entry);
            change.count_entries(parent, 1);
            match change.commit(self.store(), to).await? {
                Commit::Done(_) => {
                    brake.count();
                    return Ok(entry);
                }
                Commit::Lost(at) if Some(at) == braked => brake.look().await?,
                Commit::Lost(_) => tries.lost(self.store()).await?,
            }
        }
    }

    /// Copies a file; none: it was left out by the rule for names that are taken.
    pub async fn copy_file(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        clash: Clash,
        by: Option<UserId>,
    ) -> Result<Option<FileCopied>, DriveError> {
        let asked = Copying {
            over: Over::Rule(clash),
            by,
            ..Copying::new(drive, DrivePath::parse(from)?, DrivePath::parse(to)?)
        };
        let condition = asked.over.put_condition().unwrap_or_default();
        self.copy_at_once(drive, &asked, condition).await
    }

    /// The same, at once, whatever its size.
    async fn copy_at_once(
        &self,
        drive: DriveId,
        asked: &Copying,
        condition: PutCondition,
    ) -> Result<Option<FileCopied>, DriveError> {
        let (Some(folder), Some(name)) = (asked.to.parent(), asked.to.name()) else {
            return Err(DriveError::Exists { path: asked.to.to_string() });
        };
        if asked.source == drive && asked.from == asked.to && condition != PutCondition::CreateNew {
            return Err(DriveError::Invalid("a file cannot be replaced by itself".into()));
        }
        let mut number = 1;
        loop {
            let open = self.open(asked.source, &asked.from.to_string()).await?;
            open.entry.must_be(asked.only, &asked.from)?;
            let place = folder.join(&numbered(name, number))?;
            let new = NewFile {
                mtime: Some(open.file.mtime),
                media_type: open.file.media_type.clone(),
                // Of the same bytes.
                etag: Some(open.file.etag.clone()),
                version: VersionId::random(),
                by: asked.by,
            };
            let mut put = Put::new(drive, place.clone(), open.content, new, condition.clone())?;
            put.composed = open.file.composed;
            put.about = self.about_copy(asked.source, open.file.version).await?;
            put.source = Some((asked.source, asked.from.clone(), open.file.version));
            match (self.put_or_release(&put).await, asked.over) {
                (Err(DriveError::Exists { .. }), Over::Rule(Clash::KeepBoth)) if number < NAMES_MAX => number += 1,
                (Err(DriveError::Exists { .. }), Over::Rule(Clash::Skip)) => return Ok(None),
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
