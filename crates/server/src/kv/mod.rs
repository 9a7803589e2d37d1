//! `atoll kv`: the key-value store.
//!
//! **Owns** the forms of keys and values on the command line. **Invariants**: a
//! value goes in and comes out byte for byte; a write whose outcome is not known
//! exits with 3 and names the operation to verify. **Leaves to others**: all
//! meaning (`client::remote`).

mod read;
mod watch;
mod write;

use crate::cli::ServerArgs;
use crate::failure::Outcome;
use crate::session;
use clap::{Args, Subcommand};
use client::remote::RemoteError;
use types::{OperationId, Version};

/// The table when none is named. There always is one: until the first `put` makes it, it is empty.
const DEFAULT_TABLE: &str = "default";

/// An answer from a table; none when it is the one that is not made yet.
fn of_default<T>(table: &str, answer: Result<T, RemoteError>) -> Result<Option<T>, RemoteError> {
    match answer {
        Err(RemoteError::NoSuchTable(_)) if table == DEFAULT_TABLE => Ok(None),
        answer => answer.map(Some),
    }
}

/// Read and write the key-value store
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll kv put greeting hello
  atoll kv get greeting
  echo -n hello | atoll kv put greeting -
  atoll kv cas greeting hello goodbye            put goodbye only if it holds hello
  atoll kv put ada --sort 2026-11-21 present     several items under one key, in order
  atoll kv scan ada --prefix 2026-
  atoll kv put greeting hi --async               prints an operation id at once …
  atoll kv verify ID                             … of which this tells the outcome

An item has a key and, if wanted, a sort key (--sort). Items under one key live together, in
the order of their sort keys. Without --table, everything is in a table called default.
Exit codes: 0 done, 1 refused or absent, 3 outcome unknown.")]
pub struct KvArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KvCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Which table.
#[derive(Args, Debug, Clone)]
pub struct TableFlag {
    /// Table
    #[arg(long, short, env = "ATOLL_TABLE", value_name = "NAME", default_value = DEFAULT_TABLE)]
    pub table: String,
}

/// Which item.
#[derive(Args, Debug, Clone)]
pub struct KeyArgs {
    /// Key
    pub key: String,
    /// Sort key: one of several items under the key
    #[arg(long, short, value_name = "KEY", default_value = "", hide_default_value = true)]
    pub sort: String,
    #[command(flatten)]
    pub table: TableFlag,
}

/// How a write is made.
#[derive(Args, Debug, Clone)]
pub struct WriteArgs {
    /// Don't wait until it is durable; prints the operation id for `atoll kv verify`
    #[arg(long = "async")]
    pub asynchronous: bool,
    /// Only if the item is at this version
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<Version>,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum KvCommand {
    /// Put a value
    Put(write::PutArgs),
    /// Print a value
    Get(read::GetArgs),
    /// Delete an item; 1 if there is none
    Delete(write::DeleteArgs),
    /// Put a value if the item holds a certain other now
    Cas(write::CasArgs),
    /// List items: of a key in order, or of the whole table
    Scan(read::ScanArgs),
    /// Print how many items a table has
    Size {
        #[command(flatten)]
        table: TableFlag,
    },
    /// Print changes under a key as they happen
    Watch(watch::WatchArgs),
    /// Tell what became of a write
    Verify {
        /// Operation id, as printed by an --async write or an unknown outcome
        operation: OperationId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Carries it out.
pub async fn run(args: KvArgs) -> Outcome {
    let remote = session::connect(&args.server).await?;
    match args.command {
        KvCommand::Put(put) => write::put(&remote, put).await,
        KvCommand::Get(get) => read::get(&remote, get).await,
        KvCommand::Delete(delete) => write::delete(&remote, delete).await,
        KvCommand::Cas(cas) => write::cas(&remote, cas).await,
        KvCommand::Scan(scan) => read::scan(&remote, scan).await,
        KvCommand::Size { table } => read::size(&remote, &table.table).await,
        KvCommand::Watch(args) => watch::watch(&remote, args).await,
        KvCommand::Verify { operation, json } => write::verify(&remote, operation, json).await,
    }
}
