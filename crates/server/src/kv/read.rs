//! `get`, `scan`, `size`.

use super::{KeyArgs, TableFlag, of_default};
use crate::failure::{Failure, Outcome};
use crate::output;
use bytes::Bytes;
use clap::Args;
use client::remote::{Remote, TableKey, TableQuery};
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use types::query::prefix_end;
use types::{Bound, Consistency, Item};

/// `atoll kv get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// Any replica may answer, with what it has, however old
    #[arg(long)]
    pub stale: bool,
    /// As JSON, with version and time
    #[arg(long)]
    pub json: bool,
}

/// `atoll kv scan`.
#[derive(Args, Debug)]
pub struct ScanArgs {
    /// Only items under this key, by sort key [default: the whole table, in no order that means anything]
    pub key: Option<String>,
    /// Only sort keys that begin so
    #[arg(long, requires = "key", conflicts_with_all = ["from", "to"])]
    pub prefix: Option<String>,
    /// Sort keys from this one on
    #[arg(long, requires = "key")]
    pub from: Option<String>,
    /// Sort keys before this one
    #[arg(long, requires = "key")]
    pub to: Option<String>,
    /// From the highest sort key down
    #[arg(long, requires = "key")]
    pub reverse: bool,
    /// Items at most [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Any replica may answer, with what it has, however old
    #[arg(long, requires = "key")]
    pub stale: bool,
    /// One JSON object per line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub table: TableFlag,
}

fn consistency(stale: bool) -> Consistency {
    if stale { Consistency::Stale } else { Consistency::Strong }
}

/// Prints a value, byte for byte.
pub async fn get(remote: &Remote, args: GetArgs) -> Outcome {
    let key = TableKey::new(args.key.table.table, args.key.key.clone(), args.key.sort.clone());
    let found = of_default(&key.table, remote.get(&key, consistency(args.stale)).await)?;
    let Some(item) = found.flatten() else { return Err(absent(&args.key.key, &args.key.sort)) };
    if args.json {
        return output::json(&to_json(&key.partition_key, &key.sort_key, Some(&item)));
    }
    output::print(&item.value)?;
    // For people a line ends; for programs a value is nothing but the value.
    if std::io::stdout().is_terminal() && !item.value.ends_with(b"\n") { output::print("\n") } else { Ok(()) }
}

/// There is no such item.
pub fn absent(key: &str, sort: &str) -> Failure {
    let sort = if sort.is_empty() { String::new() } else { format!(" --sort {sort}") };
    Failure::failed(format!("there is no item {key}{sort}"))
}

/// An item, or the lack of one, as JSON.
pub fn to_json(key: &[u8], sort: &[u8], item: Option<&Item>) -> Value {
    let mut object = Map::new();
    output::put_bytes(&mut object, "key", key);
    if !sort.is_empty() {
        output::put_bytes(&mut object, "sort", sort);
    }
    if let Some(item) = item {
        output::put_bytes(&mut object, "value", &item.value);
        object.insert("version".into(), json!(item.version.to_string()));
        object.insert("time_ms".into(), json!(item.time.wall().0));
        if let Some(expires) = item.expires {
            object.insert("expires_ms".into(), json!(expires.0));
        }
    }
    Value::Object(object)
}

/// An item on a line: key, sort key, value, with tabs between.
pub fn to_line(key: &[u8], sort: &[u8], item: &Item) -> String {
    [key, sort, &item.value].map(output::printable).join("\t")
}

/// Lists items.
pub async fn scan(remote: &Remote, args: ScanArgs) -> Outcome {
    let mut left = args.limit.unwrap_or(u64::MAX);
    let show = |key: &[u8], sort: &[u8], item: &Item| {
        if args.json { to_json(key, sort, Some(item)).to_string() + "\n" } else { to_line(key, sort, item) + "\n" }
    };
    match &args.key {
        Some(key) => {
            let mut next = Some(query(&args, key));
            while let Some(mut query) = next.take().filter(|_| left > 0) {
                query.limit = u32::try_from(left.min(1000)).unwrap_or(1000);
                let page = remote.query(&query, consistency(args.stale)).await;
                let Some(page) = of_default(&args.table.table, page)? else { break };
                left -= left.min(page.items.len() as u64);
                output::print(
                    page.items.iter().map(|at| show(key.as_bytes(), &at.sort_key, &at.item)).collect::<String>(),
                )?;
                next = page.next.map(|sort_key| query.after(sort_key));
            }
        }
        None => {
            let mut cursor: Option<String> = None;
            while left > 0 {
                let limit = u32::try_from(left.min(1000)).unwrap_or(1000);
                let page = remote.scan(&args.table.table, cursor.as_deref(), limit).await;
                let Some(page) = of_default(&args.table.table, page)? else { break };
                left -= left.min(page.items.len() as u64);
                let lines = page.items.iter().map(|found| show(&found.partition_key, &found.sort_key, &found.item));
                output::print(lines.collect::<String>())?;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn query(args: &ScanArgs, key: &str) -> TableQuery {
    let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
    let (from, to) = match &args.prefix {
        Some(prefix) => (
            Bound::Included(bytes(prefix)),
            prefix_end(prefix.as_bytes()).map_or(Bound::Open, |end| Bound::Excluded(end.into())),
        ),
        None => (
            args.from.as_ref().map_or(Bound::Open, |from| Bound::Included(bytes(from))),
            args.to.as_ref().map_or(Bound::Open, |to| Bound::Excluded(bytes(to))),
        ),
    };
    let all = TableQuery::all(args.table.table.clone(), Bytes::copy_from_slice(key.as_bytes()));
    TableQuery { from, to, reverse: args.reverse, ..all }
}

/// Counts.
pub async fn size(remote: &Remote, table: &str) -> Outcome {
    output::line(of_default(table, remote.size(table).await)?.unwrap_or(0).to_string())
}
