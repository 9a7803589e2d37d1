//! What administrators do: shares, copies, draining and removing, through the real judgement and the real batch
//! ([`change`]); machines whose disks are lost, and what takes their place.

use super::World;
use super::control::Why;
use super::event::Event;
use super::machine::Machine;
use crate::invariants::Observed;
use crate::scenario::MS;
use control::controller::change;
use control::controller::keys::Removal;
use rpc::wire::{ChangeLayout, Edit};
use types::{BlockHash, Chain, Incarnation, MemberState, NodeId, NodeInfo};

/// Something that an administrator wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    edit: Edit,
    /// He insists, whatever the answer.
    insists: bool,
}

/// What rots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rot {
    Log,
    /// What was synced last: nothing behind it proves that it was durable once.
    LogEnd,
    Tables,
}

impl World {
    pub(crate) fn wish(&mut self, edit: Edit, insists: bool) {
        self.wishes_made += 1;
        let id = self.wishes_made;
        self.wishes.insert(id, Wish { edit, insists });
        self.at(self.now + MS, Event::Act(id));
    }

    /// Tries what is wished for, as `Controller::change_layout` does.
    pub(crate) fn act(&mut self, id: u64) {
        let Some(wish) = self.wishes.get(&id).copied() else { return };
        let Some(leader) = self.control.leader.filter(|leader| self.confirmed(leader.machine).is_some()) else {
            return self.refused(id);
        };
        let known = self.control.known.clone();
        let lost = |node: NodeId| self.machine_of(node).is_none();
        let leaving = |node: NodeId| known.layout.nodes.get(&node).is_some_and(NodeInfo::leaving);
        let wish = match wish.edit {
            // Whoever drained it thought better of it, or nobody can any more.
            Edit::Remove(node) if known.layout.nodes.get(&node).is_some_and(|info| !info.draining) => {
                Wish { edit: Edit::Drain(node), ..wish }
            }
            Edit::Keep(node) if lost(node) => Wish { edit: Edit::Remove(node), ..wish },
            // What waits for it waits in vain; and when it is not needed after all, it goes as any other.
            Edit::Remove(node) | Edit::Drain(node) if lost(node) && (self.waited_for(node) || leaving(node)) => {
                Wish { edit: Edit::GiveUp(node), ..wish }
            }
            Edit::GiveUp(node) if !self.waited_for(node) && !leaving(node) => Wish { edit: Edit::Remove(node), ..wish },
            _ => wish,
        };
        self.wishes.insert(id, wish);
        // The torn copies may be fewer than two where maps that were under way as the power went took effect later, and
        // then nobody can know that the longest has everything. It has: what is lost is found out.
        let accept_loss = self.healed && matches!(wish.edit, Edit::GiveUp(_));
        let request = ChangeLayout { edits: vec![wish.edit], apply: true, accept_loss, ..ChangeLayout::default() };
        let told = self.copies_known(leader.machine, &known);
        let Ok((next, preview)) = change::change(&known.layout, &request, &told) else {
            self.wishes.remove(&id);
            return;
        };
        let careless = self.bugs.removed_while_needed() && matches!(wish.edit, Edit::Remove(_));
        if !preview.unsafe_because.is_empty() && !careless {
            self.strike("acts refused as unsafe");
            self.log(format_args!("refused: {:?}: {}", wish.edit, preview.unsafe_because.join("; ")));
            return self.refused(id);
        }
        if matches!(wish.edit, Edit::Remove(node) if !self.retires(leader.machine, node)) {
            return self.refused(id);
        }
        match change::write(&known.layout, &next, &known.all, &Removal::default()) {
            None => self.acted(id, true),
            Some(batch) => {
                self.commit_soon(leader.machine, leader.token, batch.fenced(leader.token), Why::Act(id));
            }
        }
    }

    fn refused(&mut self, id: u64) {
        if self.wishes.get(&id).is_some_and(|wish| wish.insists) {
            let after = self.random.between(100, 400) * MS;
            self.at(self.now + after, Event::Act(id));
        } else {
            self.wishes.remove(&id);
        }
    }

