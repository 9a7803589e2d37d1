//! `atoll cluster remove`: a machine that leaves the cluster, empty or lost.

use crate::failure::{Failure, Outcome};
use crate::layout::{begins, describe, preview_json};
use crate::output;
use crate::way::Way;
use clap::Args;
use client::{ChangeLayout, Edit};
use types::NodeId;

/// `atoll cluster remove`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll cluster remove 4                    once `atoll cluster drain 4` has ended
  atoll cluster remove 3 --lost --plan      node 3 is gone for good: what would be lost with it
  atoll cluster remove 3 --lost             they begin again without it
  atoll cluster remove 3 --lost --plan --data /srv/atoll
                                            the same on a member, when nobody can sign in any more

With --lost nothing acknowledged is given up, unless you say --accept-data-loss.")]
pub struct RemoveArgs {
    /// The node's number: see `atoll cluster status`. With --lost there may be several
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<u64>,
    /// The machine is gone for good, and partitions that wait for it are to begin again with what is left
    #[arg(long)]
    lost: bool,
    /// Do it although acknowledged writes may be lost by it: --plan tells in which partitions
    #[arg(long, requires = "lost")]
    accept_data_loss: bool,
    /// Show whether it is safe; change nothing
    #[arg(long)]
    plan: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl RemoveArgs {
    /// That it makes sense.
    pub fn check(&self) -> Outcome {
        if self.nodes.len() > 1 && !self.lost {
            return Err(Failure::usage("machines are removed one by one, unless they are lost"));
        }
        Ok(())
    }

    /// What it was asked with.
    pub fn command(&self) -> String {
        let nodes: String = self.nodes.iter().map(|node| format!(" {node}")).collect();
        let flag = |given: bool, name: &'static str| if given { name } else { "" };
        let (lost, plan) = (flag(self.lost, " --lost"), flag(self.plan, " --plan"));
        format!("remove{nodes}{lost}{plan}{}", flag(self.accept_data_loss, " --accept-data-loss"))
    }

    fn names(&self) -> String {
        self.nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Takes an empty node out of the cluster, or ones that are lost.
pub async fn run(args: RemoveArgs, way: &Way) -> Outcome {
    let edit = |node: &u64| match args.lost {
        true => Edit::GiveUp(NodeId(*node)),
        false => Edit::Remove(NodeId(*node)),
    };
    let edits = args.nodes.iter().map(edit).collect();
    let (apply, accept_loss) = (!args.plan, args.accept_data_loss);
    let change = ChangeLayout { edits, apply, accept_loss, ..ChangeLayout::default() };
    let preview = way.change_layout(change).await?;
    if args.json {
        return output::json(&preview_json(&preview));
    }
    if args.plan {
        return output::print(describe(&preview));
    }
    let names = args.names();
    if !args.lost {
        return output::line(format!(
            "Node {names} is no longer of this cluster. Its process stops by itself; its data folder may be deleted."
        ));
    }
    output::print(format!(
        "{}Node {names} is given up, and no longer of this cluster: it can't come back. The partitions that waited \
         for it begin again now: atoll cluster status{}\n",
        begins(&preview),
        way.flag()
    ))
}
