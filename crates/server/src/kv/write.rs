//! `put`, `delete`, `cas`, `verify`.

use super::{DEFAULT_TABLE, KeyArgs, WriteArgs, read};
use crate::failure::{Failure, Outcome};
use crate::{output, span};
use bytes::Bytes;
use clap::Args;
use client::remote::{Remote, RemoteError, TableTransaction};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use types::limits::VALUE_BYTES_MAX;
use types::{OperationId, Refusal, TableKind, Test, Verdict, WallMillis};

/// `atoll kv put`.
#[derive(Args, Debug)]
pub struct PutArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// Value; `-`, or none at all, is standard input
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// Take the value from a file
    #[arg(long, short)]
    pub file: Option<PathBuf>,
    /// Only if there is no such item
    #[arg(long, conflicts_with = "if_version")]
    pub if_absent: bool,
    /// Let it expire after this time
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    pub expires_in: Option<Duration>,
    #[command(flatten)]
    pub write: WriteArgs,
}

/// `atoll kv delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub write: WriteArgs,
}

/// `atoll kv cas`.
#[derive(Args, Debug)]
pub struct CasArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    /// Value that it must hold
    #[arg(allow_hyphen_values = true)]
    pub old: String,
    /// Value to put
    #[arg(allow_hyphen_values = true)]
    pub new: String,
    #[command(flatten)]
    pub write: WriteArgs,
}

/// Puts.
pub async fn put(remote: &Remote, args: PutArgs) -> Outcome {
    let value = value(&args).await?;
    let KeyArgs { key, sort, table } = args.key;
    let sort = Bytes::from(sort);
    let mut change = start(remote, &key, &table.table, &sort, &args.write);
    if args.if_absent {
        change = change.check(table.table.as_str(), sort.clone(), Test::Absent);
    }
    let change = match args.expires_in {
        None => change.put(table.table.as_str(), sort, value),
        Some(after) => {
            // The cluster's clock is in the operation id.
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            let expires = WallMillis(change.operation.created.0.saturating_add(millis));
            change.put_expiring(table.table.as_str(), sort, value, expires)
        }
    };
    match send(remote, &change, &args.write).await {
        Err(Failure::Remote(RemoteError::NoSuchTable(_))) if table.table == DEFAULT_TABLE => {
            remote.create_table(DEFAULT_TABLE, TableKind::Strong, true).await?;
            send(remote, &change, &args.write).await.map_err(explain)
        }
        other => other.map_err(explain),
    }
}

/// Deletes.
pub async fn delete(remote: &Remote, args: DeleteArgs) -> Outcome {
    let KeyArgs { key, sort, table } = args.key;
    let sort_key = Bytes::from(sort.clone());
    let mut change = start(remote, &key, &table.table, &sort_key, &args.write);
    if args.write.if_version.is_none() {
        change = change.check(table.table.as_str(), sort_key.clone(), Test::Present);
    }
    let change = change.delete(table.table.as_str(), sort_key);
    match send(remote, &change, &args.write).await {
        Err(Failure::Remote(RemoteError::Refused(Refusal::Condition { found: None, .. }))) => {
            Err(read::absent(&key, &sort).safe("nothing was changed"))
        }
        Err(Failure::Remote(RemoteError::NoSuchTable(_))) if table.table == DEFAULT_TABLE => {
            Err(read::absent(&key, &sort).safe("nothing was changed"))
        }
        other => other.map_err(explain),
    }
}

/// Compares and puts.
pub async fn cas(remote: &Remote, args: CasArgs) -> Outcome {
    let KeyArgs { key, sort, table } = args.key;
    let sort = Bytes::from(sort);
    let change = start(remote, &key, &table.table, &sort, &args.write)
        .check(table.table.as_str(), sort.clone(), Test::ValueIs(args.old.into()))
        .put(table.table.as_str(), sort, Bytes::from(args.new));
    match send(remote, &change, &args.write).await {
        Err(Failure::Remote(RemoteError::NoSuchTable(_))) if table.table == DEFAULT_TABLE => {
            let (index, found) = (0, None);
            Err(explain(RemoteError::Refused(Refusal::Condition { index, found }).into()))
        }
        other => other.map_err(explain),
    }
}