    /// The store has answered.
    pub(crate) fn acted(&mut self, id: u64, applied: bool) {
        if !applied {
            return self.at(self.now + 100 * MS, Event::Act(id));
        }
        let Some(wish) = self.wishes.remove(&id) else { return };
        self.log(format_args!("done: {:?}", wish.edit));
        let later = self.random.between(200, 5000) * MS;
        match wish.edit {
            Edit::Drain(node) => {
                self.strike("nodes drained");
                let stays = self.machine_of(node).is_some() && self.random.permille(400);
                let next = if stays { Edit::Keep(node) } else { Edit::Remove(node) };
                self.wishes_made += 1;
                self.wishes.insert(self.wishes_made, Wish { edit: next, insists: true });
                self.at(self.now + later, Event::Act(self.wishes_made));
            }
            Edit::Keep(_) => self.strike("drains called off"),
            Edit::Remove(node) => {
                self.strike("nodes removed");
                // The machine may be used again, once it has heard; or if it is not on.
                if let Some(m) = self.machine_of(node) {
                    self.at(self.now + later, Event::Replace(m));
                }
            }
            Edit::Capacity(..) => self.strike("shares changed"),
            Edit::GiveUp(_) => self.strike("lost machines given up"),
            Edit::Replicas(_) => self.strike("copies changed"),
            Edit::ReplicasMin(_) => {}
        }
    }

    /// One at a time is drained.
    pub(crate) fn drain(&mut self, node: NodeId) {
        let busy = self.control.layout.nodes.values().any(|node| node.draining);
        let leaves = |wish: &Wish| matches!(wish.edit, Edit::Drain(_) | Edit::Remove(_));
        if !busy && !self.wishes.values().any(leaves) {
            if self.random.permille(400) {
                self.rot_all_but(node);
            }
            self.wish(Edit::Drain(node), false);
        }
    }

    /// Of many blocks the node has the only good copy from now on, and nobody knows.
    fn rot_all_but(&mut self, node: NodeId) {
        let others = self.machines.iter().enumerate().filter(|(_, machine)| machine.node != node);
        let others: Vec<usize> = others.map(|(m, _)| m).collect();
        for m in others {
            let hashes: Vec<_> = self.machines[m].blocks.files.keys().copied().collect();
            hashes.into_iter().for_each(|hash| self.rot_this(m, hash));
        }
    }

    /// Whether some partition that nobody serves counts on the node.
    fn waited_for(&self, node: NodeId) -> bool {
        let waits = |chain: &Chain| chain.members.is_empty() && chain.complete.contains(&node);
        self.control.layout.chains.iter().any(waits)
    }

    /// Whether the cluster counts on the node to hold every acknowledged write of some partition.
    fn counted_on(&self, node: NodeId) -> bool {
        self.control.layout.chains.iter().any(|chain| chain.complete.contains(&node))
    }

    /// Whether some partition has no other complete replica.
    pub(crate) fn alone(&self, node: NodeId) -> bool {
        self.control.layout.chains.iter().any(|chain| chain.complete.contains(&node) && chain.complete.len() == 1)
    }

    /// A node that does not come back as it was, and that the cluster counts on all the same.
    pub(crate) fn doomed_is_counted(&self) -> bool {
        let nodes = self.control.layout.nodes.keys();
        let doomed = |node: &&NodeId| self.machine_of(**node).is_none_or(|m| self.machines[m].rotten);
        nodes.filter(doomed).any(|node| self.counted_on(*node))
    }

    /// Whether the cluster bears the loss of this machine's disk at this moment: what is promised is the loss of
    /// one machine while everything is whole. `others`: so many serve besides it, wherever it is counted on.
    fn bears_the_loss_of(&self, m: usize, others: usize) -> bool {
        let node = self.machines[m].node;
        let whole = |chain: &Chain| {
            let serves = chain.complete.iter().filter(|one| {
                let state = chain.member(**one).map(|member| member.state);
                **one != node && matches!(state, Some(MemberState::Serving | MemberState::Departing))
            });
            !chain.complete.contains(&node) || serves.count() >= others
        };
        node != NodeId(0)
            && !self.doomed_is_counted()
            && self.calm()
            && self.voters_remain_without(node)
            && self.blocks_elsewhere(m)
            && self.control.layout.chains.iter().all(whole)
    }

