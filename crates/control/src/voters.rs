//! Which members of the metadata's Raft group should vote. Pure.
//!
//! Voters are one, then three, then five; never two, for two voters survive no
//! more losses than one, and stop when either is lost. Proved by the property tests below.

use std::collections::BTreeSet;
use types::NodeId;

/// A member, as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Node.
    pub id: NodeId,
    /// Votes now.
    pub is_voter: bool,
    /// Has answered lately.
    pub alive: bool,
    /// Holds nearly all of the log. Without meaning for voters.
    pub caught_up: bool,
    /// Is about to leave the cluster: others are to vote in its place.
    pub leaving: bool,
}

impl Candidate {
    fn ready(&self) -> bool {
        self.alive && !self.leaving && (self.is_voter || self.caught_up)
    }
}

/// The voters that there should be, if they differ from those that there are.
///
/// - Grows to three or five as soon as so many members are alive and have caught up.
/// - A dead or leaving voter is replaced by a live learner that has caught up, if there is one.
/// - A live voter is kept, except that two become one, four become three, and five are the most.
/// - Nothing is changed unless majorities both of the old and of the new voters are alive.
pub fn desired(members: &[Candidate]) -> Option<BTreeSet<NodeId>> {
    let voters: Vec<&Candidate> = members.iter().filter(|member| member.is_voter).collect();
    let ready = members.iter().filter(|member| member.ready()).count();
    let size = match (voters.len().min(5)).max(ready.min(5)) {
        5 => 5,
        3 | 4 => 3,
        _ => 1,
    };
    choose(members, size, None)
}

/// The voters that there should be once `gone` is removed. `None` when that is
/// not possible now: too few others are alive. Not one alone while there are three others,
/// of whom some may only be away for a moment: its death would be that of the metadata.
pub fn without(members: &[Candidate], gone: NodeId) -> Option<BTreeSet<NodeId>> {
    let others = members.iter().filter(|member| member.id != gone && !member.leaving).count();
    let ready = members.iter().filter(|member| member.id != gone && member.ready()).count();
    let size = match (others, ready) {
        (_, 0) => return None,
        (0..=2, _) => 1,
        (_, 5..) => 5,
        _ => 3,
    };
    choose(members, size, Some(gone))
}

