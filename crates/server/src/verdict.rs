//! The answer to "Can you lose a machine now?": how many may go follows from the copies that each partition really has,
//! from blocks that are missing, from what a write needs, and from who votes. Pure.

use crate::output::{count, nodes as names};
use client::{ClusterStatus, NodeState, NodeStatus};

/// How many more machines may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Margins {
    /// And everything acknowledged is there still.
    data: u32,
    /// And everything can be written still.
    writes: u32,
    /// And the control plane still decides; none: it is elsewhere.
    control: Option<u32>,
}

/// In a sentence or two. `flag` is what a suggested command needs at its end.
pub fn verdict(status: &ClusterStatus, flag: &str) -> String {
    let bad = idle(status).or_else(|| unserved(status, flag)).or_else(|| few(status, flag));
    bad.or_else(|| at_risk(status, flag)).unwrap_or_else(|| margin(status, flag))
}

/// Nobody who answers has a lease: what the map says is old, and nobody is served.
pub fn idle(status: &ClusterStatus) -> Option<String> {
    let reports: Vec<_> = reports(status).collect();
    if reports.is_empty() || reports.iter().any(|report| report.lease_valid) {
        return None;
    }
    let here = names(status.nodes.iter().filter(|node| node.report.is_ok()).map(|node| node.id));
    let away: Vec<_> = status.nodes.iter().filter(|node| node.report.is_err()).map(|node| node.id).collect();
    let rest = "Everything that was acknowledged is on the machines' disks, and stale reads (--stale) go on.";
    Some(match away.is_empty() {
        true => format!("No: the cluster does not serve now: no lease on {here}. {rest}"),
        false => format!(
            "No: the cluster does not serve. There is an answer, and no lease, on {here}, for most of the machines \
             that decide are away ({}): start them. {rest}",
            names(away)
        ),
    })
}

fn reports(status: &ClusterStatus) -> impl Iterator<Item = &NodeStatus> {
    status.nodes.iter().filter_map(|node| node.report.as_ref().ok())
}

/// Something is not served, or not wholly, already.
fn unserved(status: &ClusterStatus, flag: &str) -> Option<String> {
    let parts = &status.partitions;
    if parts.unavailable > 0 {
        let waits = match parts.waits_for.first() {
            None => "They are beginning again, or wait for the machine that has the newest copy.".to_string(),
            Some(first) => format!(
                "They wait for {}, which {} what was acknowledged last: start {}. If lost for good: atoll cluster remove \
                 {first} --lost --plan{flag}",
                names(parts.waits_for.iter().copied()),
                if parts.waits_for.len() == 1 { "is down and holds" } else { "are down and hold" },
                if parts.waits_for.len() == 1 { "it" } else { "them" },
            ),
        };
        let what = format!("{} of {} partitions have no serving copy now.", parts.unavailable, parts.total);
        return Some(format!("No: {what} {waits}"));
    }
    (parts.read_only > 0).then(|| {
        let down = down(status, flag).unwrap_or_else(|| format!("Add a machine: atoll cluster join-token{flag}"));
        format!(
            "No: {} of {} partitions can only be read now, for a write needs {}. {down}",
            parts.read_only,
            parts.total,
            copies(status.replicas_min.into())
        )
    })
}

fn few(status: &ClusterStatus, flag: &str) -> Option<String> {
    match status.nodes.len() {
        0 | 1 => Some(format!("No: there is one machine. Add 2: atoll cluster join-token{flag}")),
        2 => Some(format!("No: there are two machines. Add 1: atoll cluster join-token{flag}")),
        _ => None,
    }
}

/// Something is whole on one machine only, or can't be made whole.
fn at_risk(status: &ClusterStatus, flag: &str) -> Option<String> {
    let parts = &status.partitions;
    let full: Vec<_> =
        status.nodes.iter().filter(|node| node.report.as_ref().is_ok_and(|report| report.full)).collect();
    if !full.is_empty() {
        return Some(format!(
            "No: there is no room on {}: what it should hold takes no new writes, and copies that are missing there can't \
             be made. Make room on its disk, or make it larger.",
            names(full.iter().map(|node| node.id))
        ));
    }
    if status.replicas_wanted <= 1 {
        return Some(format!(
            "No: one copy of everything is kept, so that a machine takes what it holds with it. For more: atoll cluster \
             layout --copies 3 --copies-to-write 2 --apply{flag}"
        ));
    }
    if parts.copies <= 1 {
        let next = down(status, flag).unwrap_or_else(|| "They are being copied: look again.".into());
        return Some(format!("No: some partitions are complete on one machine only. {next}"));
    }
    (parts.whole_copies <= 1).then(|| {
        let unsure: Vec<String> = status.nodes.iter().filter_map(unsure).collect();
        format!(
            "Not yet: of some blocks there may be one copy or none ({}). Look again; if it stays so: atoll cluster \
             verify{flag}",
            unsure.join("; ")
        )
    })
}

