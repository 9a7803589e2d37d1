//! Jobs: acts of many steps. Copying a folder, or a very large file, is one: its row is the intent, the
//! copy grows outside the tree, step by step, and is hung into the tree by the last one, whole, in place of what it is to replace. Each
//! step rests on the job's row being as it was read and rewrites it: of
//! two who carry on the same job one loses, and after a cancel nothing more is added. Ids in the
//! copy are made anew by each try of a step, so that what is left of one that failed has nothing
//! in common with the next. The copy is no snapshot: what is moved within the source meanwhile may be in it twice, or not.

use super::change::{Change, Commit};
use super::copy::{Copying, Over};
use super::height::fits;
use super::rows::{PlaceRow, Work, WorkRow, decode};
use super::{Clash, DriveError, DrivePath, Drives, Entry};
use crate::{DriveId, FolderId, JobId, TrashId, UserId, VersionId};
use bytes::Bytes;
use prost::Message;
use types::{Consistency, ItemKey, Query, Test, Version, WallMillis};

mod attach;
mod run;
mod step;

pub(super) use run::Keeper;

/// Jobs under way in one drive.
const RUNNING_MAX: usize = 20;
/// How long the row of a job that has ended stays.
const ENDED_KEPT: u64 = 24 * 60 * 60 * 1000;
/// Blocks from which on copying a file is a job: each is referenced by a transaction of its own.
const FILE_BLOCKS: u64 = 4096;
/// Rows of jobs in one page.
const PAGE: u32 = 1000;
/// Pages of jobs that are ever looked at.
const PAGES_MAX: usize = 50;

/// A job, as stored.
#[derive(Clone, PartialEq, Message)]
struct JobRow {
    #[prost(enumeration = "State", tag = "1")]
    state: i32,
    #[prost(bytes = "bytes", tag = "2")]
    source: Bytes,
    #[prost(string, tag = "3")]
    from: String,
    #[prost(bytes = "bytes", tag = "4")]
    parent: Bytes,
    #[prost(string, tag = "5")]
    to: String,
    #[prost(uint32, tag = "6")]
    clash: u32,
    /// The folder that is being made.
    #[prost(bytes = "bytes", tag = "7")]
    folder: Bytes,
    #[prost(uint64, tag = "8")]
    done: u64,
    #[prost(uint64, tag = "9")]
    found: u64,
    #[prost(uint64, tag = "10")]
    bytes: u64,
    #[prost(string, tag = "11")]
    problem: String,
    #[prost(uint64, tag = "12")]
    started: u64,
    /// Who carries it on, as long as the row is not old. Nobody yet: empty.
    #[prost(bytes = "bytes", tag = "13")]
    runner: Bytes,
    /// What whoever began it may keep.
    #[prost(uint64, optional, tag = "14")]
    quota: Option<u64>,
    /// Of a job that copies one file: its name in the source, which is its folder.
    #[prost(string, tag = "15")]
    file: String,
    /// The drive that the source is in, where that is another one.
    #[prost(bytes = "bytes", tag = "16")]
    source_drive: Bytes,
    /// Who began it.
    #[prost(bytes = "bytes", tag = "17")]
    by: Bytes,
    /// Of what may be replaced: the version of its content, or its id; empty: whatever the rule lets go.
    #[prost(bytes = "bytes", tag = "18")]
    over: Bytes,
    /// Of the only file that is copied: the version of its content; empty: whatever it is by then.
    #[prost(bytes = "bytes", tag = "19")]
    only: Bytes,
    /// It keeps out of others' locks; these tokens were shown.
    #[prost(bool, tag = "20")]
    keeps_out: bool,
    #[prost(string, repeated, tag = "21")]
    tokens: Vec<String>,
    /// The program that began it: it may be held.
    #[prost(string, tag = "22")]
    program: String,
    #[prost(string, tag = "23")]
    label: String,
    /// Once done: the version that became an earlier one.
    #[prost(bytes = "bytes", tag = "24")]
    kept: Bytes,
    /// Once done: the version that was put in its place. Without an earlier one, that was not kept.
    #[prost(bytes = "bytes", tag = "25")]
    put: Bytes,
    /// Once done: where in the trash is what was there.
    #[prost(bytes = "bytes", tag = "26")]
    trashed: Bytes,
    /// Levels of folders that were made below the one that is being made. None by releases that did not count them.
    #[prost(uint32, optional, tag = "27")]
    height: Option<u32>,
}