fn choose(members: &[Candidate], size: usize, gone: Option<NodeId>) -> Option<BTreeSet<NodeId>> {
    let old: BTreeSet<NodeId> = members.iter().filter(|member| member.is_voter).map(|member| member.id).collect();
    let mut order: Vec<&Candidate> =
        members.iter().filter(|member| Some(member.id) != gone && (member.is_voter || member.ready())).collect();
    // Live voters, then live learners, then those that leave but are still there, then dead voters, which
    // are better than none: they may return.
    order.sort_by_key(|member| (!member.alive, member.leaving, !member.is_voter, member.id));
    let new: BTreeSet<NodeId> = order.into_iter().take(size).map(|member| member.id).collect();
    let majority_lives = |voters: &BTreeSet<NodeId>| {
        let alive = members.iter().filter(|member| member.alive && voters.contains(&member.id)).count();
        alive * 2 > voters.len()
    };
    (new != old && new.len() == size && majority_lives(&old) && majority_lives(&new)).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members() -> impl Strategy<Value = Vec<Candidate>> {
        proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 1..9).prop_map(
            |flags| {
                let member = |(n, (is_voter, alive, caught_up, leaving))| Candidate {
                    id: NodeId(n),
                    is_voter,
                    alive,
                    caught_up,
                    leaving,
                };
                (1..).zip(flags).map(member).collect()
            },
        )
    }

    fn find(members: &[Candidate], id: NodeId) -> Candidate {
        *members.iter().find(|member| member.id == id).unwrap()
    }

    fn check(members: &[Candidate], new: &BTreeSet<NodeId>) -> Result<(), TestCaseError> {
        prop_assert!([1, 3, 5].contains(&new.len()), "{} voters", new.len());
        let chosen: Vec<Candidate> = new.iter().map(|id| find(members, *id)).collect();
        prop_assert!(chosen.iter().all(|member| member.is_voter || (member.alive && member.caught_up)));
        prop_assert!(chosen.iter().filter(|member| member.alive).count() * 2 > new.len());
        let old: Vec<&Candidate> = members.iter().filter(|member| member.is_voter).collect();
        prop_assert!(old.iter().filter(|member| member.alive).count() * 2 > old.len());
        Ok(())
    }

    proptest! {
        #[test]
        fn desired_voters_are_safe_and_settle(mut members in members()) {
            let old: BTreeSet<NodeId> = members.iter().filter(|m| m.is_voter).map(|m| m.id).collect();
            let Some(new) = desired(&members) else { return Ok(()) };
            check(&members, &new)?;
            // A live voter is dropped only to get rid of an even or too large number, or because it leaves.
            let stays = |id: &&NodeId| find(&members, **id).alive && !find(&members, **id).leaving;
            let dropped = old.difference(&new).filter(stays).count();
            prop_assert!(dropped == 0 || old.len() > new.len(), "{old:?} → {new:?}");
            // Never smaller without need.
            prop_assert!(new.len() >= old.len() || ![1, 3, 5].contains(&old.len()));
            members.iter_mut().for_each(|member| member.is_voter = new.contains(&member.id));
            prop_assert_eq!(desired(&members), None);
        }

        #[test]
        fn removal_leaves_safe_voters(members in members(), n in 0usize..8) {
            let gone = members[n % members.len()].id;
            let Some(new) = without(&members, gone) else { return Ok(()) };
            check(&members, &new)?;
            prop_assert!(!new.contains(&gone));
        }
    }

    fn group(voters: &str) -> Vec<Candidate> {
        // V: live voter, v: dead voter, X: live voter that leaves, L: live learner, l: dead learner, n: learner that is behind.
        let member = |(n, kind): (u64, char)| Candidate {
            id: NodeId(n),
            is_voter: matches!(kind, 'V' | 'v' | 'X'),
            alive: kind != 'v' && kind != 'l',
            caught_up: kind != 'n',
            leaving: kind == 'X',
        };
        (1..).zip(voters.chars()).map(member).collect()
    }

    fn ids(ids: &[u64]) -> Option<BTreeSet<NodeId>> {
        Some(ids.iter().copied().map(NodeId).collect())
    }

    #[test]
    fn known_cases() {
        assert_eq!(desired(&group("V")), None);
        assert_eq!(desired(&group("VL")), None);
        assert_eq!(desired(&group("VLn")), None);
        assert_eq!(desired(&group("VLL")), ids(&[1, 2, 3]));
        assert_eq!(desired(&group("VVVL")), None);
        assert_eq!(desired(&group("VVVLL")), ids(&[1, 2, 3, 4, 5]));
        assert_eq!(desired(&group("VvV")), None);
        assert_eq!(desired(&group("VvVL")), ids(&[1, 3, 4]));
        assert_eq!(desired(&group("VvvL")), None);
        assert_eq!(desired(&group("VVVvv")), None);
        assert_eq!(desired(&group("VVVvvL")), ids(&[1, 2, 3, 4, 6]));
        assert_eq!(desired(&group("XVVL")), ids(&[2, 3, 4]));
        assert_eq!(desired(&group("XVV")), None, "better than one voter");
        assert_eq!(desired(&group("VV")), ids(&[1]));
        assert_eq!(desired(&group("VVVV")), ids(&[1, 2, 3]));
        assert_eq!(without(&group("VVV"), NodeId(3)), ids(&[1]));
        assert_eq!(without(&group("VVVL"), NodeId(1)), ids(&[2, 3, 4]));
        assert_eq!(without(&group("VVvL"), NodeId(1)), ids(&[2, 3, 4]), "two of three live");
        assert_eq!(without(&group("VVVn"), NodeId(1)), None, "the fourth has yet to catch up");
        assert_eq!(without(&group("VVvl"), NodeId(1)), None, "not one alone while there are others");
        assert_eq!(without(&group("VVv"), NodeId(3)), ids(&[1]));
        assert_eq!(without(&group("V"), NodeId(1)), None);
    }
}
