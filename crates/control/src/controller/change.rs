//! Changes of the layout by command: what they would move, and whether they are safe. Pure.
//!
//! A node leaves in two steps: *draining*, it gives its replicas to others while it serves; *removed*,
//! once it holds nothing, it is no longer of the cluster. So nothing that is wanted ever rests on fewer
//! machines than the command's preview said.

use super::keys::{self, Removal, Settings};
use super::lost::{self, Told};
use super::{plan, release};
use crate::store::{Batch, Expect, Pair, Range};
use placement::Movement;
use rpc::wire::{ChangeLayout, EDITS_MAX, Edit, LayoutPreview, NodeMovement};
use std::collections::{BTreeMap, BTreeSet};
use types::{Layout, LayoutVersion, NodeId, NodeInfo, PartitionId};

/// Largest share: keeps sums of shares far from any overflow.
const CAPACITY_MAX: u64 = 1 << 40;
/// Most replicas of a partition.
const REPLICAS_MAX: u8 = 7;

/// The layout with these edits, and what comes of it. An error: an edit that makes no sense.
pub fn change(layout: &Layout, request: &ChangeLayout, told: &Told) -> Result<(Layout, LayoutPreview), String> {
    let edits = &request.edits;
    if edits.is_empty() || edits.len() > EDITS_MAX {
        return Err(format!("a change has 1 to {EDITS_MAX} edits"));
    }
    let mut next = layout.clone();
    let mut preview = LayoutPreview { layout: layout.version, ..LayoutPreview::default() };
    let mut lost = BTreeMap::new();
    for edit in edits {
        apply(&mut next, *edit, &mut preview, &mut lost)?;
    }
    if !lost.is_empty() {
        let blocks = lost::give_up(&mut next, &lost, told, &mut preview);
        tell_of_loss(&mut preview, &blocks, request.accept_loss);
    }
    let before: Vec<Vec<NodeId>> = layout.chains.iter().map(|chain| chain.wanted.clone()).collect();
    // Nobody may hold anything: then everybody stays where he is until somebody may.
    let planned = plan::wanted(&next).into_iter().zip(&before);
    let after: Vec<Vec<NodeId>> =
        planned.map(|(wanted, old)| if wanted.is_empty() { old.clone() } else { wanted }).collect();
    movement(layout, &before, &after, &mut preview);
    judge(layout, &next, !lost.is_empty(), &mut preview);
    Ok((next, preview))
}

/// What may be missing from the copies that partitions begin again with: to be accepted, or a reason not to do it.
fn tell_of_loss(preview: &mut LayoutPreview, blocks: &[NodeId], accepted: bool) {
    let of = |may_lose: bool| -> Vec<PartitionId> {
        preview.begins.iter().filter(|one| one.may_lose == may_lose).map(|one| one.partition).collect()
    };
    let (safe, lossy) = (of(false), of(true));
    if !safe.is_empty() {
        preview.warnings.push(format!(
            "{} begin again with the longest of several copies whose logs were cut at the end: nothing acknowledged is \
             missing, unless the disks of all of them lost what they had called durable",
            lost::ranges(&safe)
        ));
    }
    let writes = (!lossy.is_empty()).then(|| {
        format!(
            "acknowledged writes may be lost in {}: what the lost machine held after the end of the newest copy that is left",
            lost::ranges(&lossy)
        )
    });
    let blocks = blocks.iter().map(|node| {
        format!("files may be damaged: other nodes do not say that they have every block that node {node} held")
    });
    for text in writes.into_iter().chain(blocks) {
        match accepted {
            true => preview.warnings.push(text),
            false => preview.unsafe_because.push(format!("{text}. If that is to be: --accept-data-loss")),
        }
    }
}

/// The newest change of any node's part in the layout, or of how many copies there are.
pub fn last_change(all: &Range) -> LayoutVersion {
    let counts =
        |pair: &&Pair| pair.key == keys::SETTINGS || pair.key.starts_with("nodes/") || pair.key.starts_with("removed/");
    LayoutVersion(all.pairs.iter().filter(counts).map(|pair| pair.revision).max().unwrap_or(0))
}