/// Why it is not known that the node has every block that it should have.
fn unsure(node: &NodeState) -> Option<String> {
    match &node.report {
        Ok(report) if report.blocks_missing > 0 => {
            Some(format!("node {} misses {}", node.id, count(report.blocks_missing, "block")))
        }
        Ok(report) if report.blocks_unchecked > 0 => Some(format!("node {} is comparing what it has", node.id)),
        Ok(_) => None,
        Err(_) => Some(format!("node {} does not answer", node.id)),
    }
}

/// How many may go, where everything is on two machines at least.
fn margin(status: &ClusterStatus, flag: &str) -> String {
    let (margins, all) = (margins(status), status.nodes.len());
    let alive = status.nodes.iter().filter(|node| node.alive).count();
    let parts = &status.partitions;
    let least = margins.data.min(margins.writes).min(margins.control.unwrap_or(u32::MAX));
    let down = down(status, flag).unwrap_or_default();
    if least == 0 && alive < all {
        return format!("Not safely: {alive} of {all} machines are up. {}{down}", consequence(margins));
    }
    if parts.full < parts.total && alive == all {
        return format!(
            "Not yet: {} of {} partitions are still being copied among the {all} machines.",
            parts.total - parts.full,
            parts.total
        );
    }
    if least == 0 {
        let on_one = voters(status).is_some_and(|voters| voters.len() == 1);
        return match margins.control {
            Some(0) if on_one => format!("Not yet: of {all} machines, the control plane is still on one."),
            Some(0) => "No: one voter of the control plane is away, and it needs all that are left.".into(),
            _ => format!(
                "No: nothing acknowledged would be lost, but a write needs {}, and there are no more.",
                copies(status.replicas_min.into())
            ),
        };
    }
    match alive < all {
        true => format!("Yes, any {least} of the {alive} that are up. {down}"),
        false => format!("Yes, any {least} of {all}."),
    }
}

fn margins(status: &ClusterStatus) -> Margins {
    let parts = &status.partitions;
    let control = voters(status).map(|voters| {
        let up = |id: &&types::NodeId| status.nodes.iter().any(|node| node.id == **id && node.alive);
        (voters.iter().filter(up).count() as u32).saturating_sub(voters.len() as u32 / 2 + 1)
    });
    Margins {
        data: parts.copies.min(parts.whole_copies).saturating_sub(1),
        writes: parts.acking.saturating_sub(status.replicas_min.into()),
        control,
    }
}

/// Who votes, by the word of whoever leads; none where no machine of the cluster's own does.
fn voters(status: &ClusterStatus) -> Option<&[types::NodeId]> {
    let best = reports(status).max_by_key(|report| (report.leader, report.voters.len()))?;
    (!best.voters.is_empty()).then_some(&best.voters)
}

fn consequence(margins: Margins) -> &'static str {
    match (margins.control, margins.writes) {
        (Some(0), _) => "With one more away nothing acknowledged would be lost, but nothing served until it is back. ",
        (_, 0) => "With one more away nothing acknowledged would be lost, but not everything could be written. ",
        _ => "",
    }
}

/// What is to be done for machines that are down; none when none is.
fn down(status: &ClusterStatus, flag: &str) -> Option<String> {
    let down = || status.nodes.iter().filter(|node| !node.alive);
    let of = |wanted: fn(&&NodeState) -> bool| down().filter(wanted).map(|node| node.id).collect::<Vec<_>>();
    let (drained, draining, stays) =
        (of(|node| node.released), of(|node| node.draining && !node.released), of(|node| !node.draining));
    let mut advice = Vec::new();
    if let Some(first) = stays.first() {
        advice.push(format!(
            "Start {}; if lost for good: atoll cluster drain {first}{flag}",
            names(stays.iter().copied())
        ));
    }
    if let Some(first) = draining.first() {
        advice.push(format!(
            "{} is being drained and is down: start it; if it is lost for good, once what it held is copied: atoll \
             cluster remove {first} --lost --plan{flag}",
            capital(names(draining.iter().copied()))
        ));
    }
    if let Some(first) = drained.first() {
        advice.push(format!(
            "{} is drained: atoll cluster remove {first}{flag}",
            capital(names(drained.iter().copied()))
        ));
    }
    (!advice.is_empty()).then(|| advice.join(". "))
}

fn copies(n: u64) -> String {
    match n {
        1 => "1 copy".into(),
        n => format!("{n} copies"),
    }
}

