//! A node's lives: each begins with a registration and lasts as long as its lease is renewed. When the
//! lease was declared void the node has left all its chains, and begins anew.

use crate::lease::Lease;
use std::time::Duration;
use types::{Incarnation, Monotonic, ReplicaId, WallMillis};

/// What a node does next to stay alive in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// [`Life::begin`], then ask to be registered.
    Register,
    /// Ask for the lease again.
    Renew,
    /// Nothing any more.
    End,
}

/// What, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub next: Next,
    /// After this long.
    pub after: Duration,
}

/// The present life, and its lease.
#[derive(Clone, Debug)]
pub struct Life {
    me: ReplicaId,
    /// How long a lease lasts.
    length: Duration,
    lease: Lease,
    /// For good: nothing is granted any more, whatever an answer under way says.
    ended: bool,
}

impl Life {
    /// A process starts; `last` is the last life that its folder knows. It holds no lease.
    pub fn new(last: ReplicaId, length: Duration) -> Life {
        Life { me: last, length, lease: Lease::default(), ended: false }
    }

    /// A new life (invariant 9), whose number is to be durable before anybody hears of it.
    pub fn begin(&mut self, wall: WallMillis) -> ReplicaId {
        self.lease.surrender();
        self.me.incarnation = Incarnation(wall.0).max(Incarnation(self.me.incarnation.0 + 1));
        self.me
    }

    /// Who it is now.
    pub fn me(&self) -> ReplicaId {
        self.me
    }

    /// The lease counts until then.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// What to do first.
    pub fn start(&self) -> Step {
        self.step(Next::Register, Duration::ZERO)
    }

    /// The controller knows this life.
    pub fn registered(&self) -> Step {
        self.step(Next::Renew, Duration::ZERO)
    }

    /// It may or may not know of it: whichever, the next attempt is another life.
    pub fn not_registered(&self) -> Step {
        self.step(Next::Register, self.length / 8)
    }

    /// A lease was granted in answer to a request sent at `sent` (invariant 4).
    pub fn granted(&mut self, sent: Monotonic, length: Duration) -> Step {
        if !self.ended {
            self.lease.granted(sent, length);
        }
        self.step(Next::Renew, self.length / 5)
    }

    /// No answer, or none that says anything of this life.
    pub fn unanswered(&self) -> Step {
        self.step(Next::Renew, self.length / 16)
    }

    /// This life is over.
    pub fn voided(&mut self) -> Step {
        self.lease.surrender();
        self.start()
    }

    /// The node takes no part any more: it failed, stops, or was removed from its cluster.
    pub fn end(&mut self) {
        self.ended = true;
        self.lease.surrender();
    }

    /// Whether it takes no part any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    fn step(&self, next: Next, after: Duration) -> Step {
        match self.ended {
            true => Step { next: Next::End, after: Duration::ZERO },
            false => Step { next, after },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::NodeId;

    const LENGTH: Duration = Duration::from_secs(1);

    fn life() -> Life {
        Life::new(ReplicaId { node: NodeId(3), incarnation: Incarnation(500) }, LENGTH)
    }

    #[test]
    fn every_life_is_later_than_the_last_whatever_the_calendar_says() {
        let mut life = life();
        assert_eq!(life.begin(WallMillis(900)).incarnation, Incarnation(900));
        assert_eq!(life.begin(WallMillis(20)).incarnation, Incarnation(901));
        assert_eq!(life.begin(WallMillis(901)).incarnation, Incarnation(902));
    }

    #[test]
    fn a_new_life_has_no_lease_and_one_that_ended_gets_none() {
        let mut life = life();
        life.begin(WallMillis(900));
        assert_eq!(life.granted(Monotonic(5), LENGTH), Step { next: Next::Renew, after: LENGTH / 5 });
        assert!(life.lease().valid(Monotonic(6)));
        assert_eq!(life.voided().next, Next::Register);
        assert!(!life.lease().valid(Monotonic(6)));
        life.granted(Monotonic(5), LENGTH);
        life.begin(WallMillis(901));
        assert!(!life.lease().valid(Monotonic(6)));
        life.end();
        assert_eq!(life.granted(Monotonic(7), LENGTH).next, Next::End);
        assert!(!life.lease().valid(Monotonic(8)));
        assert_eq!(life.not_registered().next, Next::End);
    }
}
