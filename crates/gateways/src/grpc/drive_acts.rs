//! Acts in a drive, its trash, versions, jobs and search, as the API says them.

use super::GrpcState;
use super::drive::{entry, path};
use super::guard::InDrive;
use super::problems::{Explain, invalid, status};
use apps::drive::acts::BATCH_MAX;
use apps::drive::{Act, Clash, Done, Job, JobState};
use apps::{AccountError, DriveError, DriveId, DriveRole, Drives, JobId, TrashId, UserId, VersionId};
use bytes::Bytes;
use rpc::grpc::limits::CURSOR_BYTES_MAX;
use rpc::grpc::v1::{self, act::Act as Wire, act_outcome::Outcome};
use rpc::grpc::{Malformed, OWN_DRIVE, bytes16};
use std::collections::BTreeMap;
use tonic::Status;

fn bytes(id: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&id)
}

/// A token as the apps take it.
pub(super) fn cursor(token: &str) -> Result<Option<&str>, Status> {
    if token.len() > CURSOR_BYTES_MAX {
        return Err(status(DriveError::BadCursor));
    }
    Ok(Some(token).filter(|token| !token.is_empty()))
}

pub(super) fn clash_of(clash: v1::Clash) -> Clash {
    match clash {
        v1::Clash::Unspecified => Clash::Fail,
        v1::Clash::KeepBoth => Clash::KeepBoth,
        v1::Clash::Replace => Clash::Replace,
        v1::Clash::Skip => Clash::Skip,
    }
}

fn clash(clash: Clash) -> i32 {
    match clash {
        Clash::Fail => v1::Clash::Unspecified,
        Clash::KeepBoth => v1::Clash::KeepBoth,
        Clash::Replace => v1::Clash::Replace,
        Clash::Skip => v1::Clash::Skip,
    }
    .into()
}

fn only_of(bytes: &[u8]) -> Result<Option<[u8; 16]>, Malformed> {
    if bytes.is_empty() { Ok(None) } else { bytes16("an entry's id", bytes).map(Some) }
}

fn only(id: Option<[u8; 16]>) -> Bytes {
    id.map(bytes).unwrap_or_default()
}

/// `own`: the caller's drive.
fn act_of(own: DriveId, act: v1::Act) -> Result<Act, Malformed> {
    Ok(match act.act.ok_or_else(|| Malformed::new("this act is not known here"))? {
        Wire::MakeFolder(it) => Act::MakeFolder { path: it.path, parents: it.parents },
        Wire::Move(it) => Act::Move { clash: clash_of(it.clash()), only: only_of(&it.only)?, from: it.from, to: it.to },
        Wire::Copy(it) => {
            let drive = if it.from_drive.is_empty() { None } else { Some(source_of(own, &it.from_drive)?) };
            Act::Copy { drive, clash: clash_of(it.clash()), from: it.from, to: it.to }
        }
        Wire::Trash(it) => Act::Trash { only: only_of(&it.only)?, path: it.path, recursive: it.recursive },
        Wire::Remove(it) => Act::Remove { path: it.path },
        Wire::Restore(it) => Act::Restore {
            clash: clash_of(it.clash()),
            id: TrashId(bytes16("an id in the trash", &it.id)?),
            to: Some(it.to).filter(|to| !to.is_empty()),
        },
        Wire::Purge(it) => Act::Purge { id: TrashId(bytes16("an id in the trash", &it.id)?) },
        Wire::RestoreVersion(it) => {
            let only = if it.only.is_empty() { None } else { Some(VersionId(bytes16("a file's version", &it.only)?)) };
            Act::RestoreVersion { version: VersionId(bytes16("a file's version", &it.version)?), path: it.path, only }
        }
        Wire::UndoJob(it) => Act::UndoJob { id: JobId(bytes16("a job's id", &it.id)?) },
    })
}

fn source_of(own: DriveId, bytes: &[u8]) -> Result<DriveId, Malformed> {
    if bytes == OWN_DRIVE { Ok(own) } else { bytes16("a drive's id", bytes).map(DriveId) }
}