/// What becomes of what is where the copy is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Taken {
    Fail = 0,
    KeepBoth = 1,
    /// A file becomes an earlier version.
    Replace = 2,
    Trash = 3,
}

impl Taken {
    fn of(over: Over) -> Taken {
        match over {
            Over::Rule(Clash::Fail | Clash::Skip) => Taken::Fail,
            Over::Rule(Clash::KeepBoth) => Taken::KeepBoth,
            Over::Rule(Clash::Replace) | Over::Version(_) => Taken::Replace,
            Over::Trash(_) => Taken::Trash,
        }
    }

    /// Of a rule from a newer release nothing is replaced.
    fn read(clash: u32) -> Taken {
        [Taken::KeepBoth, Taken::Replace, Taken::Trash]
            .into_iter()
            .find(|it| *it as u32 == clash)
            .unwrap_or(Taken::Fail)
    }
}

/// A folder that is still to be copied.
#[derive(Clone, PartialEq, Message)]
struct StepRow {
    #[prost(bytes = "bytes", tag = "1")]
    target: Bytes,
    /// The last name that is copied.
    #[prost(string, tag = "2")]
    after: String,
    #[prost(bytes = "bytes", tag = "3")]
    source: Bytes,
    /// Only that file of it; empty: everything.
    #[prost(string, tag = "4")]
    file: String,
    /// Levels between it and the folder that the job makes.
    #[prost(uint32, tag = "5")]
    level: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum State {
    /// From a newer release: left alone.
    Unknown = 0,
    Running = 1,
    Done = 2,
    Failed = 3,
    Cancelled = 4,
}

/// How it is with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Under way.
    Running,
    /// Everything is done.
    Done,
    /// It could not be done, and nothing of it is left.
    Failed,
    /// Somebody stopped it, and nothing of it is left.
    Cancelled,
}

/// A job, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// How it is.
    pub state: JobState,
    /// What is copied: its path, or its name alone where that is in another drive.
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
    /// When it was begun.
    pub started: WallMillis,
    /// What was made, once done: as [`super::Entry::id`].
    pub made: [u8; 16],
    /// What was there, once done.
    pub replaced: Replaced,
}

/// What a job has put something in place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Nothing.
    Nothing,
    /// A file, whose content is an earlier version now.
    Version {
        /// That.
        version: VersionId,
        /// The one that it has now.
        by: VersionId,
    },
    /// A file whose content was not kept.
    Forgotten,
    /// Something that is in the trash now.
    Trashed(TrashId),
}

/// A job as read.
struct Read {
    version: Version,
    written: WallMillis,
    row: JobRow,
}

impl Change {
    fn require_job(&mut self, drives: &Drives, job: JobId, read: &Read) {
        self.require(drives.inner.tables.jobs, job.bytes(), Test::VersionIs(read.version));
    }

    fn put_job(&mut self, drives: &Drives, job: JobId, row: &JobRow) {
        let ended = row.state() != State::Running;
        let expires = ended.then(|| WallMillis(drives.now().0 + ENDED_KEPT));
        self.put_until(drives.inner.tables.jobs, job.bytes(), row.encode_to_vec(), expires);
    }
}

impl Drives {
    /// Begins to copy a folder, or a file, to where nothing is. [`Self::run_job`] does it.
    pub async fn begin_copy(
        &self,
        drive: DriveId,
        from: &str,
        to: &str,
        clash: Clash,
        by: Option<UserId>,
    ) -> Result<Job, DriveError> {
        let (from, to) = (DrivePath::parse(from)?, DrivePath::parse(to)?);
        let over = Over::Rule(clash);
        self.begin_copying(drive, &Copying { over, by, ..Copying::new(drive, from, to) }).await
    }

