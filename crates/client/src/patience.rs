//! Deadlines, growing time-outs, pauses with jitter, and what was heard meanwhile.

use crate::ClientError;
use crate::link::Failure;
use std::time::Duration;
use tokio::time::Instant;
use types::{Layout, PartitionId};

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// An attempt with less time than this is not worth sending.
const ATTEMPT_MIN: Duration = Duration::from_millis(5);
/// Addresses that an error names.
const TRIED_MAX: usize = 16;

/// How long a request may still take, and how long its next attempt may.
pub(crate) struct Patience {
    deadline: Instant,
    attempt: Duration,
    attempt_max: Duration,
    pause: Duration,
}

impl Patience {
    /// `total` for everything, `attempt` for one attempt at first.
    pub(crate) fn new(total: Duration, attempt: Duration) -> Patience {
        Patience { deadline: Instant::now() + total, attempt, attempt_max: attempt * 4, pause: PAUSE_MIN }
    }

    /// Time for one attempt; none when time is up.
    pub(crate) fn attempt(&self) -> Option<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        (left >= ATTEMPT_MIN).then(|| left.min(self.attempt))
    }

    /// The next attempts may take half as long again.
    pub(crate) fn grow(&mut self) {
        self.attempt = self.attempt_max.min(self.attempt * 3 / 2);
    }

    /// How long to pause now: doubling, with jitter, never beyond the deadline.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.pause.mul_f64(rand::random_range(0.5..1.0));
        self.pause = PAUSE_MAX.min(self.pause * 2);
        pause.min(self.deadline.saturating_duration_since(Instant::now()))
    }
}

/// Who was asked, and the last thing heard.
#[derive(Default)]
pub(crate) struct Heard {
    tried: Vec<String>,
    last: Option<Failure>,
}

impl Heard {
    /// Remembers a failed attempt.
    pub(crate) fn failed(&mut self, address: &str, failure: Failure) {
        if self.tried.len() < TRIED_MAX && !self.tried.iter().any(|tried| tried == address) {
            self.tried.push(address.to_string());
        }
        self.last = Some(failure);
    }

    /// There was nobody in that partition to ask.
    pub(crate) fn nobody(&mut self, layout: &Layout, partition: PartitionId) {
        self.last = Some(match awaited(layout, partition) {
            Some(why) => Failure::Waiting(why),
            None => Failure::Nobody(format!("partition {partition} has no replica in service")),
        });
    }

    /// The last thing heard, and who was asked.
    pub(crate) fn into_last(self) -> (Failure, Vec<String>) {
        let last = self.last.unwrap_or_else(|| Failure::Nobody("time was up before anybody could be asked".into()));
        (last, self.tried)
    }

    /// What is said in the end.
    pub(crate) fn conclude(self, layout: &Layout) -> ClientError {
        let (last, tried) = self.into_last();
        last.into_error(tried, layout)
    }
}

/// The machines that a partition without a member waits for, if any is down.
fn awaited(layout: &Layout, partition: PartitionId) -> Option<String> {
    let chain = layout.chain(partition).filter(|chain| chain.members.is_empty())?;
    let down = chain.complete.iter().filter(|node| layout.nodes.get(node).is_some_and(|info| !info.alive));
    let down: Vec<String> = down.map(|node| node.to_string()).collect();
    let (nodes, verbs) = match down.as_slice() {
        [] => return None,
        [_] => ("node", "is down and holds"),
        _ => ("nodes", "are down and hold"),
    };
    Some(format!(
        "partition {partition} waits for {nodes} {}, which {verbs} what was acknowledged last",
        down.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_end_with_the_deadline() {
        let mut patience = Patience::new(Duration::from_secs(60), Duration::from_secs(1));
        let pauses: Vec<Duration> = (0..8).map(|_| patience.pause()).collect();
        assert!(pauses[0] <= PAUSE_MIN && pauses[0] >= PAUSE_MIN / 2);
        assert!(pauses[7] <= PAUSE_MAX && pauses[7] >= PAUSE_MAX / 2);
        let mut over = Patience::new(Duration::ZERO, Duration::from_secs(1));
        assert_eq!(over.pause(), Duration::ZERO);
        assert_eq!(over.attempt(), None);
    }

    #[test]
    fn attempts_grow_to_their_bound() {
        let mut patience = Patience::new(Duration::from_secs(60), Duration::from_secs(1));
        assert_eq!(patience.attempt(), Some(Duration::from_secs(1)));
        for _ in 0..10 {
            patience.grow();
        }
        assert_eq!(patience.attempt(), Some(Duration::from_secs(4)));
    }

    #[test]
    fn who_is_waited_for_is_named() {
        use types::{Chain, NodeId, NodeInfo};
        let chain = Chain { complete: [NodeId(2), NodeId(3)].into(), ..Chain::default() };
        let mut layout = Layout { chains: vec![chain], ..Layout::default() };
        layout.nodes = (1..=3).map(|id| (NodeId(id), NodeInfo::unborn(NodeId(id)))).collect();
        layout.nodes.get_mut(&NodeId(2)).unwrap().alive = true;
        let said = |layout: &Layout| {
            let mut heard = Heard::default();
            heard.nobody(layout, PartitionId(0));
            heard.conclude(layout)
        };
        let waits = said(&layout);
        assert!(
            matches!(&waits, ClientError::Waiting(why) if why.contains("partition 0 waits for node 3,")),
            "{waits}"
        );
        layout.nodes.get_mut(&NodeId(3)).unwrap().alive = true;
        assert!(matches!(said(&layout), ClientError::Unreachable { .. }), "it begins again");
    }
}