    /// A disk is lost for good, and the cluster has not come to terms with it yet. One machine at a time.
    pub(crate) fn loss_under_way(&self) -> bool {
        let mut nodes = self.control.layout.nodes.keys();
        nodes.any(|node| self.machine_of(*node).is_none() && self.counted_on(*node))
    }

    /// Everybody is up, hears everybody, and has had his lease renewed lately.
    fn calm(&self) -> bool {
        let soon = self.now + self.scenario.lease.as_nanos() as u64 / 2;
        let leased = |machine: &Machine| {
            let lease = machine.process.as_ref().map(|process| process.life.lease());
            machine.up() && lease.is_some_and(|lease| lease.valid(machine.clock.monotonic(soon)))
        };
        let led = self.control.leader.is_some_and(|leader| self.confirmed(leader.machine).is_some());
        let damaged = |machine: &Machine| machine.node == NodeId(0) || machine.rotten;
        led && self.network.whole() && self.machines.iter().all(|machine| damaged(machine) || leased(machine))
    }

    fn voters_remain_without(&self, node: NodeId) -> bool {
        let voters = &self.control.voters;
        let sound = |m: usize| !self.machines[m].rotten;
        let stays = |voter: &&NodeId| **voter != node && self.machine_of(**voter).is_some_and(sound);
        voters.iter().filter(stays).count() * 2 > voters.len()
    }

    /// The disk is lost, all at once; now and then in a loss of power that all machines suffer, after which the
    /// ends of all the others' logs may be torn.
    pub(crate) fn wipe(&mut self, m: usize) {
        if self.bears_the_loss_of(m, 2) && self.machines[m].process.is_some() {
            self.strike("disks wiped");
            if self.random.permille(500) {
                self.strike("disks wiped as all lost power");
                for one in (0..self.machines.len()).filter(|one| *one != m) {
                    self.end_process(one, true);
                    if self.machines[one].node != NodeId(0) && !self.machines[one].rotten {
                        self.machines[one].engine.tear();
                        self.strike("torn log ends");
                    }
                }
            }
            self.replace_now(m);
        }
    }

    /// Whether every block on this machine is whole on another of the cluster's, too.
    fn blocks_elsewhere(&self, m: usize) -> bool {
        let others = |hash| {
            self.machines.iter().enumerate().any(|(other, machine)| {
                let member = self.control.layout.nodes.contains_key(&machine.node);
                other != m && member && machine.blocks.files.get(hash) == Some(&true)
            })
        };
        self.machines[m].blocks.files.keys().all(others)
    }

    /// Whether a node of the block's chain, which stays there, has a good copy besides this machine.
    fn good_stays(&self, m: usize, hash: &BlockHash) -> bool {
        let chain = &self.control.layout.chains[hash.partition(self.scenario.partitions).0 as usize];
        let stays = |node: NodeId| self.control.layout.nodes.get(&node).is_some_and(|info| !info.draining);
        chain.members.iter().map(|member| member.replica.node).any(|node| {
            let other = self.machine_of(node).filter(|other| *other != m && stays(node));
            other.is_some_and(|other| self.machines[other].blocks.files.get(hash) == Some(&true))
        })
    }

    /// A block's file rots, unnoticed for now; never the last good one of those that are counted on.
    pub(crate) fn rot_block(&mut self, m: usize) {
        let hashes: Vec<_> = self.machines[m].blocks.files.keys().copied().collect();
        if let Some(hash) = self.random.pick(&hashes).copied() {
            self.rot_this(m, hash);
        }
    }

    fn rot_this(&mut self, m: usize, hash: BlockHash) {
        if self.good_stays(m, &hash) && self.machines[m].blocks.files.insert(hash, false) == Some(true) {
            let node = self.machines[m].node;
            self.strike("blocks rotten");
            self.observe(Observed::BlockGone { node, hash });
        }
    }

