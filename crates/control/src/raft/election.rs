//! When a voter stands for election.
//!
//! The library's own timer knows neither how slow the disks are nor that this process may have been
//! starved of time: on such machines voters interrupt each other's elections without end. So its timer
//! is off, and this one asks it to stand: after a silence that is counted in our own beats (a process
//! that was stopped first gets the chance to hear what came meanwhile), longer the longer the disk takes.

use super::types::{Types, Vote};
use super::{RaftTiming, leads};
use crate::pace::Pace;
use openraft::Raft;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A disk quicker than this needs no more patience.
const QUICK: Duration = Duration::from_millis(10);
/// Writes that follow each other in an election: the candidate's, the voter's, the new leader's; and one more.
const WRITES: u32 = 4;
/// However slow the disk, no more patience than this is added.
const SLACK_MAX: Duration = Duration::from_secs(6);

/// What was heard of a leader.
#[derive(Default)]
pub(super) struct Hearing {
    /// Messages.
    heard: AtomicU64,
    /// The leader is about to go and wants this node to follow.
    called: AtomicBool,
}

impl Hearing {
    /// A leader's message came, or was answered.
    pub(super) fn heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Stand for election as soon as the others may vote.
    pub(super) fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }
}

/// The silence after which to stand; `draw` is between 0 and 1, and keeps voters apart.
fn patience(timing: &RaftTiming, disk: Duration, draw: f64) -> Duration {
    let slack = disk.saturating_sub(QUICK) * WRITES;
    timing.election_min
        + timing.election_max.saturating_sub(timing.election_min).mul_f64(draw)
        + slack.mul_f64(1.0 + draw).min(SLACK_MAX)
}

/// Stands for election whenever it is time. Ends with the Raft core.
pub(super) async fn stand(raft: Raft<Types>, timing: RaftTiming, hearing: Arc<Hearing>, pace: Arc<Pace>) {
    let beat = timing.heartbeat / 4;
    let metrics = raft.metrics();
    let mut seen: Option<(u64, Vote)> = None;
    let (mut silence, mut draw) = (Duration::ZERO, rand::random::<f64>());
    loop {
        tokio::time::sleep(beat).await;
        let (vote, is_leader, votes, alone) = {
            let metrics = metrics.borrow();
            if metrics.running_state.is_err() || metrics.state == openraft::ServerState::Shutdown {
                return;
            }
            let voters = metrics.membership_config.membership();
            let votes = voters.voter_ids().any(|voter| voter == metrics.id);
            (metrics.vote, leads(&metrics), votes, voters.voter_ids().count() == 1)
        };
        let now = Some((hearing.heard.load(Ordering::Relaxed), vote));
        if is_leader || !votes {
            hearing.called.store(false, Ordering::Relaxed);
            (seen, silence) = (now, Duration::ZERO);
            continue;
        }
        if seen != now {
            (seen, silence, draw) = (now, Duration::ZERO, rand::random());
            if !alone {
                continue;
            }
        }
        silence += beat;
        let called = hearing.called.load(Ordering::Relaxed);
        let enough = match (alone, called) {
            // Nobody else to wait for; but a vote that is being written needs its time.
            (true, _) => beat.max(pace.worst() * 2),
            (false, true) => timing.election_min,
            (false, false) => patience(&timing, pace.worst(), draw),
        };
        if silence >= enough {
            hearing.called.store(false, Ordering::Relaxed);
            (silence, draw) = (Duration::ZERO, rand::random());
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
        let quick = |draw| patience(&timing, Duration::from_millis(5), draw);
        assert_eq!((quick(0.0), quick(1.0)), (timing.election_min, timing.election_max));
        let slow = Duration::from_millis(400);
        assert!(patience(&timing, slow, 0.0) > slow * 4);
        // Two voters' times differ by more than what one of them needs for its vote.
        assert!(patience(&timing, slow, 1.0) - patience(&timing, slow, 0.0) > slow * 2);
        assert!(patience(&timing, Duration::from_secs(60), 1.0) <= timing.election_max + SLACK_MAX);
    }
}