fn capital(text: String) -> String {
    text.replacen('n', "N", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::PartitionsHealth;
    use types::{ClusterId, LayoutVersion, NodeId};

    /// So many machines, all well, with three copies of everything.
    fn cluster(nodes: u64) -> ClusterStatus {
        let voters: Vec<NodeId> = (1..=if nodes >= 5 { 5 } else { 3 }).map(NodeId).collect();
        let node = |id| NodeState {
            id: NodeId(id),
            address: format!("m{id}:7071"),
            grpc: String::new(),
            web: String::new(),
            zone: String::new(),
            capacity: 100,
            release: String::new(),
            alive: true,
            draining: false,
            released: false,
            report: Ok(NodeStatus {
                node: NodeId(id),
                lease_valid: true,
                leader: id == 1,
                voters: voters.clone(),
                ..NodeStatus::default()
            }),
        };
        ClusterStatus {
            cluster: ClusterId(1),
            layout: LayoutVersion(1),
            replicas_min: 2,
            replicas_wanted: 3,
            partitions: PartitionsHealth {
                total: 64,
                full: 64,
                copies: 3,
                whole_copies: 3,
                acking: 3,
                ..PartitionsHealth::default()
            },
            nodes: (1..=nodes).map(node).collect(),
            answered_by: None,
        }
    }

    fn report(status: &mut ClusterStatus, node: usize) -> &mut NodeStatus {
        status.nodes[node - 1].report.as_mut().expect("it answers")
    }

    fn down(status: &mut ClusterStatus, node: usize) {
        let gone = &mut status.nodes[node - 1];
        (gone.alive, gone.report) = (false, Err("refused".into()));
    }

    fn says(status: &ClusterStatus, words: &[&str]) {
        let said = verdict(status, "");
        assert!(words.iter().all(|words| said.contains(words)), "{words:?} in {said:?}");
    }

    #[test]
    fn how_many_may_go_follows_from_copies_writes_and_voters() {
        says(&cluster(3), &["Yes, any 1 of 3."]);
        let mut five = cluster(5);
        says(&five, &["Yes, any 1 of 5."]);
        (five.partitions.copies, five.partitions.whole_copies, five.partitions.acking) = (5, 5, 5);
        says(&five, &["Yes, any 2 of 5."]);
        five.partitions.whole_copies = 2;
        says(&five, &["Yes, any 1 of 5."]);
        five.replicas_min = 5;
        says(&five, &["No: nothing acknowledged would be lost, but a write needs 5 copies"]);
        let mut young = cluster(3);
        (1..=3).for_each(|node| report(&mut young, node).voters = vec![NodeId(1)]);
        says(&young, &["Not yet: of 3 machines, the control plane is still on one"]);
        let mut elsewhere = cluster(3);
        (1..=3).for_each(|node| report(&mut elsewhere, node).voters.clear());
        says(&elsewhere, &["Yes, any 1 of 3."]);
        says(&cluster(2), &["two machines"]);
    }

    #[test]
    fn one_copy_or_missing_blocks_or_no_room_are_no_yes() {
        let mut one = cluster(3);
        (one.replicas_wanted, one.replicas_min) = (1, 1);
        (one.partitions.copies, one.partitions.whole_copies, one.partitions.acking) = (1, 1, 1);
        says(&one, &["No: one copy of everything", "--copies 3"]);
        let mut missing = cluster(3);
        report(&mut missing, 2).blocks_missing = 64;
        report(&mut missing, 3).blocks_missing = 1;
        missing.partitions.whole_copies = 1;
        says(&missing, &["Not yet", "node 2 misses 64 blocks; node 3 misses 1 block", "cluster verify"]);
        let mut full = cluster(3);
        report(&mut full, 3).full = true;
        says(&full, &["No: there is no room on node 3"]);
        let mut copying = cluster(4);
        (copying.partitions.copies, copying.partitions.full) = (1, 60);
        says(&copying, &["No: some partitions are complete on one machine only. They are being copied"]);
        copying.partitions.copies = 2;
        says(&copying, &["Not yet: 4 of 64 partitions are still being copied"]);
    }

    #[test]
    fn what_to_do_for_a_machine_that_is_down_depends_on_why() {
        let mut status = cluster(3);
        down(&mut status, 3);
        let parts = &mut status.partitions;
        (parts.full, parts.reduced, parts.copies, parts.whole_copies, parts.acking) = (0, 64, 2, 2, 2);
        says(&status, &["Not safely: 2 of 3 machines are up", "nothing served", "Start node 3", "drain 3"]);
        // Of four, whose copies were made anew.
        let mut status = cluster(4);
        down(&mut status, 4);
        status.nodes[3].draining = true;
        says(&status, &["Yes, any 1 of the 3 that are up. Node 4 is being drained and is down", "remove 4 --lost"]);
        status.nodes[3].released = true;
        says(&status, &["Yes, any 1 of the 3", "Node 4 is drained: atoll cluster remove 4"]);
        assert!(!verdict(&status, "").contains("Start"));
        status.partitions.read_only = 3;
        says(&status, &["No: 3 of 64 partitions can only be read now, for a write needs 2 copies", "remove 4"]);
    }

    #[test]
    fn without_a_lease_nothing_is_served() {
        let mut status = cluster(3);
        (1..=3).for_each(|node| report(&mut status, node).lease_valid = false);
        says(&status, &["no lease on nodes 1, 2 and 3"]);
        down(&mut status, 1);
        down(&mut status, 2);
        says(&status, &["no lease, on node 3", "(nodes 1 and 2): start them"]);
    }
}
