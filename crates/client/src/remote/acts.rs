//! Acts in the signed-in person's drive, its trash, versions, jobs and search.

use super::call::Safety;
use super::drive::{Entry, FileVersion, service};
use super::{Remote, RemoteError, SharedDriveId};
use bytes::Bytes;
use rpc::grpc::v1::{self, act::Act as Wire, act_outcome::Outcome};
use rpc::grpc::{Malformed, OWN_DRIVE, Problem, block_hash, bytes16};
use std::time::Duration;
use tonic::Code;
use types::{BlockHash, WallMillis};

/// What an act may take beyond a usual call: each block of a file that is copied is referenced by a transaction of its own.
const EACH_ACT: Duration = Duration::from_secs(10);
/// And all acts of one call.
const ACTS_MAX: Duration = Duration::from_secs(120);

/// What to do with a name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clash {
    /// Nothing: it is an error.
    #[default]
    Fail,
    /// The newcomer gets another name.
    KeepBoth,
    /// A file there makes room: it goes to the trash, or becomes an earlier version.
    Replace,
    /// The newcomer stays where it is.
    Skip,
}

/// Something to be done. Made here, or told by [`Done::undo`].
#[derive(Clone, Debug, PartialEq)]
pub struct Act(v1::Act);

impl Act {
    fn of(wire: Wire) -> Act {
        Act(v1::Act { act: Some(wire) })
    }

    /// Moves or renames.
    pub fn rename(from: &str, to: &str, clash: Clash) -> Act {
        Act::of(Wire::Move(v1::MoveAct { from: from.into(), to: to.into(), clash: clash.wire(), only: Bytes::new() }))
    }

    /// Copies a file, or begins to copy a folder.
    pub fn copy(from: &str, to: &str, clash: Clash) -> Act {
        let from_drive = Bytes::new();
        Act::of(Wire::Copy(v1::CopyAct { from: from.into(), to: to.into(), clash: clash.wire(), from_drive }))
    }

    /// The same, from another drive: that one, or the caller's own.
    pub fn copy_from(drive: Option<SharedDriveId>, from: &str, to: &str, clash: Clash) -> Act {
        let from_drive = drive.map_or(Bytes::from_static(OWN_DRIVE), |drive| Bytes::copy_from_slice(&drive.0));
        Act::of(Wire::Copy(v1::CopyAct { from: from.into(), to: to.into(), clash: clash.wire(), from_drive }))
    }

    /// Throws away; a folder that holds something only when `recursive`.
    pub fn trash(path: &str, recursive: bool) -> Act {
        Act::of(Wire::Trash(v1::TrashAct { path: path.into(), only: Bytes::new(), recursive }))
    }

    /// Brings back, to `to` or where it was.
    pub fn restore(id: [u8; 16], to: Option<&str>, clash: Clash) -> Act {
        let to = to.unwrap_or_default().to_string();
        Act::of(Wire::Restore(v1::RestoreAct { id: Bytes::copy_from_slice(&id), to, clash: clash.wire() }))
    }

    /// Removes from the trash for good.
    pub fn purge(id: [u8; 16]) -> Act {
        Act::of(Wire::Purge(v1::PurgeAct { id: Bytes::copy_from_slice(&id) }))
    }

    /// Makes an earlier version the current one.
    pub fn restore_version(path: &str, version: FileVersion) -> Act {
        let version = Bytes::copy_from_slice(&version.0);
        Act::of(Wire::RestoreVersion(v1::RestoreVersionAct { path: path.into(), version, only: Bytes::new() }))
    }
}

impl Clash {
    fn wire(self) -> i32 {
        match self {
            Clash::Fail => v1::Clash::Unspecified,
            Clash::KeepBoth => v1::Clash::KeepBoth,
            Clash::Replace => v1::Clash::Replace,
            Clash::Skip => v1::Clash::Skip,
        }
        .into()
    }
}

