//! `watch`.

use super::{DEFAULT_TABLE, TableFlag, read};
use crate::failure::Outcome;
use crate::output;
use bytes::Bytes;
use clap::Args;
use client::remote::{Remote, RemoteError, TableChange, WatchEvent, WatchKey};
use futures::StreamExt;
use serde_json::json;
use types::{Seq, TableKind};

/// `atoll kv watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Key; changes of every item under it are shown
    pub key: String,
    /// Begin after this sequence number (printed at the start), rather than now
    #[arg(long, value_name = "SEQUENCE")]
    pub after: Option<u64>,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub table: TableFlag,
}

/// Prints changes until Ctrl-C.
pub async fn watch(remote: &Remote, args: WatchArgs) -> Outcome {
    if args.table.table == DEFAULT_TABLE {
        // Nothing happens in a table that is not there.
        remote.create_table(DEFAULT_TABLE, TableKind::Strong, true).await?;
    }
    let key = WatchKey { table: args.table.table.clone(), partition_key: Bytes::from(args.key.clone()) };
    let mut events = remote.watch(vec![key], args.after.map(Seq));
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match event.transpose()? {
            None => {
                return Err(RemoteError::Protocol("the watch ended by itself".into()).into());
            }
            Some(WatchEvent::Started(seq)) => {
                eprintln!("Watching from sequence {seq}; to come back to it: --after {seq}")
            }
            Some(WatchEvent::Changed(change)) => {
                left -= 1;
                print(&change, args.json)?;
            }
        }
    }
    Ok(())
}

fn print(change: &TableChange, json: bool) -> Outcome {
    let (key, sort) = (&change.key.partition_key, &change.key.sort_key);
    if json {
        let mut object = read::to_json(key, sort, change.item.as_ref());
        object["change"] = json!(if change.item.is_some() { "put" } else { "delete" });
        object["version"] = json!(change.version.to_string());
        return output::json(&object);
    }
    match &change.item {
        Some(item) => output::line(format!("put\t{}\t{}", change.version, read::to_line(key, sort, item))),
        None => {
            let names = [key, sort].map(|bytes| output::printable(bytes)).join("\t");
            output::line(format!("delete\t{}\t{names}", change.version))
        }
    }
}