    /// Something on the disk rots, unnoticed for now.
    pub(crate) fn rot(&mut self, m: usize, what: Rot) {
        // A log that ends early is brought up to date; one with a hole is lost.
        let others = if what == Rot::LogEnd { 1 } else { 2 };
        if !self.bears_the_loss_of(m, others) || self.machines[m].process.is_none() {
            return;
        }
        let engine = self.machines[m].engine.clone();
        let rotten = match what {
            Rot::Log => engine.rot_log(false, &mut self.random),
            Rot::LogEnd => engine.rot_log(true, &mut self.random),
            Rot::Tables => engine.rot_tables(&mut self.random),
        };
        if rotten {
            self.machines[m].rotten = true;
            let node = self.machines[m].node;
            self.observe(Observed::Rotten { node });
            self.strike(match what {
                Rot::Log => "log records rotten",
                Rot::LogEnd => "log ends rotten",
                Rot::Tables => "table items rotten",
            });
        }
    }

    /// What the disk holds is not whole: the process says so, and ends.
    pub(crate) fn refuses_to_start(&mut self, m: usize, why: &str) {
        let node = self.machines[m].node;
        self.log(format_args!("{node} refuses to start: {why}"));
        if !self.machines[m].rotten {
            return self.fail(format!("{node} refuses to start, and nothing rots: {why}"));
        }
        self.strike("rot found at a start");
        let after = self.random.between(300, 3000) * MS;
        self.at(self.now + after, Event::Replace(m));
    }

    /// Somebody looks after a machine that was removed, or whose disk is damaged.
    pub(crate) fn replace(&mut self, m: usize) {
        let node = self.machines[m].node;
        let removed = !self.control.layout.nodes.contains_key(&node);
        if node == NodeId(0) || !(removed || self.machines[m].rotten) {
            return;
        }
        let known = !self.counted_on(node) || (self.calm() && self.others_hold(node));
        let free = removed || (known && self.blocks_elsewhere(m));
        if free && self.voters_remain_without(node) {
            return self.replace_now(m);
        }
        let last_voter = self.healed && !self.voters_remain_without(node);
        let last_block = self.healed && !self.blocks_elsewhere(m);
        if removed || !(self.alone(node) || last_voter || last_block) {
            return self.at(self.now + 300 * MS, Event::Replace(m));
        }
        self.stop(m, false);
        self.mend(m);
        self.at(self.now + MS, Event::Start(m));
    }

    /// More than is promised: the last whole copy is damaged. It turns out not to be so bad.
    pub(crate) fn mend(&mut self, m: usize) {
        let machine = &mut self.machines[m];
        machine.engine.mend();
        machine.rotten = false;
        let node = machine.node;
        self.strike("rot undone: nobody else had it all");
        self.observe(Observed::Sound { node });
    }

    /// Wherever the node is counted on, others are, too, and can begin without it.
    fn others_hold(&self, node: NodeId) -> bool {
        let begun = |chain: &Chain| {
            chain.members.iter().any(|member| {
                member.replica.node != node
                    && member.state != MemberState::Syncing
                    && chain.complete.contains(&member.replica.node)
            })
        };
        self.control.layout.chains.iter().all(begun) && !self.alone(node)
    }

    /// An empty disk; the machine joins as another node, and the old one is removed.
    fn replace_now(&mut self, m: usize) {
        self.stop(m, false);
        let machine = &mut self.machines[m];
        let old = std::mem::replace(&mut machine.node, NodeId(0));
        machine.incarnation = Incarnation(0);
        machine.rotten = false;
        machine.engine.wipe();
        machine.blocks.files.clear();
        self.log(format_args!("{old} has an empty disk"));
        self.observe(Observed::Wiped { node: old });
        if self.control.layout.nodes.contains_key(&old) {
            self.wish(Edit::Drain(old), true);
        }
        let after = self.random.between(1, 2000) * MS;
        self.at(self.now + after, Event::Join(m));
    }
}