/// The batch that carries a change out, valid only while no node's part is another than it was worked
/// out with. None: there is nothing to change. Of whoever is removed, the record says how.
pub fn write(old: &Layout, next: &Layout, all: &Range, record: &Removal) -> Option<Batch> {
    let mut batch = Batch::new();
    for pair in all.pairs.iter().filter(|pair| pair.key.starts_with("nodes/") || pair.key == keys::SETTINGS) {
        batch = batch.expect(&pair.key, Expect::Revision(pair.revision));
    }
    for (id, info) in &old.nodes {
        batch = match next.nodes.get(id) {
            Some(changed) if changed != info => batch.put(keys::node(*id), keys::encode(changed)),
            Some(_) => batch,
            None => {
                batch.delete(keys::node(*id)).delete(keys::holdings(*id)).put(keys::removed(*id), keys::encode(record))
            }
        };
    }
    for (index, chain) in next.chains.iter().enumerate().filter(|(index, chain)| old.chains.get(*index) != Some(chain))
    {
        let key = keys::chain(PartitionId(index as u16));
        let revision = all.pairs.iter().find(|pair| pair.key == key)?.revision;
        batch = batch.expect(&key, Expect::Revision(revision)).put(&key, keys::encode(chain));
    }
    if (next.replicas_wanted, next.replicas_min) != (old.replicas_wanted, old.replicas_min) {
        let pair = all.pairs.iter().find(|pair| pair.key == keys::SETTINGS)?;
        let settings: Settings = keys::decode(pair)?;
        let settings = Settings {
            replicas_wanted: next.replicas_wanted,
            replicas_min: next.replicas_min,
            replicas_min_set: settings.replicas_min_set || next.replicas_min != old.replicas_min,
            ..settings
        };
        batch = batch.put(keys::SETTINGS, keys::encode(&settings));
    }
    (!batch.operations.is_empty()).then_some(batch)
}

fn apply(
    next: &mut Layout,
    edit: Edit,
    preview: &mut LayoutPreview,
    lost: &mut BTreeMap<NodeId, NodeInfo>,
) -> Result<(), String> {
    let no_such = |node: NodeId| format!("node {node} is not a member of this cluster");
    match edit {
        Edit::Drain(node) => {
            let info = next.nodes.get_mut(&node).ok_or_else(|| no_such(node))?;
            info.drains += u32::from(!info.draining);
            info.draining = true;
        }
        Edit::Keep(node) => {
            let info = next.nodes.get_mut(&node).ok_or_else(|| no_such(node))?;
            (info.draining, info.released) = (false, false);
        }
        Edit::Remove(node) | Edit::GiveUp(node) if next.removed.contains(&node) => {}
        Edit::Remove(node) => {
            let info = next.nodes.remove(&node).ok_or_else(|| no_such(node))?;
            next.removed.insert(node);
            preview.unsafe_because.extend(still_needed(next, &info));
        }
        Edit::GiveUp(node) => {
            let info = next.nodes.remove(&node).ok_or_else(|| no_such(node))?;
            if info.alive {
                preview.unsafe_because.push(format!("node {node} is alive: `atoll cluster drain {node}` moves it off"));
            }
            next.removed.insert(node);
            lost.insert(node, info);
        }
        Edit::Capacity(_, 0) => return Err("a share of 0 would hold nothing: drain the node instead".into()),
        Edit::Capacity(_, share) if share > CAPACITY_MAX => {
            return Err(format!("a share is {CAPACITY_MAX} at most"));
        }
        Edit::Capacity(node, share) => {
            let info = next.nodes.get_mut(&node).ok_or_else(|| no_such(node))?;
            (info.capacity, info.capacity_set) = (share, Some(share));
        }
        Edit::Replicas(count @ 1..=REPLICAS_MAX) => next.replicas_wanted = count,
        Edit::ReplicasMin(count @ 1..=REPLICAS_MAX) => next.replicas_min = count,
        Edit::Replicas(_) | Edit::ReplicasMin(_) => return Err(format!("there are 1 to {REPLICAS_MAX} copies")),
    }
    Ok(())
}

/// `1 node`, `2 nodes`.
fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn copies(n: usize) -> String {
    if n == 1 { "1 copy".into() } else { format!("{n} copies") }
}

/// Why that node cannot go yet, if it cannot.
fn still_needed(next: &Layout, info: &NodeInfo) -> Option<String> {
    let node = info.id;
    let held = next.chains.iter().filter(|chain| chain.member(node).is_some()).count();
    if held > 0 {
        return Some(format!(
            "node {node} still holds {}: `atoll cluster drain {node}` moves it off",
            count(held, "partition")
        ));
    }
    if !info.draining {
        return Some(format!("node {node} is to hold data: `atoll cluster drain {node}` first"));
    }
    let short = next.chains.iter().filter(|chain| !release::whole(chain, node)).count();
    if short > 0 {
        return Some(format!(
            "{} not yet whole on other nodes: wait until `atoll cluster status` shows all complete",
            if short == 1 { "1 partition is".into() } else { format!("{short} partitions are") }
        ));
    }
    (!info.released).then(|| {
        if !info.alive {
            return format!(
                "node {node} is down, and other nodes do not say yet that they have every block that it held: start it, or \
                 wait until `atoll cluster layout` shows it drained; if it is lost for good: `atoll cluster remove {node} \
                 --lost --plan`"
            );
        }
        format!(
            "other nodes do not say yet that they have every block that node {node} held; each reads all of its own again \
             first: wait until `atoll cluster layout` shows it drained"
        )
    })
}

