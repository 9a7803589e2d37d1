//! `atoll cluster layout|drain`: who holds what, and changes of it.

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::way::Way;
use clap::Args;
use client::remote::RemoteError;
use client::{Beginning, ChangeLayout, ClusterLayout, Edit, LayoutPreview};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::time::{Duration, Instant};
use types::{LayoutVersion, NodeId};

/// How often a drain's progress is asked for.
const LOOK: Duration = Duration::from_millis(400);

/// `atoll cluster layout`.
#[derive(Args, Debug)]
pub struct LayoutArgs {
    /// Show what the changes below would move, and whether they are safe; change nothing
    #[arg(long)]
    plan: bool,
    /// Make the changes below
    #[arg(long, conflicts_with = "plan")]
    apply: bool,
    /// A node that gives everything away
    #[arg(long, value_name = "NODE")]
    drain: Vec<u64>,
    /// A node that holds its share again
    #[arg(long, value_name = "NODE")]
    keep: Vec<u64>,
    /// A node that leaves the cluster for good; it must hold nothing
    #[arg(long, value_name = "NODE")]
    remove: Vec<u64>,
    /// A node's share relative to the others
    #[arg(long, value_name = "NODE=SHARE", value_parser = share)]
    capacity: Vec<(u64, u64)>,
    /// Copies that are kept of everything
    #[arg(long, value_name = "COUNT")]
    copies: Option<u8>,
    /// Copies that must be durable before a write is acknowledged
    #[arg(long, value_name = "COUNT")]
    copies_to_write: Option<u8>,
    /// Only if the nodes have not changed since this version of the layout
    #[arg(long, value_name = "VERSION", requires = "apply")]
    at: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `atoll cluster drain`.
#[derive(Args, Debug)]
pub struct DrainArgs {
    /// The node's number: see `atoll cluster status`
    pub node: u64,
    /// Show what it would move, and whether it is safe; change nothing
    #[arg(long)]
    plan: bool,
    /// Stop draining: the node is to hold its share again
    #[arg(long, conflicts_with_all = ["plan", "detach"])]
    cancel: bool,
    /// Do not wait until everything has moved
    #[arg(long)]
    detach: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('=').ok_or("write it as NODE=SHARE, such as 3=200")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a number"));
    Ok((number(parts.0)?, number(parts.1)?))
}

impl LayoutArgs {
    /// Nothing is asked of anybody for a change that changes nothing.
    pub fn check(&self) -> Outcome {
        if self.edits().is_empty() && (self.plan || self.apply) {
            return Err(Failure::usage(
                "say what to change: --drain, --keep, --remove, --capacity, --copies, --copies-to-write",
            ));
        }
        Ok(())
    }

