//! Acts as values, so that many can be asked for at once, and each can say what undoes it.

use super::copy::{Copied, Copying, FileCopied, Over};
use super::jobs::Replaced;
use super::put::Before;
use super::{Clash, DriveError, DrivePath, Drives, Entry, Job, JobState};
use crate::{DriveId, JobId, TrashId, UserId, VersionId};

/// Acts in one batch.
pub const BATCH_MAX: usize = 1000;

/// Something to be done in a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Makes a folder.
    MakeFolder {
        /// Where.
        path: String,
        /// Its parents too, and it may be there.
        parents: bool,
    },
    /// Moves or renames.
    Move {
        /// What.
        from: String,
        /// Its new path.
        to: String,
        /// If something is there.
        clash: Clash,
        /// Only if this file or folder is there: [`Entry::id`].
        only: Option<[u8; 16]>,
    },
    /// Copies a file, or begins to copy a folder or a very large file.
    Copy {
        /// From which drive; none: this one. Whoever asks for it may look at that.
        drive: Option<DriveId>,
        /// What.
        from: String,
        /// The copy's path.
        to: String,
        /// If something is there.
        clash: Clash,
    },
    /// Throws away.
    Trash {
        /// What.
        path: String,
        /// Only if this file or folder is there.
        only: Option<[u8; 16]>,
        /// A folder with everything in it; otherwise one with entries is refused.
        recursive: bool,
    },
    /// Removes a file, or a folder with everything in it, past the trash.
    Remove {
        /// What.
        path: String,
    },
    /// Brings back from the trash.
    Restore {
        /// What.
        id: TrashId,
        /// Where to; none is where it was.
        to: Option<String>,
        /// If something is there.
        clash: Clash,
    },
    /// Removes from the trash for good.
    Purge {
        /// What.
        id: TrashId,
    },
    /// Makes an earlier version the current one.
    RestoreVersion {
        /// Of what.
        path: String,
        /// Which.
        version: VersionId,
        /// Only if this version is current.
        only: Option<VersionId>,
    },
    /// Stops a job, or if it is done, throws away what it has made, wherever that is.
    UndoJob {
        /// Which.
        id: JobId,
    },
}

/// What an act did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Where what it is about is now, or was; none when nothing was done, by the rule for names that are taken.
    pub path: Option<String>,
    /// What it is about.
    pub entry: Option<Entry>,
    /// Where it is in the trash.
    pub trashed: Option<TrashId>,
    /// What goes on by itself.
    pub job: Option<Job>,
    /// Acts that undo it, in their order; empty when nothing does.
    pub undo: Vec<Act>,
}

impl Act {
    /// The drive that it copies from, if it says one.
    pub fn other_drive(&self) -> Option<DriveId> {
        match self {
            Act::Copy { drive, .. } => *drive,
            _ => None,
        }
    }
}

impl Drives {
    /// Does it.
    pub async fn act(&self, drive: DriveId, act: &Act, by: Option<UserId>) -> Result<Done, DriveError> {
        match act {
            Act::MakeFolder { path, parents } => self.act_make_folder(drive, path, *parents).await,
            Act::Move { from, to, clash, only } => {
                let Some(moved) = self.move_to(drive, from, to, *clash, *only, by).await? else {
                    return Ok(Done::default());
                };
                let back = Act::Move {
                    from: moved.path.clone(),
                    to: DrivePath::parse(from)?.to_string(),
                    clash: Clash::Fail,
                    only: Some(moved.entry.id()),
                };
                let restore = moved.replaced.map(|id| restore(id, moved.path.clone()));
                let undo = std::iter::once(back).chain(restore).collect();
                Ok(Done { path: Some(moved.path), entry: Some(moved.entry), undo, ..Done::default() })
            }
            Act::Copy { drive: source, from, to, clash } => {
                let asked = Copying {
                    over: Over::Rule(*clash),
                    by,
                    ..Copying::new(source.unwrap_or(drive), DrivePath::parse(from)?, DrivePath::parse(to)?)
                };
                self.act_copy(drive, &asked).await
            }
            Act::Trash { path, only, recursive } => {
                if !recursive && self.stat(drive, path).await?.is_folder() {
                    // Someone may put something in just now: it goes along, and comes back with it.
                    if !self.list(drive, path, None, 1).await?.items.is_empty() {
                        return Err(DriveError::NotEmpty { path: DrivePath::parse(path)?.to_string() });
                    }
                }
                let trashed = self.trash(drive, path, *only, by).await?;
                let undo = vec![Act::Restore { id: trashed.id, to: None, clash: Clash::KeepBoth }];
                let (path, entry) = (Some(trashed.path), Some(trashed.entry));
                Ok(Done { path, entry, trashed: Some(trashed.id), undo, ..Done::default() })
            }
            Act::Remove { path } => {
                let entry = self.remove(drive, path, true).await?;
                Ok(Done { path: Some(DrivePath::parse(path)?.to_string()), entry: Some(entry), ..Done::default() })
            }
            Act::Restore { id, to, clash } => {
                let restored = match self.restore(drive, *id, to.as_deref(), *clash, by).await {
                    Err(DriveError::Exists { .. }) if *clash == Clash::Skip => return Ok(Done::default()),
                    result => result?,
                };
                let again =
                    Act::Trash { path: restored.path.clone(), only: Some(restored.entry.id()), recursive: true };
                let put_back = restored.replaced.map(|id| restore(id, restored.path.clone()));
                let undo = std::iter::once(again).chain(put_back).collect();
                Ok(Done { path: Some(restored.path), entry: Some(restored.entry), undo, ..Done::default() })
            }
            Act::Purge { id } => {
                let entry = self.purge(drive, *id).await?;
                Ok(Done { path: Some(entry.name.clone()), entry: Some(entry), ..Done::default() })
            }
            Act::RestoreVersion { path, version, only } => {
                let (entry, before) = self.restore_version(drive, path, *version, *only, by).await?;
                let path = DrivePath::parse(path)?.to_string();
                let back = Act::RestoreVersion { path: path.clone(), version: before, only: Some(*version) };
                // It was the current one already: nothing to undo.
                let undo = if before == *version { Vec::new() } else { vec![back] };
                Ok(Done { path: Some(path), entry: Some(entry), undo, ..Done::default() })
            }
            Act::UndoJob { id } => self.act_undo_job(drive, *id, by).await,
        }
    }

