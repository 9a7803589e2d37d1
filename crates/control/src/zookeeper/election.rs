//! Who leads: of all registrations, the one with the lowest sequence number, which is the leadership's term.
//!
//! Registrations are ephemeral and sequential. Every write of a leader checks that its own is still there, so
//! taking it away ends the leadership at once, whatever the leader believes: the ensemble does so when the
//! session has expired; and any other candidate, when it heard that the leader's process has ended, or the leader
//! has left its registration unwritten for a while, so that nobody need wait for the session. Sequence numbers only rise: who sees its own as the
//! lowest, in however old a list, is the lowest.

use super::Shared;
use super::records::{Candidate, candidates};
use super::session::{OPERATION, within};
use crate::store::{LeaderToken, Leadership, MetadataError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, MultiWriteError};

/// How often a leader writes its registration, and the others look at it.
const BEAT: Duration = Duration::from_millis(150);
/// How long a leader may leave it unwritten, where writes are quick.
const SILENCE: Duration = Duration::from_millis(900);
/// How many times the longest write of late it may leave it unwritten.
const WRITES: u32 = 6;
/// However slow writes are, no longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The next in line acts first.
const BY_RANK: Duration = Duration::from_millis(150);
/// A watch that was lost is not missed for longer than this.
const LOOK: Duration = Duration::from_secs(1);
/// Before standing again after something went wrong.
const PAUSE: Duration = Duration::from_millis(250);

const EPHEMERAL: CreateOptions<'static> = CreateMode::EphemeralSequential.with_acls(Acls::creator_all());

/// The registration under which this node leads.
#[derive(Clone, Debug)]
pub(super) struct Mine {
    pub path: String,
    pub token: LeaderToken,
}