    /// Begins it. What was begun ends, whatever its beginner may do meanwhile; what it replaces is there until its last step.
    pub async fn begin_copying(&self, drive: DriveId, asked: &Copying) -> Result<Job, DriveError> {
        let Copying { source: source_drive, from, to, over, only, by, tokens } = asked;
        let (source_drive, over) = (*source_drive, *over);
        if to.is_root() {
            return Err(DriveError::Exists { path: "/".into() });
        }
        let tables = self.inner.tables;
        let elsewhere = source_drive != drive;
        let walks = match elsewhere {
            false => self.walk_all(drive, &[from, to]).await?,
            true => vec![self.walk(source_drive, from).await?, self.walk(drive, to).await?],
        };
        let [source, target] = &walks[..] else { return Err(DriveError::NoSuchJob) };
        let (parent, _) = target.parent()?;
        if let Some(height) = source.found().and_then(|step| step.entry.folder()?.height) {
            fits(to, height)?;
        }
        let (folder, file) = match source.found().and_then(|step| step.entry.file().map(|_| &step.entry.name)) {
            Some(name) => (source.parent()?.0, name.clone()),
            None => (source.folder()?, String::new()),
        };
        if file.is_empty() && (from.is_root() || (!elsewhere && target.passes(folder) && from != to)) {
            return Err(DriveError::Cycle { from: from.to_string(), to: to.to_string() });
        }
        let mut change = Change::new(self, drive);
        change.require_locks(self);
        if let Some(step) = source.found() {
            step.entry.must_be(*only, from)?;
            if only.is_some() && !elsewhere {
                change.require_steps(std::slice::from_ref(step));
            }
        }
        // Better said now than after a long copy.
        let there = target.found().map(|step| &step.entry);
        if let (Over::Version(_) | Over::Trash(_), Some(step)) = (over, target.found()) {
            change.require_steps(std::slice::from_ref(step));
        }
        over.check(there, file.is_empty(), to)?;
        let holds_source = |there: &Entry| there.folder().is_some_and(|folder| source.passes(folder.id));
        if !elsewhere && matches!(over, Over::Trash(_)) && there.is_some_and(holds_source) {
            return Err(DriveError::Cycle { from: from.to_string(), to: to.to_string() });
        }
        if !elsewhere && over != Over::Rule(Clash::KeepBoth) && from == to {
            return Err(DriveError::Invalid("a file cannot be replaced by itself".into()));
        }
        if self.jobs(drive).await?.iter().filter(|job| job.state == JobState::Running).count() >= RUNNING_MAX {
            return Err(DriveError::Invalid(format!("{RUNNING_MAX} jobs are under way in this drive: wait for one")));
        }
        let (job, made) = (JobId::random(), FolderId::random());
        let row = JobRow {
            state: State::Running as i32,
            source: folder.bytes(),
            from: from.to_string(),
            parent: parent.bytes(),
            to: to.to_string(),
            clash: Taken::of(over) as u32,
            folder: made.bytes(),
            found: match file.is_empty() {
                true => self.counter(source_drive, folder.bytes()).await?.unwrap_or(0).max(0) as u64,
                false => 1,
            },
            started: self.now().0,
            quota: self.quota,
            by: by.map(|by| by.bytes()).unwrap_or_default(),
            file: file.clone(),
            source_drive: if elsewhere { source_drive.bytes() } else { Bytes::new() },
            over: match over {
                Over::Version(version) => version.bytes(),
                Over::Trash(meant) => Bytes::copy_from_slice(&meant),
                Over::Rule(_) => Bytes::new(),
            },
            only: only.filter(|_| !file.is_empty()).map(|it| Bytes::copy_from_slice(&it)).unwrap_or_default(),
            keeps_out: tokens.is_some(),
            tokens: tokens.clone().unwrap_or_default(),
            program: self.program.as_ref().map(|of| of.0.id.clone()).unwrap_or_default(),
            label: self.program.as_ref().map(|of| of.0.label.clone()).unwrap_or_default(),
            height: Some(0),
            ..JobRow::default()
        };
        change.require(tables.jobs, job.bytes(), Test::Absent);
        change.put_job(self, job, &row);
        let place = PlaceRow { parent: FolderId::JOBS.bytes(), name: job.to_string() };
        change.put(tables.places, made.bytes(), place.encode_to_vec());
        change.put(
            tables.steps,
            step_key(job, made),
            StepRow { file, ..StepRow::new(folder, made, String::new(), 0) }.encode_to_vec(),
        );
        match change.commit(self.store(), to).await? {
            Commit::Done(_) => Ok(told(job, row)),
            Commit::Lost(_) => Err(DriveError::Changed { path: from.to_string() }),
        }
    }