fn act(act: Act) -> v1::Act {
    let wire = match act {
        Act::MakeFolder { path, parents } => Wire::MakeFolder(v1::MakeFolderRequest { path, parents }),
        Act::Move { from, to, clash: rule, only: id } => {
            Wire::Move(v1::MoveAct { from, to, clash: clash(rule), only: only(id) })
        }
        Act::Copy { drive, from, to, clash: rule } => {
            Wire::Copy(v1::CopyAct { from, to, clash: clash(rule), from_drive: only(drive.map(|drive| drive.0)) })
        }
        Act::Trash { path, only: id, recursive } => Wire::Trash(v1::TrashAct { path, only: only(id), recursive }),
        Act::Remove { path } => Wire::Remove(v1::RemoveAct { path }),
        Act::Restore { id, to, clash: rule } => {
            Wire::Restore(v1::RestoreAct { id: bytes(id.0), to: to.unwrap_or_default(), clash: clash(rule) })
        }
        Act::Purge { id } => Wire::Purge(v1::PurgeAct { id: bytes(id.0) }),
        Act::RestoreVersion { path, version, only: current } => Wire::RestoreVersion(v1::RestoreVersionAct {
            path,
            version: bytes(version.0),
            only: only(current.map(|version| version.0)),
        }),
        Act::UndoJob { id } => Wire::UndoJob(v1::UndoJobAct { id: bytes(id.0) }),
    };
    v1::Act { act: Some(wire) }
}

fn job(job: Job) -> v1::Job {
    let state = match job.state {
        JobState::Running => v1::JobState::Running,
        JobState::Done => v1::JobState::Done,
        JobState::Failed => v1::JobState::Failed,
        JobState::Cancelled => v1::JobState::Cancelled,
    };
    v1::Job {
        id: bytes(job.id.0),
        state: state.into(),
        from: job.from,
        to: job.to,
        done: job.done,
        found: job.found,
        bytes: job.bytes,
        problem: job.problem.unwrap_or_default(),
        started_ms: job.started.0,
    }
}

fn done(done: Done) -> v1::Done {
    v1::Done {
        path: done.path.unwrap_or_default(),
        entry: done.entry.as_ref().map(entry),
        trashed: done.trashed.map(|id| bytes(id.0)).unwrap_or_default(),
        job: done.job.map(job),
        undo: done.undo.into_iter().map(act).collect(),
    }
}

impl GrpcState {
    /// The drives, for whoever asks.
    pub(super) fn drives_of(&self, place: &InDrive) -> Drives {
        self.inner.drives.for_program(place.program.clone(), place.user.id)
    }

    /// The drives, held to what may be kept there: for what may make one larger.
    pub(super) async fn drives_for(&self, place: &InDrive) -> Result<Drives, Status> {
        let (quotas, accounts) = (&self.inner.quotas, &self.inner.accounts);
        let quota = match &place.shared {
            None => quotas.of(accounts, &place.user).await,
            Some(shared) => quotas.of_drive(accounts, shared).await,
        };
        let quota = quota.map_err(status)?;
        Ok(self.drives_of(place).within(quota))
    }

    /// May the caller look at the drive that something is to be copied from?
    async fn may_copy_from(&self, place: &InDrive, drive: DriveId) -> Result<(), Status> {
        if drive == place.user.drive || drive == place.drive {
            return Ok(());
        }
        let found = self.inner.accounts.drive_for(&place.user, drive, DriveRole::View).await;
        found.map(drop).map_err(|error: AccountError| status(error))
    }

    pub(super) async fn do_acts(&self, place: &InDrive, asked: v1::DoRequest) -> Result<v1::DoReply, Status> {
        if asked.acts.is_empty() || asked.acts.len() > BATCH_MAX {
            return Err(invalid(format!("1 to {BATCH_MAX} acts can be done at once")));
        }
        let own = place.user.drive;
        let acts = asked.acts.into_iter().map(|act| act_of(own, act)).collect::<Result<Vec<_>, _>>().map_err(status)?;
        let mut sources: Vec<DriveId> = acts.iter().filter_map(Act::other_drive).collect();
        sources.sort_unstable();
        sources.dedup();
        for drive in sources {
            self.may_copy_from(place, drive).await?;
        }
        let drives = self.drives_for(place).await?;
        let mut outcomes = Vec::with_capacity(acts.len());
        for act in &acts {
            let outcome = match drives.act(place.drive, act, Some(place.user.id)).await {
                Ok(it) => {
                    drives.note_act(place.user.id, place.drive, act, &it);
                    Outcome::Done(done(it))
                }
                Err(error) => {
                    let problem = error.problem();
                    Outcome::Error(v1::ActError { code: problem.code as i32, detail: Some(problem.to_detail()) })
                }
            };
            outcomes.push(v1::ActOutcome { outcome: Some(outcome) });
        }
        Ok(v1::DoReply { outcomes })
    }