    fn edits(&self) -> Vec<Edit> {
        let node = |make: fn(NodeId) -> Edit| move |id: &u64| make(NodeId(*id));
        let mut edits: Vec<Edit> = self.keep.iter().map(node(Edit::Keep)).collect();
        edits.extend(self.drain.iter().map(node(Edit::Drain)));
        edits.extend(self.remove.iter().map(node(Edit::Remove)));
        edits.extend(self.capacity.iter().map(|(id, share)| Edit::Capacity(NodeId(*id), *share)));
        edits.extend(self.copies.map(Edit::Replicas));
        edits.extend(self.copies_to_write.map(Edit::ReplicasMin));
        edits
    }
}

/// Shows the layout, or changes it.
pub async fn layout(args: LayoutArgs, way: &Way) -> Outcome {
    let edits = args.edits();
    if edits.is_empty() {
        let layout = way.layout().await?;
        return if args.json { output::json(&layout) } else { output::print(show(&layout)) };
    }
    let (at, apply) = (args.at.map(LayoutVersion), args.apply);
    let change = ChangeLayout { edits, at, apply, ..ChangeLayout::default() };
    let preview = way.change_layout(change).await?;
    if args.json {
        return output::json(&preview_json(&preview));
    }
    output::print(describe(&preview))?;
    if preview.applied || !preview.unsafe_because.is_empty() {
        return Ok(());
    }
    output::line(format!("\nNothing was changed. To do it: the same with --apply --at {}", preview.layout))
}

/// Moves everything off a node.
pub async fn drain(args: DrainArgs, way: &Way) -> Outcome {
    let edit = if args.cancel { Edit::Keep(NodeId(args.node)) } else { Edit::Drain(NodeId(args.node)) };
    let preview =
        way.change_layout(ChangeLayout { edits: vec![edit], apply: !args.plan, ..ChangeLayout::default() }).await?;
    if args.plan {
        return if args.json { output::json(&preview_json(&preview)) } else { output::print(describe(&preview)) };
    }
    if !args.json {
        for warning in &preview.warnings {
            eprintln!("note: {warning}");
        }
    }
    if args.cancel || args.detach {
        let text = if args.cancel { "holds its share again" } else { "is being drained" };
        return match args.json {
            true => output::json(&preview_json(&preview)),
            false => output::line(format!("Node {} {text}: {}", args.node, copies(preview.copies))),
        };
    }
    tokio::select! {
        done = watch(way, args.node, preview.layout, !args.json) => done?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::Stopped(format!(
                "\nThe drain goes on without you. To look: atoll cluster layout{1}; to stop it: atoll cluster drain {0} --cancel{1}",
                args.node,
                way.flag()
            )));
        }
    }
    if args.json {
        return output::json(&json!({"node": args.node, "drained": true, "copies": preview.copies}));
    }
    output::line(format!(
        "Everything is off node {0} and whole elsewhere. To take it out of the cluster: atoll cluster remove {0}{1}",
        args.node,
        way.flag()
    ))
}

