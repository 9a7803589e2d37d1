//! `atoll table`: the tables of the key-value store.

use crate::cli::{ServerArgs, confirm};
use crate::failure::Outcome;
use crate::{output, session};
use clap::{Args, Subcommand, ValueEnum};
use client::remote::{RemoteError, TableInfo};
use serde_json::{Value, json};
use types::TableKind;

/// Make, list and delete tables of the key-value store
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll table create inventory
  atoll table list --json
  atoll table delete inventory")]
pub struct TableArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TableCommand,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What can be done with tables.
#[derive(Subcommand, Debug)]
pub enum TableCommand {
    /// Make a table
    Create {
        /// Its name
        name: String,
        /// How it is replicated
        #[arg(long, value_enum, default_value = "strong")]
        kind: Kind,
        /// It is fine if it is there already
        #[arg(long)]
        or_existing: bool,
    },
    /// List the tables
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a table and everything in it
    Delete {
        /// Its name
        name: String,
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// How a table is replicated.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Kind {
    /// Linearizable: every read sees every write before it
    Strong,
    /// Always writable (not offered yet)
    Available,
}

impl From<Kind> for TableKind {
    fn from(kind: Kind) -> TableKind {
        match kind {
            Kind::Strong => TableKind::Strong,
            Kind::Available => TableKind::Available,
        }
    }
}

fn kind_name(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Strong => "strong",
        TableKind::Available => "available",
    }
}

fn to_json(table: &TableInfo) -> Value {
    json!({"id": table.id, "name": table.name, "kind": kind_name(table.kind), "owner": table.owner})
}

/// Carries it out.
pub async fn run(args: TableArgs) -> Outcome {
    match args.command {
        TableCommand::Create { name, kind, or_existing } => {
            let table = session::connect(&args.server).await?.create_table(&name, kind.into(), or_existing).await?;
            output::line(format!("Table {} is ready ({}).", table.name, kind_name(table.kind)))
        }
        TableCommand::List { json } => {
            let tables = session::connect(&args.server).await?.list_tables().await?;
            if json {
                return output::json(&tables.iter().map(to_json).collect::<Vec<_>>());
            }
            if tables.is_empty() {
                eprintln!("There are no tables yet. Make one: atoll table create NAME");
                return Ok(());
            }
            let mut text = output::table(["name", "kind", "owner"]);
            for table in tables {
                text.add_row([table.name.as_str(), kind_name(table.kind), &table.owner]);
            }
            output::print(output::table_text(&text))
        }
        TableCommand::Delete { name, yes } => {
            let remote = session::connect(&args.server).await?;
            // Nobody is asked about what is not there.
            if !yes && !remote.list_tables().await?.iter().any(|table| table.name == name) {
                return Err(RemoteError::NoSuchTable(format!("there is no table {name}")).into());
            }
            confirm(&format!("Delete table {name} and everything in it?"), yes)?;
            remote.delete_table(&name).await?;
            output::line(format!("Table {name} is deleted."))
        }
    }
}
