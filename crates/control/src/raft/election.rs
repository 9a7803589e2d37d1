//! When a voter stands for election.
//!
//! The library's own timer knows neither how slow the disks are nor that this process may have been
//! starved of time: on such machines voters interrupt each other's elections without end. So its timer
//! is off, and this one asks it to stand: after a silence that is counted in our own beats (a process
//! that was stopped first gets the chance to hear what came meanwhile), longer the longer the disk takes.
//!
//! Where it is known that the leader's process has ended ([`RaftNode::died`]) nobody waits for the silence. Voters
//! that have heard the leader lately vote for nobody else, but they do once they have stood themselves; and of
//! two candidates of one term the one with the higher number wins. So all of them stand, the lowest number first.

use super::types::{Types, Vote};
use super::{RaftNode, RaftTiming, leads};
use crate::pace::Pace;
use openraft::Raft;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use types::NodeId;

/// A disk quicker than this needs no more patience.
const QUICK: Duration = Duration::from_millis(10);
/// Writes that follow each other in an election: the candidate's, the voter's, the new leader's; and one more.
const WRITES: u32 = 4;
/// By how much a voter with a higher number stands later than the one before it, where the leader is known to be dead.
const BY_RANK: Duration = Duration::from_millis(8);
/// How long to wait, at least and at most, before standing again for a dead leader's place.
const CONTEST: (Duration, Duration) = (Duration::from_millis(60), Duration::from_millis(180));
/// How many times to do so, each with twice the patience of the one before; then the silence counts as ever.
const CONTESTS: u32 = 3;
/// By how much more patience a voter has whose log is too short to win: the other may need two tries.
const BEHIND: u32 = 3;
/// However slow the disk, no more patience than this is added.
const SLACK_MAX: Duration = Duration::from_secs(6);

/// What was heard of a leader.
#[derive(Default)]
pub(super) struct Hearing {
    /// Messages.
    heard: AtomicU64,
    /// The leader is about to go and wants this node to follow.
    called: AtomicBool,
    /// Another has a longer log than this node had when it stood last.
    behind: AtomicBool,
    /// The leadership whose process has ended.
    dead: Mutex<Option<Vote>>,
    death: Notify,
}

impl Hearing {
    /// A leader's message came, or was answered.
    pub(super) fn heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.behind.store(false, Ordering::Relaxed);
    }

    /// A voter that was asked for its vote has what this node lacks.
    pub(super) fn lacks(&self) {
        self.behind.store(true, Ordering::Relaxed);
    }

    /// Stand for election as soon as the others may vote.
    pub(super) fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }
}

impl RaftNode {
    /// That node's process has ended: if it leads, others stand for its place at once.
    pub fn died(&self, node: NodeId) {
        let led = self.raft.metrics().borrow().vote;
        if node != self.id && led.committed && led.leader_id.node_id == node.0 {
            *self.hearing.dead.lock() = Some(led);
            self.hearing.death.notify_one();
        }
    }
}

/// The silence after which to stand, between two spans; `draw` is between 0 and 1, and keeps voters apart.
fn patience((least, most): (Duration, Duration), disk: Duration, draw: f64) -> Duration {
    let slack = disk.saturating_sub(QUICK) * WRITES;
    least + most.saturating_sub(least).mul_f64(draw) + slack.mul_f64(1.0 + draw).min(SLACK_MAX)
}

/// Stands for election whenever it is time. Ends with the Raft core.
pub(super) async fn stand(raft: Raft<Types>, timing: RaftTiming, hearing: Arc<Hearing>, pace: Arc<Pace>) {
    let beat = timing.heartbeat / 4;
    let metrics = raft.metrics();
    let mut seen: Option<(u64, Vote)> = None;
    let (mut silence, mut draw) = (Duration::ZERO, rand::random::<f64>());
    // Messages heard when this node stood for a dead leader's place (until there are more, nobody has taken it), and
    // how often it stood since.
    let mut contest: Option<(u64, u32)> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(beat) => {}
            () = hearing.death.notified() => {}
        }
        let (vote, is_leader, votes, alone, rank) = {
            let metrics = metrics.borrow();
            if metrics.running_state.is_err() || metrics.state == openraft::ServerState::Shutdown {
                return;
            }
            let voters = metrics.membership_config.membership();
            let votes = voters.voter_ids().any(|voter| voter == metrics.id);
            let dead = metrics.vote.leader_id.node_id;
            let before = voters.voter_ids().filter(|voter| *voter < metrics.id && *voter != dead).count();
            let rank = u32::try_from(before).unwrap_or(u32::MAX);
            (metrics.vote, leads(&metrics), votes, voters.voter_ids().count() == 1, rank)
        };
        let now = Some((hearing.heard.load(Ordering::Relaxed), vote));
        if is_leader || !votes {
            hearing.called.store(false, Ordering::Relaxed);
            (seen, silence, contest) = (now, Duration::ZERO, None);
            continue;
        }
        // Of that very leadership; whoever was elected since is not meant.
        let dead = *hearing.dead.lock() == Some(vote);
        if dead && contest.is_none() {
            tokio::time::sleep(BY_RANK * rank).await;
            contest = Some((hearing.heard.load(Ordering::Relaxed), 0));
            (seen, silence, draw) = (now, Duration::ZERO, rand::random());
            if metrics.borrow().vote != vote {
                // Another has stood, and this node votes for it.
                continue;
            }
            if let Err(error) = raft.trigger().elect().await {
                tracing::debug!(%error, "cannot stand for election");
                return;
            }
            continue;
        }
        contest = contest.filter(|(heard, tries)| *tries < CONTESTS && *heard == hearing.heard.load(Ordering::Relaxed));
        if seen != now {
            (seen, silence, draw) = (now, Duration::ZERO, rand::random());
            if !alone {
                continue;
            }
        }
        silence += beat;
        let called = hearing.called.load(Ordering::Relaxed);
        let behind = hearing.behind.load(Ordering::Relaxed);
        let usual = patience((timing.election_min, timing.election_max), pace.worst(), draw);
        let enough = match (alone, called, contest) {
            // Nobody else to wait for; but a vote that is being written needs its time.
            (true, ..) => beat.max(pace.worst() * 2),
            (false, true, _) => timing.election_min,
            (false, false, _) if behind => usual * BEHIND,
            (false, false, Some((_, tries))) => patience(CONTEST, pace.worst(), draw) * 2u32.pow(tries),
            (false, false, None) => usual,
        };
        if silence >= enough {
            hearing.called.store(false, Ordering::Relaxed);
            (silence, draw) = (Duration::ZERO, rand::random());
            contest = contest.map(|(heard, tries)| (heard, tries + 1));
            // It may have what it lacked; the answers tell.
            hearing.behind.store(false, Ordering::Relaxed);
            if let Err(error) = raft.trigger().elect().await {
                tracing::debug!(%error, "cannot stand for election");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_given_the_time_for_a_whole_election() {
        let timing = RaftTiming::default();
        let spans = (timing.election_min, timing.election_max);
        let quick = |draw| patience(spans, Duration::from_millis(5), draw);
        assert_eq!((quick(0.0), quick(1.0)), spans);
        let slow = Duration::from_millis(400);
        assert!(patience(spans, slow, 0.0) > slow * 4);
        // Two voters' times differ by more than what one of them needs for its vote.
        assert!(patience(spans, slow, 1.0) - patience(spans, slow, 0.0) > slow * 2);
        assert!(patience(spans, Duration::from_secs(60), 1.0) <= timing.election_max + SLACK_MAX);
    }
}