    /// Stops a job: what it has made goes. One that has ended stays as it is.
    pub async fn cancel_job(&self, drive: DriveId, job: JobId) -> Result<Job, DriveError> {
        loop {
            let read = self.read_job(drive, job).await?;
            if read.row.state() != State::Running {
                return self.ended(drive, job, read).await;
            }
            // Lost to a step: looked at again.
            self.end_job(drive, job, &read, State::Cancelled, String::new()).await?;
        }
    }

    /// All jobs of a drive that are under way, and those that ended within a day.
    pub async fn jobs(&self, drive: DriveId) -> Result<Vec<Job>, DriveError> {
        Ok(self.all_jobs(drive).await?.into_iter().map(|(id, read)| told(id, read.row)).collect())
    }

    /// One job.
    pub async fn job(&self, drive: DriveId, job: JobId) -> Result<Job, DriveError> {
        Ok(told(job, self.read_job(drive, job).await?.row))
    }

    async fn all_jobs(&self, drive: DriveId) -> Result<Vec<(JobId, Read)>, DriveError> {
        let mut query = Query { limit: PAGE, ..Query::all(self.inner.tables.jobs, drive.bytes()) };
        let mut jobs = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            for at in &page.items {
                let id = JobId::from_slice(&at.sort_key);
                let id = id.ok_or_else(|| DriveError::Damaged("the key of a job".into()))?;
                jobs.push((id, Read::of(&at.item)?));
            }
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
        Ok(jobs)
    }

    async fn read_job(&self, drive: DriveId, job: JobId) -> Result<Read, DriveError> {
        let key = ItemKey::new(self.inner.tables.jobs, drive.bytes(), job.bytes());
        Read::of(&self.inner.store.get(&key, Consistency::Strong).await?.ok_or(DriveError::NoSuchJob)?)
    }

    /// A job that will not be done: what it has made so far is left to the sweeper.
    async fn end_job(
        &self,
        drive: DriveId,
        job: JobId,
        read: &Read,
        state: State,
        problem: String,
    ) -> Result<(), DriveError> {
        let folder = FolderId::from_slice(&read.row.folder).ok_or(DriveError::NoSuchJob)?;
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        change.put_job(self, job, &JobRow { state: state as i32, problem, ..read.row.clone() });
        change.delete(self.inner.tables.places, folder.bytes());
        let work = super::change::work_key_of_folder(folder);
        change.put(self.inner.tables.work, work, WorkRow::encoded(Work::Dismantle, true));
        change.commit(self.store(), &drive).await?;
        Ok(())
    }

    /// A job that runs no more. The steps of one that came to nothing are forgotten; no other's, not even those of
    /// a state that this release does not know.
    async fn ended(&self, drive: DriveId, job: JobId, read: Read) -> Result<Job, DriveError> {
        if let State::Failed | State::Cancelled = read.row.state() {
            self.forget_steps(drive, job).await?;
        }
        Ok(told(job, read.row))
    }

    /// Rows of steps that are of no use any more.
    async fn forget_steps(&self, drive: DriveId, job: JobId) -> Result<(), DriveError> {
        let steps = self.inner.tables.steps;
        loop {
            let query = Query { limit: 500, ..Query::prefix(steps, drive.bytes(), &job.0) };
            let page = self.inner.store.query(&query, Consistency::Strong).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            let mut change = Change::new(self, drive);
            page.items.iter().for_each(|at| change.delete(steps, at.sort_key.clone()));
            change.commit(self.store(), &drive).await?;
        }
    }
}

/// By the folder that is made: the source's may be met twice, when it is moved meanwhile.
fn step_key(job: JobId, target: FolderId) -> Bytes {
    [job.0, target.0].concat().into()
}