/// Stands for as long as the node takes part.
pub(super) async fn stand(shared: Arc<Shared>) {
    loop {
        let Some(client) = shared.sessions.next(None).await else { return };
        let mut registered = None;
        let session = client.session_id().0;
        tokio::select! {
            result = shared.campaign(&client, &mut registered) => {
                if let Err(why) = result {
                    tracing::debug!(why, "the candidacy ended");
                }
            }
            () = shared.sessions.ended(session) => {}
        }
        shared.step_down(None);
        if let Some(name) = registered.take()
            && shared.sessions.is_current(session)
        {
            // Who cannot lead must not be in the way of others.
            let _ = within(client.delete(&shared.paths.candidate(&name), None)).await;
        }
        if shared.retiring.load(Ordering::SeqCst) {
            return;
        }
        drop(client);
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a candidate has seen of the registration that leads.
struct Watched {
    name: String,
    version: i32,
    since: Instant,
    last: Instant,
}

impl Shared {
    async fn campaign(&self, client: &Client, registered: &mut Option<String>) -> Result<(), String> {
        while self.read_header(client).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        let prefix = format!("{}-{:08x}-", self.id, rand::random::<u32>());
        let path = self.paths.candidate(&prefix);
        let created = within(client.create(&path, b"", &EPHEMERAL)).await;
        let (_, sequence) = created.map_err(|error| format!("registering: {error}"))?;
        let name = format!("{prefix}{sequence}");
        *registered = Some(name.clone());
        let mut watched = None;
        loop {
            let listed = within(client.list_and_watch_children(&self.paths.candidates())).await;
            let (children, changed) = listed.map_err(|error| format!("looking at the registrations: {error}"))?;
            let mut line = candidates(&children);
            // One of ours from an earlier life of this process, or of which we never heard that it was made.
            for old in line.extract_if(.., |other| other.node == self.id && other.name != name) {
                let _ = within(client.delete(&self.paths.candidate(&old.name), None)).await;
            }
            let Some(rank) = line.iter().position(|candidate| candidate.name == name) else {
                return Err("the registration was taken away".to_string());
            };
            let first = &line[0];
            let turn = async {
                match rank {
                    0 => Err(self.show_life(client, first).await),
                    _ => self.wait_in_line(client, &name, first, rank, &mut watched).await,
                }
            };
            match rank {
                0 => self.take_lead(client, first).await?,
                _ => {
                    let seen = Leadership { leader: Some(first.node), is_self: false, term: first.sequence };
                    if self.leadership.borrow().term != seen.term {
                        // Whoever died was not this one.
                        self.dead.send_replace(None);
                    }
                    self.show_leadership(seen);
                }
            }
            tokio::select! {
                ended = turn => ended?,
                _ = changed.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Writes the registration again and again, so that nobody takes it for a dead one's. Ends, with the
    /// reason, when it is gone.
    async fn show_life(&self, client: &Client, own: &Candidate) -> String {
        let path = self.paths.candidate(&own.name);
        loop {
            let begun = Instant::now();
            match within(client.set_data(&path, b"", None)).await {
                Ok(_) => self.pace.took(begun.elapsed()),
                Err(Error::NoNode) => return "the registration was taken away".to_string(),
                Err(error) => tracing::debug!(%error, "the registration was not written"),
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Leads from now on, unless it does already.
    async fn take_lead(&self, client: &Client, own: &Candidate) -> Result<(), String> {
        let path = self.paths.candidate(&own.name);
        if self.mine.lock().as_ref().is_some_and(|mine| mine.path == path) {
            return Ok(());
        }
        let mine = Mine { path, token: LeaderToken { term: own.sequence, node: self.id } };
        tokio::select! {
            taken = self.begin_leading(client, mine) => taken,
            gone = self.show_life(client, own) => Err(gone),
        }
    }

    /// Reads all that was written before, then says that it leads.
    async fn begin_leading(&self, client: &Client, mine: Mine) -> Result<(), String> {
        let mut tail = self.journal.lock().await;
        let said = |error: MetadataError| {
            self.tell(&error);
            format!("taking the lead: {error}")
        };
        within(client.sync(&self.paths.header())).await.map_err(|error| error.to_string())?;
        self.catch_up(client, &mut tail).await.map_err(said)?;
        self.prove(client, &mut tail, &mine).await.map_err(said)?;
        if self.retiring.load(Ordering::SeqCst) {
            return Err("this node is stopping".to_string());
        }
        let seen = Leadership { leader: Some(self.id), is_self: true, term: mine.token.term };
        *self.mine.lock() = Some(mine);
        drop(tail);
        self.show_leadership(seen);
        Ok(())
    }

    /// Looks at the first in line, and takes its registration away once it has been silent for too long.
    async fn wait_in_line(
        &self,
        client: &Client,
        name: &str,
        first: &Candidate,
        rank: usize,
        watched: &mut Option<Watched>,
    ) -> Result<(), String> {
        let mut dead = self.dead.subscribe();
        loop {
            let found = within(client.check_stat(&self.paths.candidate(&first.name))).await;
            let now = Instant::now();
            let stat = match found {
                Ok(Some(stat)) => stat,
                Ok(None) => return Ok(()),
                Err(error) => {
                    // While we hear nothing ourselves, silence means nothing.
                    *watched = None;
                    return Err(error.to_string());
                }
            };
            if *dead.borrow_and_update() == Some(first.node) {
                self.depose(client, name, first, stat.version).await;
                self.dead.send_replace(None);
                *watched = None;
                return Ok(());
            }
            let silence = silence(self.pace.worst(), rank);
            match watched {
                Some(seen)
                    if seen.name == first.name && seen.version == stat.version && now - seen.last < silence / 2 =>
                {
                    seen.last = now;
                    if now - seen.since >= silence {
                        self.depose(client, name, first, stat.version).await;
                        *watched = None;
                        return Ok(());
                    }
                }
                _ => {
                    *watched = Some(Watched { name: first.name.clone(), version: stat.version, since: now, last: now })
                }
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                _ = dead.changed() => {}
            }
        }
    }

    async fn depose(&self, client: &Client, name: &str, first: &Candidate, version: i32) {
        let deposing = async {
            let mut multi = client.new_multi_writer();
            multi.add_check_version(&self.paths.candidate(name), -1)?;
            multi.add_delete(&self.paths.candidate(&first.name), Some(version))?;
            multi.commit().await
        };
        match tokio::time::timeout(OPERATION, deposing).await {
            Ok(Ok(_)) => tracing::warn!(node = %first.node, "the leader is silent: another follows it"),
            Ok(Err(MultiWriteError::OperationFailed { .. })) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a silent leader stays"),
            Err(_) => tracing::debug!("a silent leader stays: no answer in time"),
        }
    }

    pub(super) fn show_leadership(&self, now: Leadership) {
        self.leadership.send_if_modified(|seen| std::mem::replace(seen, now) != now);
    }

    /// Leads no longer.
    pub(super) fn step_down(&self, leader: Option<types::NodeId>) {
        *self.mine.lock() = None;
        let term = self.leadership.borrow().term;
        self.show_leadership(Leadership { leader, is_self: false, term });
    }

    /// The registration is gone: if it is still the one that this node leads under, it does not lead.
    pub(super) fn deposed(&self, mine: &Mine) -> MetadataError {
        if self.mine.lock().as_ref().is_some_and(|present| present.path == mine.path) {
            self.step_down(None);
        }
        MetadataError::NotLeader { leader: self.leadership.borrow().leader }
    }
}

/// How long the leader's registration may stay unwritten before this candidate takes it away.
fn silence(worst: Duration, rank: usize) -> Duration {
    let base = SILENCE.max(worst * WRITES).min(SILENCE_MAX);
    base + BY_RANK * u32::try_from(rank.saturating_sub(1)).unwrap_or(u32::MAX).min(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_writes_are_waited_for_and_the_next_in_line_acts_first() {
        assert_eq!(silence(Duration::from_millis(5), 1), SILENCE);
        assert!(silence(Duration::from_millis(5), 2) > SILENCE);
        assert!(silence(Duration::from_millis(400), 1) >= Duration::from_millis(400) * WRITES);
        assert_eq!(silence(Duration::from_secs(60), 1), SILENCE_MAX);
    }
}