    async fn act_make_folder(&self, drive: DriveId, path: &str, parents: bool) -> Result<Done, DriveError> {
        let place = DrivePath::parse(path)?.to_string();
        let (entry, made) = match parents {
            true => self.ensure_folders(drive, path).await?,
            false => (self.make_folder(drive, path).await?, true),
        };
        // Parents that were made stay.
        let undo = made.then(|| Act::Trash { path: place.clone(), only: Some(entry.id()), recursive: false });
        Ok(Done { path: Some(place), entry: Some(entry), undo: undo.into_iter().collect(), ..Done::default() })
    }

    async fn act_copy(&self, drive: DriveId, asked: &Copying) -> Result<Done, DriveError> {
        let (path, entry, before) = match self.copy(drive, asked).await? {
            None => return Ok(Done::default()),
            Some(Copied::File(FileCopied { path, entry, before })) => (path, entry, before),
            Some(Copied::Begun(job)) => {
                self.spawn_job(drive, job.id);
                let undo = vec![Act::UndoJob { id: job.id }];
                return Ok(Done { path: Some(job.to.clone()), job: Some(job), undo, ..Done::default() });
            }
        };
        let undo = match before {
            Before::Kept(version) => {
                let only = entry.file().map(|file| file.version);
                Some(Act::RestoreVersion { path: path.clone(), version, only })
            }
            // The file there is the person's own from before, not the copy's alone.
            Before::Gone => None,
            Before::Nothing => Some(Act::Trash { path: path.clone(), only: Some(entry.id()), recursive: true }),
        };
        let undo = undo.into_iter().collect();
        Ok(Done { path: Some(path), entry: Some(entry), undo, ..Done::default() })
    }

    async fn act_undo_job(&self, drive: DriveId, id: JobId, by: Option<UserId>) -> Result<Done, DriveError> {
        let job = self.cancel_job(drive, id).await?;
        if job.state != JobState::Done {
            return Ok(Done { path: Some(job.to.clone()), job: Some(job), ..Done::default() });
        }
        let gone = || DriveError::NotFound { path: job.to.clone() };
        let path = self.locate(drive, job.made).await?.ok_or_else(gone)?.to_string();
        let act = match job.replaced {
            Replaced::Nothing => Act::Trash { path, only: Some(job.made), recursive: true },
            Replaced::Version { version, by } => Act::RestoreVersion { path, version, only: Some(by) },
            Replaced::Forgotten => {
                return Err(DriveError::Invalid(format!(
                    "what was at {path} before was not kept: this cannot be undone"
                )));
            }
            Replaced::Trashed(id) => {
                let trashed = self.trash(drive, &path, Some(job.made), by).await?;
                let back = Box::pin(self.act(drive, &restore(id, path), by)).await?;
                let again = vec![Act::Restore { id: trashed.id, to: None, clash: Clash::KeepBoth }];
                return Ok(Done { undo: again, ..back });
            }
        };
        Box::pin(self.act(drive, &act, by)).await
    }
}

fn restore(id: TrashId, to: String) -> Act {
    Act::Restore { id, to: Some(to), clash: Clash::Fail }
}
