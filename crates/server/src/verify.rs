//! `atoll cluster verify`: every block of every machine, read and compared with its name.

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::way::Way;
use client::{ScrubReport, Verification};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;
use types::NodeId;

const POLL: Duration = Duration::from_millis(300);
/// Polls in a row that a machine may leave unanswered before the others' results count.
const SILENCE_MAX: u32 = 40;

/// Begins one everywhere, waits for its end and says what came of it.
pub async fn run(way: &Way, json: bool) -> Outcome {
    let first = way.verify_blocks(true).await?;
    // One that was under way already did not look at everything from now on: its number of ends says which is ours.
    let goals: BTreeMap<NodeId, u64> =
        first.iter().filter_map(|node| Some((node.node, node.report.as_ref().ok()?.passes + 1))).collect();
    let mut last = first;
    let mut silent = 0;
    while !last.iter().all(|node| is_done(node, &goals)) && silent < SILENCE_MAX {
        show(&last);
        tokio::time::sleep(POLL).await;
        last = way.verify_blocks(false).await?;
        let waits = |node: &Verification| node.report.is_err() && goals.contains_key(&node.node);
        silent = if last.iter().any(waits) { silent + 1 } else { 0 };
    }
    if output::watched() {
        eprintln!();
    }
    if json {
        output::json(&to_json(&last))?
    } else {
        output::print(text(&last))?
    }
    conclude(&last)
}

fn is_done(node: &Verification, goals: &BTreeMap<NodeId, u64>) -> bool {
    match (&node.report, goals.get(&node.node)) {
        (Ok(report), Some(goal)) => report.passes >= *goal,
        // One that answered at the beginning may answer again.
        (Err(_), goal) => goal.is_none(),
        (Ok(_), None) => true,
    }
}

fn show(nodes: &[Verification]) {
    if output::watched() {
        let sum = |of: fn(&ScrubReport) -> u64| nodes.iter().flat_map(|node| &node.report).map(of).sum::<u64>();
        let (checked, total) = (sum(|report| report.checked), sum(|report| report.total));
        eprint!("\r{checked} of {total} blocks, {}   ", output::size(sum(|report| report.bytes)));
        let _ = std::io::stderr().flush();
    }
}

fn text(nodes: &[Verification]) -> String {
    let mut table = output::table(["node", "blocks checked", "bytes", "damaged", "mended", "lost", "no room for", ""]);
    for node in nodes {
        let row = match &node.report {
            Ok(report) => [
                node.node.to_string(),
                report.checked.to_string(),
                output::size(report.bytes),
                report.bad.to_string(),
                report.repaired.to_string(),
                report.lost.to_string(),
                report.no_room.to_string(),
                report.problem.clone().unwrap_or_default(),
            ],
            Err(why) => {
                let none = String::new;
                [node.node.to_string(), none(), none(), none(), none(), none(), none(), format!("not checked: {why}")]
            }
        };
        table.add_row(row);
    }
    output::table_text(&table)
}

fn to_json(nodes: &[Verification]) -> Value {
    let node = |node: &Verification| match &node.report {
        Ok(report) => json!({
            "node": node.node, "checked": report.checked, "bytes": report.bytes, "damaged": report.bad,
            "repaired": report.repaired, "lost": report.lost, "no_room": report.no_room,
            "lost_blocks": report.lost_blocks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "problem": report.problem,
        }),
        Err(why) => json!({"node": node.node, "unreachable": why}),
    };
    json!({"nodes": nodes.iter().map(node).collect::<Vec<_>>()})
}

fn conclude(nodes: &[Verification]) -> Outcome {
    let mut found = Vec::new();
    if let Some(lost) = lost(nodes) {
        found.push(format!("{lost} that files need could not be found intact on any machine that answers"));
    }
    for node in nodes {
        if let Ok(report) = &node.report
            && report.no_room > 0
        {
            let what = if report.no_room == 1 { "is" } else { "are" };
            let blocks = output::count(report.no_room, "block");
            found.push(format!(
                "{blocks} {what} missing on node {}, which has no room; others have them: there are fewer copies than \
                 wanted",
                node.node
            ));
        }
    }
    let unchecked = nodes.iter().filter(|node| match &node.report {
        Ok(report) => report.running || report.problem.is_some(),
        Err(_) => true,
    });
    match unchecked.count() {
        0 => {}
        some => found.push(format!("{} could not be checked", output::count(some as u64, "machine"))),
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(found.join("; "))),
    }
}

/// How many different blocks are lost: several nodes may lack the same one.
fn lost(nodes: &[Verification]) -> Option<String> {
    let reports = || nodes.iter().flat_map(|node| &node.report).filter(|report| report.lost > 0);
    let named: BTreeSet<_> = reports().flat_map(|report| &report.lost_blocks).collect();
    let most = reports().map(|report| report.lost).max()?;
    Some(match reports().all(|report| report.lost_blocks.len() as u64 == report.lost) {
        true => output::count(named.len() as u64, "block"),
        false => format!("at least {}", output::count(most.max(named.len() as u64), "block")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_or_could_not_be_looked_at_is_a_failure() {
        let node = |report| Verification { node: NodeId(1), report };
        let good = ScrubReport { passes: 2, total: 5, checked: 5, bad: 1, repaired: 1, ..ScrubReport::default() };
        assert!(conclude(&[node(Ok(good.clone()))]).is_ok());
        assert!(conclude(&[node(Ok(ScrubReport { lost: 1, ..good.clone() }))]).is_err());
        assert!(conclude(&[node(Ok(good.clone())), node(Err("down".into()))]).is_err());
        let goals = BTreeMap::from([(NodeId(1), 3)]);
        assert!(!is_done(&node(Ok(good.clone())), &goals), "that pass began before");
        assert!(is_done(&node(Ok(ScrubReport { passes: 3, ..good })), &goals));
    }

    #[test]
    fn what_has_no_room_is_not_lost_and_one_block_on_three_nodes_is_one() {
        let node = |id, report| Verification { node: NodeId(id), report: Ok(report) };
        let said = |nodes: &[Verification]| conclude(nodes).expect_err("it is told").to_string();
        let full = said(&[node(1, ScrubReport::default()), node(3, ScrubReport { no_room: 64, ..Default::default() })]);
        assert!(
            full.contains("64 blocks are missing on node 3, which has no room") && !full.contains("found"),
            "{full}"
        );
        let lost = |named: &[u8], lost| ScrubReport {
            lost,
            lost_blocks: named.iter().map(|n| types::BlockHash([*n; 32])).collect(),
            ..ScrubReport::default()
        };
        let same = said(&[node(1, lost(&[1], 1)), node(2, lost(&[1], 1)), node(3, lost(&[1], 1))]);
        assert!(same.starts_with("1 block that files need"), "{same}");
        assert!(said(&[node(1, lost(&[1, 2], 2)), node(2, lost(&[2, 3], 2))]).starts_with("3 blocks"));
        assert!(said(&[node(1, lost(&[1], 5000))]).starts_with("at least 5000 blocks"));
    }
}