/// What an act did.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Where what it is about is now, or was; none when nothing was done, because a name is taken.
    pub path: Option<String>,
    /// What it is about.
    pub entry: Option<Entry>,
    /// Its id in the trash, when it is there now.
    pub trashed: Option<[u8; 16]>,
    /// What goes on by itself.
    pub job: Option<Job>,
    /// Acts that undo it, in their order.
    pub undo: Vec<Act>,
}

/// How it is with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JobState {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// An act of many steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: [u8; 16],
    /// How it is.
    pub state: JobState,
    /// What is copied.
    pub from: String,
    /// Where to; once done, where it is.
    pub to: String,
    /// Entries copied.
    pub done: u64,
    /// Entries found so far.
    pub found: u64,
    /// Bytes of the files copied.
    pub bytes: u64,
    /// Why it failed.
    pub problem: Option<String>,
}

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// Names it while it is there.
    pub id: [u8; 16],
    /// What it is.
    pub entry: Entry,
    /// Where it was.
    pub path: String,
    /// When it was thrown away.
    pub at: WallMillis,
    /// When it goes for good.
    pub until: WallMillis,
    /// Who threw it away, if that is known.
    pub by: Option<String>,
}

/// A program that removed too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldProgram {
    /// Names it.
    pub id: String,
    /// What its owner calls it.
    pub program: String,
    /// Since when it may remove nothing.
    pub since: WallMillis,
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastVersion {
    /// Which.
    pub version: FileVersion,
    /// Bytes.
    pub size: u64,
    /// When it was put.
    pub saved: WallMillis,
    /// BLAKE3 of the content.
    pub hash: BlockHash,
    /// It is the current one.
    pub current: bool,
    /// Who put it, if that is known.
    pub by: Option<String>,
}

/// Something found by its name, or by words in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: String,
    /// What it is.
    pub entry: Entry,
    /// Where the words stand, in pieces: whether each is a word that was looked for.
    pub passage: Vec<(String, bool)>,
}

fn missing(what: &str) -> Malformed {
    Malformed::new(format!("{what} is missing"))
}

fn job(job: v1::Job) -> Result<Job, Malformed> {
    let state = match job.state() {
        v1::JobState::Running | v1::JobState::Unspecified => JobState::Running,
        v1::JobState::Done => JobState::Done,
        v1::JobState::Failed => JobState::Failed,
        v1::JobState::Cancelled => JobState::Cancelled,
    };
    Ok(Job {
        id: bytes16("a job's id", &job.id)?,
        state,
        from: job.from,
        to: job.to,
        done: job.done,
        found: job.found,
        bytes: job.bytes,
        problem: Some(job.problem).filter(|text| !text.is_empty()),
    })
}

fn done(done: v1::Done) -> Result<Done, Malformed> {
    let trashed = Some(&done.trashed).filter(|id| !id.is_empty());
    Ok(Done {
        path: Some(done.path).filter(|path| !path.is_empty()),
        entry: done.entry.map(Entry::from_wire).transpose()?,
        trashed: trashed.map(|id| bytes16("an id in the trash", id)).transpose()?,
        job: done.job.map(job).transpose()?,
        undo: done.undo.into_iter().map(Act).collect(),
    })
}

fn outcome(outcome: v1::ActOutcome) -> Result<Result<Done, RemoteError>, Malformed> {
    match outcome.outcome.ok_or_else(|| missing("an act's outcome"))? {
        Outcome::Done(it) => Ok(Ok(done(it)?)),
        Outcome::Error(error) => {
            let detail = error.detail.ok_or_else(|| missing("an error's detail"))?;
            let problem = Problem::from_detail(Code::from_i32(error.code), detail);
            Ok(Err(problem.ok_or_else(|| missing("what can be done about an error"))?.into()))
        }
    }
}