fn movement(layout: &Layout, before: &[Vec<NodeId>], after: &[Vec<NodeId>], preview: &mut LayoutPreview) {
    let count = |lists: &[Vec<NodeId>], node: NodeId| lists.iter().filter(|list| list.contains(&node)).count() as u32;
    let moved = Movement::between(before, after);
    let of = |moves: &BTreeMap<NodeId, usize>, node| moves.get(&node).map_or(0, |count| *count as u32);
    preview.copies = moved.copies() as u32;
    let movement = |node: NodeId| NodeMovement {
        before: count(before, node),
        after: count(after, node),
        gained: of(&moved.gained, node),
        lost: of(&moved.lost, node),
    };
    preview.nodes = layout.nodes.keys().map(|node| (*node, movement(*node))).collect();
}

fn judge(old: &Layout, next: &Layout, lost: bool, preview: &mut LayoutPreview) {
    let holders: Vec<_> = next.nodes.values().filter(|node| !node.draining && node.capacity > 0).collect();
    let alive = holders.iter().filter(|node| node.alive).count();
    if lost && alive < usize::from(next.replicas_min.max(1)) {
        // They are lost, whether it is said or not.
        preview.warnings.push(format!(
            "writes are refused until {} that hold data are up: a write needs as many copies",
            count(next.replicas_min.into(), "node")
        ));
    } else if holders.len() < usize::from(next.replicas_min.max(1)) {
        preview.unsafe_because.push(format!(
            "{} would be left to hold data, and a write needs {}",
            count(holders.len(), "node"),
            copies(next.replicas_min.into())
        ));
    } else if alive < usize::from(next.replicas_min.max(1)) {
        preview.unsafe_because.push(format!(
            "of the nodes that would be left {alive} would be up, and a write needs {}",
            copies(next.replicas_min.into())
        ));
    }
    if next.replicas_min > next.replicas_wanted {
        preview.unsafe_because.push(format!(
            "a write would need {}, more than are kept ({})",
            copies(next.replicas_min.into()),
            next.replicas_wanted
        ));
    }
    if holders.len() < usize::from(next.replicas_wanted) {
        preview.warnings.push(format!(
            "there will be {} of everything instead of {} until another node joins",
            copies(holders.len()),
            next.replicas_wanted
        ));
    }
    if holders.len().min(next.replicas_wanted.into()) == 1 && next.nodes.len() > 1 {
        preview.warnings.push(
            "everything will be in one copy: the death of one machine then loses, for good, what it holds".into(),
        );
    }
    if next.replicas_min < old.replicas_min {
        preview
            .warnings
            .push(format!("a write will be acknowledged once it is on {}", count(next.replicas_min.into(), "node")));
    }
    let zones = |layout: &Layout| -> BTreeSet<String> {
        let holding = layout.nodes.values().filter(|node| !node.draining && node.capacity > 0);
        holding.map(|node| node.zone.clone()).collect()
    };
    let (before, after) = (zones(old).len(), zones(next).len());
    if after < before && after < usize::from(next.replicas_wanted) {
        preview.warnings.push(format!("copies will be spread over {} instead of {before}", count(after, "zone")));
    }
    for node in next.nodes.values().filter(|node| node.draining && !node.alive) {
        let holds = old.chains.iter().any(|chain| chain.members.is_empty() && chain.complete.contains(&node.id));
        if holds {
            preview.unsafe_because.push(format!(
                "node {0} is down and some partitions have no other complete copy: start it, or wait for the others; if \
                 it is lost for good: `atoll cluster remove {0} --lost --plan`",
                node.id
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Chain, ChainMember, Epoch, Incarnation, MemberState, ReplicaId};

    fn node(id: u64) -> NodeInfo {
        NodeInfo { incarnation: Incarnation(1), alive: true, capacity: 100, ..NodeInfo::unborn(NodeId(id)) }
    }

    /// So many nodes, with everything where it is wanted.
    fn cluster(nodes: u64) -> Layout {
        let mut layout = Layout {
            replicas_wanted: 3,
            replicas_min: 2,
            nodes: (1..=nodes).map(|id| (NodeId(id), node(id))).collect(),
            chains: vec![Chain::default(); 64],
            ..Layout::default()
        };
        settle(&mut layout);
        layout
    }

    /// What the controller does in time.
    fn settle(layout: &mut Layout) {
        let wanted = plan::wanted(layout);
        for (chain, wanted) in layout.chains.iter_mut().zip(wanted) {
            let member = |id: &NodeId| ChainMember {
                replica: ReplicaId { node: *id, incarnation: Incarnation(1) },
                state: MemberState::Serving,
            };
            chain.epoch = Epoch(chain.epoch.0 + 1);
            chain.members = wanted.iter().map(member).collect();
            chain.complete = wanted.iter().copied().collect();
            chain.wanted = wanted;
        }
    }

    fn changed(layout: &Layout, edits: &[Edit]) -> Result<(Layout, LayoutPreview), String> {
        change(layout, &ChangeLayout { edits: edits.to_vec(), ..ChangeLayout::default() }, &Told::default())
    }

    #[test]
    fn a_drained_node_gives_everything_away_and_can_then_be_removed() {
        let (mut next, preview) = changed(&cluster(4), &[Edit::Drain(NodeId(4))]).unwrap();
        assert_eq!(preview.unsafe_because, Vec::<String>::new());
        assert_eq!(preview.warnings, Vec::<String>::new());
        assert_eq!(preview.copies, 48);
        assert_eq!(preview.nodes[&NodeId(4)], NodeMovement { before: 48, after: 0, gained: 0, lost: 48 });
        let refused = changed(&next, &[Edit::Remove(NodeId(4))]).unwrap().1;
        assert!(refused.unsafe_because[0].contains("still holds 48"), "{refused:?}");
        settle(&mut next);
        let refused = changed(&next, &[Edit::Remove(NodeId(4))]).unwrap().1;
        assert!(refused.unsafe_because[0].contains("every block that node 4 held"), "{refused:?}");
        next.nodes.get_mut(&NodeId(4)).unwrap().released = true;
        let kept = changed(&next, &[Edit::Keep(NodeId(4))]).unwrap().0;
        assert!(!kept.nodes[&NodeId(4)].released);
        let (next, preview) = changed(&next, &[Edit::Remove(NodeId(4))]).unwrap();
        assert_eq!(preview.unsafe_because, Vec::<String>::new());
        assert!(next.removed.contains(&NodeId(4)) && !next.nodes.contains_key(&NodeId(4)));
        // Said again, it is done already.
        assert_eq!(changed(&next, &[Edit::Remove(NodeId(4))]).unwrap().0, next);
        assert!(changed(&next, &[Edit::Drain(NodeId(4))]).unwrap_err().contains("not a member"));
    }

    #[test]
    fn fewer_nodes_than_a_write_needs_are_refused_and_fewer_than_wanted_are_told() {
        let (next, preview) = changed(&cluster(3), &[Edit::Drain(NodeId(1))]).unwrap();
        assert!(preview.unsafe_because.is_empty() && preview.warnings[0].contains("2 copies"), "{preview:?}");
        let preview = changed(&next, &[Edit::Drain(NodeId(2))]).unwrap().1;
        assert!(preview.unsafe_because[0].contains("needs 2"), "{preview:?}");
        let lowered = changed(&next, &[Edit::ReplicasMin(1), Edit::Drain(NodeId(2))]).unwrap().1;
        assert!(lowered.unsafe_because.is_empty() && lowered.warnings.len() == 3, "{lowered:?}");
    }

    #[test]
    fn that_one_copy_dies_with_its_machine_is_told() {
        let preview = changed(&cluster(3), &[Edit::Replicas(1), Edit::ReplicasMin(1)]).unwrap().1;
        assert!(preview.unsafe_because.is_empty(), "{preview:?}");
        assert!(preview.warnings.iter().any(|text| text.contains("the death of one machine")), "{preview:?}");
        let preview = changed(&cluster(3), &[Edit::Replicas(2)]).unwrap().1;
        assert_eq!(preview.warnings, Vec::<String>::new());
    }

    #[test]
    fn a_node_with_the_only_complete_copy_is_not_removed() {
        let (mut next, _) = changed(&cluster(4), &[Edit::Drain(NodeId(4))]).unwrap();
        settle(&mut next);
        next.chains[7].members.clear();
        next.chains[7].complete = BTreeSet::from([NodeId(4)]);
        let preview = changed(&next, &[Edit::Remove(NodeId(4))]).unwrap().1;
        assert!(preview.unsafe_because[0].contains("1 partition is not yet whole"), "{preview:?}");
    }

    #[test]
    fn nonsense_is_refused() {
        let layout = cluster(3);
        for edit in [Edit::Drain(NodeId(9)), Edit::Capacity(NodeId(1), 0), Edit::Replicas(0), Edit::ReplicasMin(200)] {
            assert!(changed(&layout, &[edit]).is_err(), "{edit:?}");
        }
        assert!(changed(&layout, &[]).is_err());
    }
}