    pub(super) async fn trash_page(
        &self,
        place: &InDrive,
        asked: v1::ListTrashRequest,
    ) -> Result<v1::ListTrashReply, Status> {
        let from = cursor(&asked.page_token)?;
        let page = self.inner.drives.trash_list(place.drive, from, asked.limit).await.map_err(status)?;
        let names = self.displays(page.items.iter().filter_map(|it| it.by)).await?;
        let items = page.items.into_iter().map(|it| v1::Trashed {
            id: bytes(it.id.0),
            entry: Some(entry(&it.entry)),
            path: it.path,
            at_ms: it.at.0,
            until_ms: it.until.0,
            by: it.by.and_then(|by| names.get(&by).cloned()).unwrap_or_default(),
        });
        Ok(v1::ListTrashReply { items: items.collect(), next_page_token: page.next.unwrap_or_default() })
    }

    async fn displays(&self, of: impl IntoIterator<Item = UserId>) -> Result<BTreeMap<UserId, String>, Status> {
        self.inner.accounts.displays(of).await.map_err(status)
    }

    pub(super) async fn empty_the_trash(&self, place: &InDrive) -> Result<v1::EmptyTrashReply, Status> {
        let now = self.inner.backend.now();
        let emptied = self.drives_of(place).empty_trash(place.drive, now).await.map_err(status)?;
        Ok(v1::EmptyTrashReply { removed: emptied.removed, more: emptied.more })
    }

    pub(super) async fn all_held(&self, place: &InDrive) -> Result<v1::ListHeldReply, Status> {
        let held = self.inner.drives.held_programs(place.drive).await.map_err(status)?;
        let programs = held.into_iter().map(|it| v1::HeldProgram {
            id: it.program.id,
            program: it.program.label,
            since_ms: it.since.0,
        });
        Ok(v1::ListHeldReply { programs: programs.collect() })
    }

    pub(super) async fn versions_of(&self, place: &InDrive, at: &str) -> Result<v1::ListVersionsReply, Status> {
        let versions = self.inner.drives.versions(place.drive, path(at)?).await.map_err(status)?;
        let names = self.displays(versions.iter().filter_map(|it| it.file.by)).await?;
        let versions = versions.into_iter().map(|it| v1::FileVersion {
            version: bytes(it.file.version.0),
            size: it.file.size,
            saved_ms: it.saved.0,
            hash: Bytes::copy_from_slice(&it.file.hash),
            current: it.current,
            by: it.file.by.and_then(|by| names.get(&by).cloned()).unwrap_or_default(),
        });
        Ok(v1::ListVersionsReply { versions: versions.collect() })
    }

    pub(super) async fn drop_version(
        &self,
        place: &InDrive,
        asked: v1::RemoveVersionRequest,
    ) -> Result<v1::Empty, Status> {
        let version = VersionId(bytes16("a file's version", &asked.version).map_err(status)?);
        self.drives_of(place).remove_version(place.drive, path(&asked.path)?, version).await.map_err(status)?;
        Ok(v1::Empty {})
    }

    pub(super) async fn all_jobs(&self, place: &InDrive) -> Result<v1::ListJobsReply, Status> {
        let jobs = self.inner.drives.jobs(place.drive).await.map_err(status)?;
        Ok(v1::ListJobsReply { jobs: jobs.into_iter().map(job).collect() })
    }

    pub(super) async fn one_job(&self, place: &InDrive, id: &[u8], cancel: bool) -> Result<v1::Job, Status> {
        let id = JobId(bytes16("a job's id", id).map_err(status)?);
        let found = match cancel {
            true => self.inner.drives.cancel_job(place.drive, id).await,
            false => self.inner.drives.job(place.drive, id).await,
        };
        Ok(job(found.map_err(status)?))
    }

    pub(super) async fn find(&self, place: &InDrive, asked: v1::SearchRequest) -> Result<v1::SearchReply, Status> {
        let from = cursor(&asked.page_token)?;
        let drives = &self.inner.drives;
        let page = drives.search(place.drive, &asked.text, asked.anywhere, from, asked.limit).await.map_err(status)?;
        let found = page.items.into_iter().map(|it| v1::Found {
            path: it.path,
            entry: Some(entry(&it.entry)),
            passage: Vec::new(),
        });
        Ok(v1::SearchReply { found: found.collect(), next_page_token: page.next.unwrap_or_default() })
    }

    pub(super) async fn find_words(
        &self,
        place: &InDrive,
        asked: v1::FindTextRequest,
    ) -> Result<v1::SearchReply, Status> {
        let from = cursor(&asked.page_token)?;
        let page = self.inner.drives.find_text(place.drive, &asked.text, from, asked.limit).await.map_err(status)?;
        let found = page.items.into_iter().map(|it| v1::Found {
            path: it.path,
            entry: Some(entry(&it.entry)),
            passage: it.passage.into_iter().map(|piece| v1::Passage { text: piece.text, hit: piece.hit }).collect(),
        });
        Ok(v1::SearchReply { found: found.collect(), next_page_token: page.next.unwrap_or_default() })
    }
}
