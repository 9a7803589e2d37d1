//! Who carries a job on. One runner at a time writes its name into the job's
//! row, and writes again while a step takes long; a row that has been left alone is
//! another's to take. That spares work alone: two who took the same job would not disturb each other.

use super::{Job, JobRow, Read, State};
use crate::drive::change::{Change, Commit};
use crate::drive::{DriveError, Drives};
use crate::{DriveId, JobId};
use bytes::Bytes;
use client::ClientError;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;
use types::{Action, Classify, Refusal};

/// A job whose row is that old has nobody who carries it on.
const DESERTED: u64 = 30 * 1000;
/// How often a runner says that it is there.
const ALIVE_EVERY: Duration = Duration::from_secs(8);
/// How often someone looks who waits for another runner.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Turns in a row without progress after which a runner leaves a job to the next.
const TRIES_MAX: u32 = 10;
/// Jobs that one process carries on at a time for others that left them.
const KEPT_MAX: usize = 50;

/// What became of a turn: a step tried.
pub(super) enum Turn {
    /// It is done.
    Made,
    /// Somebody changed meanwhile what it rests on.
    Lost,
}

impl From<Commit> for Turn {
    fn from(commit: Commit) -> Turn {
        if let Commit::Done(_) = commit { Turn::Made } else { Turn::Lost }
    }
}

/// The jobs that a process carries on.
#[derive(Default)]
pub(in crate::drive) struct Keeper {
    jobs: Mutex<HashSet<(DriveId, JobId)>>,
}

/// Whether what failed may go well later, unchanged.
fn may_pass(error: &DriveError) -> bool {
    matches!(
        error,
        DriveError::Client(ClientError::TooFewReplicas { .. } | ClientError::Refused(Refusal::OperationExpired))
    ) || error.action() != Action::Rejected
}

impl Drives {
    /// Carries a job on to its end, or waits for whoever does. A runner that dies on the way, or gives up, is replaced
    /// by a sweeper.
    pub fn run_job(&self, drive: DriveId, job: JobId) -> BoxFuture<'_, Result<Job, DriveError>> {
        self.run(drive, job).boxed()
    }

    async fn run(&self, drive: DriveId, job: JobId) -> Result<Job, DriveError> {
        let me = Bytes::copy_from_slice(&rand::random::<[u8; 16]>());
        let mut tries = 0;
        loop {
            let mut read = self.read_job(drive, job).await?;
            if read.row.state() != State::Running {
                return self.ended(drive, job, read).await;
            }
            if !self.is_free(&read) && read.row.runner != me {
                self.inner.store.pause(LOOK_EVERY).await;
                continue;
            }
            let error = match self.turn(drive, job, &me, &mut read).await {
                Ok(Turn::Made) => {
                    tries = 0;
                    continue;
                }
                Ok(Turn::Lost) => DriveError::Conflict { path: read.row.from.clone() },
                Err(error) => error,
            };
            tries += 1;
            let result = match may_pass(&error) {
                true if tries >= TRIES_MAX => return Err(error),
                true => Ok(()),
                false => self.end_job(drive, job, &read, State::Failed, error.to_string()).await,
            };
            match result {
                Err(error) if tries >= TRIES_MAX || !may_pass(&error) => return Err(error),
                _ => self.inner.store.pause(Duration::from_millis(20 << tries.min(6))).await,
            }
        }
    }

    /// One step by this runner.
    async fn turn(&self, drive: DriveId, job: JobId, me: &Bytes, read: &mut Read) -> Result<Turn, DriveError> {
        if read.row.runner != *me {
            read.row = JobRow { runner: me.clone(), ..read.row.clone() };
            if let Turn::Lost = self.stay(drive, job, read).await? {
                return Ok(Turn::Lost);
            }
        }
        self.within(read.row.quota).step(drive, job, read).boxed().await
    }

    fn is_free(&self, read: &Read) -> bool {
        read.row.runner.is_empty() || self.now().0.saturating_sub(read.written.0) >= DESERTED
    }

    /// Writes the job's row as it is, anew.
    async fn stay(&self, drive: DriveId, job: JobId, read: &mut Read) -> Result<Turn, DriveError> {
        let mut change = Change::new(self, drive);
        change.require_job(self, job, read);
        change.put_job(self, job, &read.row);
        let Commit::Done(done) = change.commit(self.store(), &read.row.to).await? else { return Ok(Turn::Lost) };
        read.version = done.version;
        Ok(Turn::Made)
    }

    /// Does something that takes long, and says meanwhile that somebody is there. None: the job is no longer this
    /// runner's.
    pub(super) async fn meanwhile<T>(
        &self,
        drive: DriveId,
        job: JobId,
        read: &mut Read,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, DriveError> {
        tokio::pin!(work);
        let mut next = Instant::now() + ALIVE_EVERY;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(Some(done)),
                () = tokio::time::sleep_until(next) => {}
            }
            if let Turn::Lost = self.stay(drive, job, read).await? {
                return Ok(None);
            }
            next = Instant::now() + ALIVE_EVERY;
        }
    }

    /// Carries a job on, by itself; nothing new if this process does so already.
    pub fn spawn_job(&self, drive: DriveId, job: JobId) {
        if !self.inner.keeper.jobs.lock().insert((drive, job)) {
            return;
        }
        let kept = Kept { drives: self.clone(), drive, job };
        tokio::spawn(async move {
            if let Err(error) = kept.drives.run_job(drive, job).await {
                tracing::warn!(%drive, %job, %error, "a job is left to the sweeper");
            }
        });
    }

    /// Sees to it that the jobs of a drive that nobody carries on are carried on, and forgets the steps of those that
    /// came to nothing. Waits for none of them.
    pub(in crate::drive) async fn carry_on_jobs(&self, drive: DriveId) -> Result<(), DriveError> {
        for (id, read) in self.all_jobs(drive).await? {
            let left = self.now().0.saturating_sub(read.written.0) >= DESERTED;
            match read.row.state() {
                State::Running if left && self.inner.keeper.jobs.lock().len() < KEPT_MAX => self.spawn_job(drive, id),
                State::Failed | State::Cancelled => drop(self.ended(drive, id, read).await?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A job that this process carries on, until this is dropped.
struct Kept {
    drives: Drives,
    drive: DriveId,
    job: JobId,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.drives.inner.keeper.jobs.lock().remove(&(self.drive, self.job));
    }
}