fn start(remote: &Remote, key: &str, table: &str, sort: &Bytes, args: &WriteArgs) -> TableTransaction {
    let change = remote.transaction(Bytes::copy_from_slice(key.as_bytes()));
    match args.if_version {
        None => change,
        Some(version) => change.check(table, sort.clone(), Test::VersionIs(version)),
    }
}

async fn send(remote: &Remote, change: &TableTransaction, args: &WriteArgs) -> Outcome {
    if args.asynchronous {
        let operation = remote.transact_async(change).await?;
        return if args.json {
            output::json(&json!({"operation": operation.to_string()}))
        } else {
            output::line(operation.to_string())
        };
    }
    let result = remote.transact(change).await?;
    if args.json {
        return output::json(&json!({
            "operation": change.operation.to_string(),
            "version": result.version.to_string(),
            "time_ms": result.time.wall().0,
        }));
    }
    output::line(format!("version {}", result.version))
}

/// A condition that does not hold, in the words of this command.
fn explain(failure: Failure) -> Failure {
    match failure {
        Failure::Remote(RemoteError::Refused(Refusal::Condition { found, .. })) => {
            let found = found
                .map_or("there is no such item".to_string(), |version| format!("the item is at version {version}"));
            Failure::failed(format!("the condition does not hold: {found}"))
                .safe("nothing was changed")
                .next("read it again (atoll kv get), then decide")
        }
        other => other,
    }
}

async fn value(args: &PutArgs) -> Outcome<Bytes> {
    let too_large = || {
        Failure::failed(format!("the value is larger than {VALUE_BYTES_MAX} bytes"))
            .safe("nothing was changed")
            .next("upload it as a file: atoll upload FILE")
    };
    // One byte more than allowed is enough to know.
    let limit = VALUE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    match (&args.file, args.value.as_deref()) {
        (Some(path), _) => {
            let failed = |error: std::io::Error| Failure::io(format!("cannot read {}", path.display()), &error);
            let file = tokio::fs::File::open(path).await.map_err(failed)?;
            file.take(limit).read_to_end(&mut bytes).await.map_err(failed)?;
        }
        (None, None | Some("-")) => {
            let read = tokio::io::stdin().take(limit).read_to_end(&mut bytes).await;
            read.map_err(|error| Failure::io("cannot read standard input", &error))?;
        }
        (None, Some(text)) => bytes.extend_from_slice(text.as_bytes()),
    }
    if bytes.len() > VALUE_BYTES_MAX { Err(too_large()) } else { Ok(bytes.into()) }
}

/// Tells what became of a write.
pub async fn verify(remote: &Remote, operation: OperationId, json: bool) -> Outcome {
    let verdict = remote.verify(operation).await?;
    let (word, version) = match &verdict {
        Verdict::Applied { version, .. } => ("applied", Some(version.to_string())),
        Verdict::Pending => ("pending", None),
        Verdict::NotApplied => ("not applied", None),
        Verdict::Unknown => ("unknown", None),
    };
    if json {
        output::json(
            &json!({"operation": operation.to_string(), "verdict": word.replace(' ', "_"), "version": version}),
        )?;
    } else {
        output::line(version.map_or(word.to_string(), |version| format!("{word} at version {version}")))?;
    }
    match verdict {
        Verdict::Applied { .. } => Ok(()),
        Verdict::NotApplied => {
            Err(Failure::failed("the write was not applied, and never will be").next("send it again"))
        }
        Verdict::Pending => Err(Failure::Unknown {
            what: "the write is under way".into(),
            next: Some(format!("ask again shortly: atoll kv verify {operation}")),
        }),
        Verdict::Unknown => Err(Failure::Unknown {
            what: "the write is older than the time for which outcomes are remembered".into(),
            next: Some("read the item to see what it holds: atoll kv get".into()),
        }),
    }
}