impl Remote {
    /// Does several acts, at most 1000, one after the other: what became of each.
    pub async fn act_all(&self, acts: &[Act]) -> Result<Vec<Result<Done, RemoteError>>, RemoteError> {
        let message = v1::DoRequest { acts: acts.iter().map(|act| act.0.clone()).collect() };
        let send = |channel, request| async move { service(channel).r#do(request).await };
        let allowance = (EACH_ACT * acts.len().min(1000) as u32).min(ACTS_MAX);
        let reply = self.call_lasting(allowance, Safety::Once, message, send).await?;
        if reply.outcomes.len() != acts.len() {
            return Err(missing("the outcome of an act").into());
        }
        Ok(reply.outcomes.into_iter().map(outcome).collect::<Result<_, _>>()?)
    }

    /// Does one act.
    pub async fn act(&self, act: Act) -> Result<Done, RemoteError> {
        let mut outcomes = self.act_all(&[act]).await?;
        outcomes.pop().ok_or_else(|| missing("the outcome of an act"))?
    }

    /// What is in the trash, the latest first, page by page.
    pub async fn trash(&self, page: Option<&str>) -> Result<(Vec<Trashed>, Option<String>), RemoteError> {
        let message = v1::ListTrashRequest { page_token: page.unwrap_or_default().to_string(), limit: 0 };
        let reply = self.read(message, |channel, request| async move { service(channel).list_trash(request).await });
        let reply = reply.await?;
        let items = reply.items.into_iter().map(|it| {
            Ok(Trashed {
                id: bytes16("an id in the trash", &it.id)?,
                entry: Entry::from_wire(it.entry.ok_or_else(|| missing("an entry"))?)?,
                path: it.path,
                at: WallMillis(it.at_ms),
                until: WallMillis(it.until_ms),
                by: Some(it.by).filter(|by| !by.is_empty()),
            })
        });
        let items = items.collect::<Result<_, Malformed>>()?;
        Ok((items, Some(reply.next_page_token).filter(|token| !token.is_empty())))
    }

    /// Removes everything in the trash for good: how many.
    pub async fn empty_trash(&self) -> Result<u64, RemoteError> {
        let mut removed = 0;
        loop {
            let send = |channel, request| async move { service(channel).empty_trash(request).await };
            let extra = Duration::from_secs(5);
            let reply = self.call_lasting(extra, Safety::Write, v1::EmptyTrashRequest {}, send).await?;
            removed += reply.removed;
            if !reply.more {
                return Ok(removed);
            }
        }
    }

    /// Programs that removed too much, and may remove nothing.
    pub async fn held(&self) -> Result<Vec<HeldProgram>, RemoteError> {
        let send = |channel, request| async move { service(channel).list_held(request).await };
        let programs = self.read(v1::ListHeldRequest {}, send).await?.programs.into_iter();
        let held = programs.map(|it| HeldProgram { id: it.id, program: it.program, since: WallMillis(it.since_ms) });
        Ok(held.collect())
    }

    /// A held program may go on, for an hour unasked.
    pub async fn let_go(&self, id: &str) -> Result<(), RemoteError> {
        let send = |channel, request| async move { service(channel).let_go(request).await };
        self.call(Safety::Write, v1::LetGoRequest { id: id.to_string() }, send).await?;
        Ok(())
    }

    /// What a held program threw away comes back: how much, and how much could not.
    pub async fn put_back(&self, id: &str) -> Result<(u64, u64), RemoteError> {
        let mut restored = 0;
        loop {
            let send = |channel, request| async move { service(channel).put_back(request).await };
            let extra = Duration::from_secs(5);
            let message = v1::PutBackRequest { id: id.to_string() };
            let reply = self.call_lasting(extra, Safety::Write, message, send).await?;
            restored += reply.restored;
            // Nothing more comes back by itself.
            if !reply.more || reply.restored == 0 {
                return Ok((restored, reply.left));
            }
        }
    }

    /// All versions of a file, the latest first.
    pub async fn versions(&self, path: &str) -> Result<Vec<PastVersion>, RemoteError> {
        let message = v1::ListVersionsRequest { path: path.to_string() };
        let reply = self.read(message, |channel, request| async move { service(channel).list_versions(request).await });
        let versions = reply.await?.versions.into_iter().map(|it| {
            Ok(PastVersion {
                version: FileVersion(bytes16("a file's version", &it.version)?),
                size: it.size,
                saved: WallMillis(it.saved_ms),
                hash: block_hash(&it.hash)?,
                current: it.current,
                by: Some(it.by).filter(|by| !by.is_empty()),
            })
        });
        Ok(versions.collect::<Result<_, Malformed>>()?)
    }

    /// Removes an earlier version for good.
    pub async fn remove_version(&self, path: &str, version: FileVersion) -> Result<(), RemoteError> {
        let message = v1::RemoveVersionRequest { path: path.to_string(), version: Bytes::copy_from_slice(&version.0) };
        let send = |channel, request| async move { service(channel).remove_version(request).await };
        self.call(Safety::Once, message, send).await?;
        Ok(())
    }

    /// Jobs under way, and those that ended within a day.
    pub async fn jobs(&self) -> Result<Vec<Job>, RemoteError> {
        let send = |channel, request| async move { service(channel).list_jobs(request).await };
        let reply = self.read(v1::ListJobsRequest {}, send).await?;
        Ok(reply.jobs.into_iter().map(job).collect::<Result<_, _>>()?)
    }

    /// One job.
    pub async fn job(&self, id: [u8; 16]) -> Result<Job, RemoteError> {
        let message = v1::GetJobRequest { id: Bytes::copy_from_slice(&id) };
        let reply = self.read(message, |channel, request| async move { service(channel).get_job(request).await });
        Ok(job(reply.await?)?)
    }

    /// Stops a job; what it has made goes.
    pub async fn cancel_job(&self, id: [u8; 16]) -> Result<Job, RemoteError> {
        let message = v1::CancelJobRequest { id: Bytes::copy_from_slice(&id) };
        let send = |channel, request| async move { service(channel).cancel_job(request).await };
        Ok(job(self.call(Safety::Write, message, send).await?)?)
    }

    /// Entries by their names: at their beginning, or `anywhere`. A page may be empty and not the last.
    pub async fn search(
        &self,
        text: &str,
        anywhere: bool,
        page: Option<&str>,
    ) -> Result<(Vec<Found>, Option<String>), RemoteError> {
        let page_token = page.unwrap_or_default().to_string();
        let message = v1::SearchRequest { text: text.to_string(), anywhere, page_token, limit: 0 };
        let reply = self.read(message, |channel, request| async move { service(channel).search(request).await });
        Ok(found_page(reply.await?)?)
    }

    /// Files of plain text in which all these words stand, the best first.
    pub async fn find_text(&self, text: &str, page: Option<&str>) -> Result<(Vec<Found>, Option<String>), RemoteError> {
        let page_token = page.unwrap_or_default().to_string();
        let message = v1::FindTextRequest { text: text.to_string(), page_token, limit: 0 };
        let reply = self.read(message, |channel, request| async move { service(channel).find_text(request).await });
        Ok(found_page(reply.await?)?)
    }
}

fn found_page(reply: v1::SearchReply) -> Result<(Vec<Found>, Option<String>), Malformed> {
    let found = reply.found.into_iter().map(|it| {
        let entry = Entry::from_wire(it.entry.ok_or_else(|| missing("an entry"))?)?;
        let passage = it.passage.into_iter().map(|piece| (piece.text, piece.hit)).collect();
        Ok(Found { path: it.path, entry, passage })
    });
    Ok((found.collect::<Result<_, Malformed>>()?, Some(reply.next_page_token).filter(|token| !token.is_empty())))
}