/// Waits until the node holds nothing, showing how far it is. A map no newer than `decided` may not know of it yet.
async fn watch(way: &Way, node: u64, decided: LayoutVersion, shown: bool) -> Outcome {
    let target = if shown && output::watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos} of {len} partitions are off it  {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(format!("Draining node {node}"));
    let mut most = 0;
    let mut told = Instant::now();
    loop {
        let drains = |layout: &ClusterLayout| layout.nodes.iter().any(|info| info.id == node && info.draining);
        match way.layout().await {
            // Another gateway answered, which has not heard of it.
            Ok(layout) if layout.layout <= decided && !drains(&layout) => {}
            Ok(layout) => {
                let held = layout.held(node) as u64;
                most = held.max(most);
                bar.set_length(most);
                bar.set_position(most - held);
                let rest = match (held, layout.to_be_moved(node)) {
                    (0, 0) => "waiting until the others have its blocks, and have read their own",
                    (0, _) => "waiting until the others are complete",
                    _ => "",
                };
                bar.set_message(rest);
                if !drains(&layout) {
                    return Err(Failure::failed(format!(
                        "node {node} is no longer being drained: somebody cancelled it"
                    )));
                }
                if layout.nodes.iter().any(|info| info.id == node && info.released) {
                    bar.finish_and_clear();
                    return Ok(());
                }
                if shown && !output::watched() && told.elapsed() > Duration::from_secs(10) {
                    told = Instant::now();
                    match rest {
                        "" => eprintln!("{held} of {most} partitions are still on node {node}"),
                        rest => eprintln!("Nothing is on node {node} any more; {rest}"),
                    }
                }
            }
            // A node may die in the middle of it: the drain goes on, and so do we.
            Err(failure @ Failure::Remote(RemoteError::Unreachable { .. })) => bar.set_message(failure.to_string()),
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What begins again, by the node whose copy it begins with.
pub fn begins(preview: &LayoutPreview) -> String {
    let mut text = String::new();
    for node in preview.nodes.keys() {
        for may_lose in [false, true] {
            let of = |one: &&Beginning| one.node == *node && one.may_lose == may_lose;
            let all: Vec<String> = preview.begins.iter().filter(of).map(|one| one.partition.to_string()).collect();
            if !all.is_empty() {
                let loss =
                    if may_lose { "acknowledged writes may be missing" } else { "nothing acknowledged is missing" };
                let (count, verb) =
                    (output::count(all.len() as u64, "partition"), if all.len() == 1 { "begins" } else { "begin" });
                text += &format!("{count} {verb} with node {node}'s copy, {loss}: {}\n", all.join(" "));
            }
        }
    }
    text
}

fn copies(count: u32) -> String {
    match count {
        0 => "nothing has to be copied.".into(),
        1 => "1 partition is copied.".into(),
        count => format!("{count} partition copies are made."),
    }
}

/// For people.
pub fn describe(preview: &LayoutPreview) -> String {
    let mut table = output::table(["node", "partitions", "then", "gains", "gives"]);
    for (node, movement) in &preview.nodes {
        table.add_row([
            node.to_string(),
            movement.before.to_string(),
            movement.after.to_string(),
            movement.gained.to_string(),
            movement.lost.to_string(),
        ]);
    }
    let mut text = format!("{}\nLayout {}: {}\n", output::table_text(&table), preview.layout, copies(preview.copies));
    text += &begins(preview);
    for warning in &preview.warnings {
        text += &format!("note: {warning}\n");
    }
    match preview.unsafe_because.is_empty() {
        true if preview.begins.iter().any(|one| one.may_lose) => text += "The loss is accepted.\n",
        true if !preview.begins.is_empty() => text += "Safe: nothing acknowledged is given up.\n",
        true if preview.warnings.is_empty() => {
            text += "Safe: every partition keeps its copies until the new ones are complete.\n";
        }
        true => {
            text += "Safe, but for what is noted: every partition keeps its copies until the new ones are complete.\n"
        }
        false => preview.unsafe_because.iter().for_each(|why| text += &format!("Not safe: {why}\n")),
    }
    text
}

/// For programs.
pub fn preview_json(preview: &LayoutPreview) -> serde_json::Value {
    let nodes = preview.nodes.iter().map(|(node, movement)| {
        json!({"node": node, "before": movement.before, "after": movement.after,
               "gained": movement.gained, "lost": movement.lost})
    });
    json!({
        "layout": preview.layout, "applied": preview.applied, "copies": preview.copies,
        "safe": preview.unsafe_because.is_empty(), "unsafe_because": preview.unsafe_because,
        "warnings": preview.warnings, "nodes": nodes.collect::<Vec<_>>(), "begins": preview.begins,
    })
}

fn show(layout: &ClusterLayout) -> String {
    let mut table = output::table(["node", "zone", "share", "state", "partitions", "heads"]);
    for node in &layout.nodes {
        let heads =
            layout.partitions.iter().filter(|p| p.members.first().is_some_and(|(id, _)| *id == node.id)).count();
        let state = match (node.draining, node.alive) {
            (true, true) if node.released => "drained",
            (true, true) => "draining",
            (true, false) => "draining, down",
            (false, true) => "up",
            (false, false) => "down",
        };
        table.add_row([
            node.id.to_string(),
            if node.zone.is_empty() { "–".into() } else { node.zone.clone() },
            node.capacity.to_string(),
            state.to_string(),
            layout.held(node.id).to_string(),
            heads.to_string(),
        ]);
    }
    let mut partitions = output::table(["partition", "epoch", "chain: head first", "wanted"]);
    for partition in &layout.partitions {
        let member = |(node, state): &(u64, String)| match state.as_str() {
            "serving" => node.to_string(),
            state => format!("{node} ({state})"),
        };
        let chain: Vec<String> = partition.members.iter().map(member).collect();
        let mut wanted: Vec<u64> = partition.wanted.clone();
        wanted.sort_unstable();
        partitions.add_row([
            partition.id.to_string(),
            partition.epoch.to_string(),
            if chain.is_empty() { "– nobody serves it –".into() } else { chain.join(" → ") },
            wanted.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        ]);
    }
    format!(
        "{}\n{}\nLayout {}: {} of {} partitions are where they should be. Copies wanted {}, needed for a write {}.\n",
        output::table_text(&table),
        output::table_text(&partitions),
        layout.layout,
        layout.settled(),
        layout.partitions.len(),
        layout.replicas_wanted,
        layout.replicas_min,
    )
}
