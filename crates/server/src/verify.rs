//! `atoll cluster verify`: every block of every machine, read and compared with its name.

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::way::Way;
use client::{ScrubReport, Verification};
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
    let mut table = output::table(["node", "blocks checked", "bytes", "damaged", "mended", "lost", ""]);
    for node in nodes {
        let row = match &node.report {
            Ok(report) => [
                node.node.to_string(),
                report.checked.to_string(),
                output::size(report.bytes),
                report.bad.to_string(),
                report.repaired.to_string(),
                report.lost.to_string(),
                report.problem.clone().unwrap_or_default(),
            ],
            Err(why) => {
                let none = String::new;
                [node.node.to_string(), none(), none(), none(), none(), none(), format!("not checked: {why}")]
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
            "repaired": report.repaired, "lost": report.lost, "problem": report.problem,
        }),
        Err(why) => json!({"node": node.node, "unreachable": why}),
    };
    json!({"nodes": nodes.iter().map(node).collect::<Vec<_>>()})
}

fn conclude(nodes: &[Verification]) -> Outcome {
    let lost: u64 = nodes.iter().flat_map(|node| &node.report).map(|report| report.lost).sum();
    if lost > 0 {
        return Err(Failure::failed(format!(
            "{} that files need could not be found on any machine that answers",
            output::count(lost, "block")
        )));
    }
    let unchecked = nodes.iter().filter(|node| match &node.report {
        Ok(report) => report.running || report.problem.is_some(),
        Err(_) => true,
    });
    match unchecked.count() {
        0 => Ok(()),
        some => Err(Failure::failed(format!("{} could not be checked", output::count(some as u64, "machine")))),
    }
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
}
