//! `atoll key`: access keys, by which programs come in over S3.

use crate::cli::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::{Args, Subcommand};
use client::remote::people::{AccessKey, CreateAccessKeyRequest};
use serde_json::{Value, json};

/// Access keys for S3: make, list, delete
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll key create laptop                     reads and writes, in all your buckets
  atoll key create backup --bucket archive    for that bucket alone
  atoll key create viewer --read-only
  atoll key list
  atoll key delete ID

Then, with any S3 program: the key, its secret, and http://HOST:9000 as the endpoint.")]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be done with access keys.
#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Make one; its secret is printed this once
    Create {
        /// What for, such as the program's name
        label: String,
        /// It may list and read, and change nothing
        #[arg(long, conflicts_with = "write_only")]
        read_only: bool,
        /// It may change things, and neither list nor read
        #[arg(long)]
        write_only: bool,
        /// For this bucket; repeat for several [default: all that you may use]
        #[arg(long = "bucket", value_name = "NAME")]
        buckets: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List them, with their last use
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete one: what signs with it is shut out
    Delete {
        /// Of the key
        id: String,
    },
}

/// Carries it out.
pub async fn run(args: KeyArgs) -> Outcome {
    let remote = session::connect(&args.server).await?;
    match args.command {
        KeyCommand::Create { label, read_only, write_only, buckets, json } => {
            let asked = CreateAccessKeyRequest { label, read: !write_only, write: !read_only, buckets };
            let made = remote.create_access_key(asked).await?;
            let key = made.access_key.ok_or_else(|| Failure::failed("the answer has no access key in it"))?;
            if json {
                let mut value = key_json(&key);
                value["secret"] = json!(made.secret);
                return output::json(&value);
            }
            eprintln!("The secret is not shown again:");
            output::line(format!("access key  {}\nsecret      {}", key.id, made.secret))
        }
        KeyCommand::List { json } => {
            let keys = remote.access_keys().await?;
            if json {
                return output::json(&keys.iter().map(key_json).collect::<Vec<Value>>());
            }
            super::print::access_keys(&keys)
        }
        KeyCommand::Delete { id } => {
            remote.remove_access_key(&id).await?;
            output::line("The access key is deleted; what signs with it is shut out.")
        }
    }
}

fn key_json(key: &AccessKey) -> Value {
    json!({
        "id": key.id, "label": key.label, "read": key.read, "write": key.write, "buckets": key.buckets,
        "created_ms": key.created_ms, "used_ms": (key.used_ms > 0).then_some(key.used_ms), "used_from": key.used_from,
    })
}