impl Over {
    /// May it be copied to where this is?
    fn check(self, there: Option<&Entry>, folder: bool, to: &DrivePath) -> Result<(), DriveError> {
        let path = || to.to_string();
        match (self, there) {
            (Over::Rule(Clash::KeepBoth), _) | (Over::Rule(_), None) => Ok(()),
            (Over::Version(_) | Over::Trash(_), None) => Err(DriveError::Changed { path: path() }),
            (Over::Trash(meant), Some(there)) => there.must_be(Some(meant), to),
            (Over::Rule(Clash::Replace) | Over::Version(_), Some(_)) if folder => {
                Err(DriveError::Exists { path: path() })
            }
            (Over::Rule(Clash::Replace) | Over::Version(_), Some(there)) if there.is_folder() => {
                Err(DriveError::IsAFolder { path: path() })
            }
            (Over::Rule(Clash::Replace), Some(_)) => Ok(()),
            (Over::Version(version), Some(there)) => there.must_be(Some(version.0), to),
            (Over::Rule(Clash::Fail | Clash::Skip), Some(_)) => Err(DriveError::Exists { path: path() }),
        }
    }
}

impl JobRow {
    /// What becomes of what is where the copy is to be.
    fn over(&self) -> Result<Over, DriveError> {
        let damaged = || DriveError::Damaged("what a job may replace".into());
        Ok(match (Taken::read(self.clash), self.over.is_empty()) {
            (Taken::Fail, _) => Over::Rule(Clash::Fail),
            (Taken::KeepBoth, _) => Over::Rule(Clash::KeepBoth),
            (Taken::Replace, true) => Over::Rule(Clash::Replace),
            (Taken::Replace, false) => Over::Version(VersionId::from_slice(&self.over).ok_or_else(damaged)?),
            (Taken::Trash, _) => Over::Trash(self.over[..].try_into().map_err(|_| damaged())?),
        })
    }

    fn replaced(&self) -> Replaced {
        let version = |bytes: &Bytes| VersionId::from_slice(bytes);
        match (TrashId::from_slice(&self.trashed), version(&self.kept), version(&self.put)) {
            (Some(id), ..) => Replaced::Trashed(id),
            (None, Some(version), Some(by)) => Replaced::Version { version, by },
            (None, None, Some(_)) => Replaced::Forgotten,
            (None, _, None) => Replaced::Nothing,
        }
    }

    /// The drive that is copied from.
    fn source_drive(&self, drive: DriveId) -> Result<DriveId, DriveError> {
        match self.source_drive.is_empty() {
            true => Ok(drive),
            false => {
                DriveId::from_slice(&self.source_drive).ok_or_else(|| DriveError::Damaged("the source of a job".into()))
            }
        }
    }
}

impl Read {
    fn of(item: &types::Item) -> Result<Read, DriveError> {
        Ok(Read { version: item.version, written: item.time.wall(), row: decode("a job", &item.value)? })
    }
}

impl StepRow {
    fn new(source: FolderId, target: FolderId, after: String, level: u32) -> StepRow {
        StepRow { target: target.bytes(), after, source: source.bytes(), file: String::new(), level }
    }
}

/// Is copying a file of that size a job?
pub(super) fn is_long(size: u64) -> bool {
    size.div_ceil(types::limits::BLOCK_BYTES as u64) >= FILE_BLOCKS
}

fn told(id: JobId, row: JobRow) -> Job {
    let state = match row.state() {
        State::Running | State::Unknown => JobState::Running,
        State::Done => JobState::Done,
        State::Failed => JobState::Failed,
        State::Cancelled => JobState::Cancelled,
    };
    Job {
        id,
        state,
        replaced: row.replaced(),
        made: row.folder[..].try_into().unwrap_or_default(),
        // Where it lies in another drive is not for everybody in this one.
        from: match row.source_drive.is_empty() {
            true => row.from,
            false => row.from.rsplit('/').next().unwrap_or_default().to_string(),
        },
        to: row.to,
        done: row.done,
        found: row.found.max(row.done),
        bytes: row.bytes,
        problem: Some(row.problem).filter(|text| !text.is_empty()),
        started: WallMillis(row.started),
    }
}

#[cfg(test)]
#[test]
fn copying_a_file_of_gigabytes_is_a_job() {
    assert!(!is_long(0) && !is_long((4 << 30) - (2 << 20)) && is_long(4 << 30) && is_long(u64::MAX));
}
