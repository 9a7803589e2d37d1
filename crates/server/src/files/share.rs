//! `atoll share`: links for people without an account.

use super::paths;
use crate::cli::DriveArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, people, session};
use apps::accounts::parse_size;
use clap::{Args, Subcommand};
use client::remote::links::{GuestLink, LinkMode, Links, MakeLinkRequest};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// Make a link by which people without an account look at a file or folder, or hand in files
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  atoll share /2026/Pictures                    prints an address
  atoll share /report.pdf --days 7 --downloads 3 --password
  atoll share /homework --drop-box --bytes 5G   others put files there, and see none
  atoll share list
  atoll share revoke ID"
)]
pub struct ShareArgs {
    /// The file or folder
    #[arg(required = true)]
    path: Option<String>,
    /// Others put files into the folder, and see none
    #[arg(long)]
    drop_box: bool,
    /// Ask for a password, of at least six characters (from a prompt, or ATOLL_NEW_PASSWORD)
    #[arg(long)]
    password: bool,
    /// The password is the first line of standard input
    #[arg(long, requires = "password")]
    password_stdin: bool,
    /// It works for so many days [default: until it is taken back]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// So many downloads may begin
    #[arg(long, conflicts_with = "drop_box")]
    downloads: Option<u64>,
    /// So much may be handed in: 500M, 5G
    #[arg(long, value_parser = parse_size, requires = "drop_box")]
    bytes: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<ShareCommand>,
    #[command(flatten)]
    drive: DriveArgs,
}

/// What can be done with links.
#[derive(Subcommand, Debug)]
pub enum ShareCommand {
    /// List links, the latest first
    List {
        /// Only those to this
        path: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a link back: it leads nowhere from then on
    Revoke {
        /// Its id, as `atoll share list` shows it
        id: String,
    },
}

/// `atoll share`.
pub async fn run(args: ShareArgs) -> Outcome {
    match args.command {
        None => make(args).await,
        Some(ShareCommand::List { path, json }) => {
            let path = path.map(|path| paths::absolute(&path)).transpose()?;
            let found = session::connect_in(&args.drive).await?.links(path.as_deref()).await?;
            if json {
                return output::json(&found.links.iter().map(|link| as_json(&found, link)).collect::<Vec<_>>());
            }
            for link in &found.links {
                let name = output::printable(link.name.as_bytes());
                let works = if link.works { "" } else { "  does not work any more" };
                let id = output::hex(&link.id);
                output::line(format!("{id}  {}  {name}  {}{works}", used(link), address(&found, link)))?;
            }
            Ok(())
        }
        Some(ShareCommand::Revoke { id }) => {
            let bytes = u128::from_str_radix(&id, 16).ok().filter(|_| id.len() == 32);
            let bytes =
                bytes.ok_or_else(|| Failure::usage("a link's id is 32 hexadecimal digits: `atoll share list`"))?;
            session::connect_in(&args.drive).await?.revoke_link(bytes.to_be_bytes()).await?;
            output::line("taken back: it leads nowhere any more")
        }
    }
}

async fn make(args: ShareArgs) -> Outcome {
    let path = paths::absolute(args.path.as_deref().unwrap_or_default())?;
    let password = match args.password {
        true => people::new_password("Password of the link:", args.password_stdin)?,
        false => String::new(),
    };
    let expires = args.days.map(|days| SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60));
    let expires = expires.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let mode = if args.drop_box { LinkMode::DropBox } else { LinkMode::View };
    let asked = MakeLinkRequest {
        path,
        mode: mode.into(),
        password,
        expires_ms: expires.map_or(0, |at| at.as_millis() as u64),
        downloads_max: args.downloads,
        bytes_max: args.bytes,
    };
    let made = session::connect_in(&args.drive).await?.make_link(asked).await?;
    let Some(link) = made.links.first() else { return Err(Failure::failed("the server told no link")) };
    match args.json {
        true => output::json(&as_json(&made, link)),
        false => output::line(address(&made, link)),
    }
}

/// The whole address, by the first node that tells where its pages are, and whether by HTTPS.
fn address(of: &Links, link: &GuestLink) -> String {
    match of.web.first() {
        Some(web) => session::page(web, &link.address),
        None => link.address.clone(),
    }
}

fn used(link: &GuestLink) -> String {
    match link.mode() {
        LinkMode::DropBox => format!("{} received", output::size(link.received)),
        _ => match link.downloads_max {
            Some(max) => format!("{} of {max} downloads", link.downloads),
            None => output::count(link.downloads, "download"),
        },
    }
}

fn as_json(of: &Links, link: &GuestLink) -> Value {
    json!({
        "id": output::hex(&link.id), "address": address(of, link), "name": link.name, "works": link.works,
        "kind": if link.folder { "folder" } else { "file" },
        "mode": if link.mode() == LinkMode::DropBox { "drop_box" } else { "view" },
        "path": Some(&link.path).filter(|path| !path.is_empty()), "created_ms": link.created_ms,
        "expires_ms": Some(link.expires_ms).filter(|at| *at > 0), "password": link.password,
        "downloads": link.downloads, "downloads_max": link.downloads_max,
        "received": link.received, "bytes_max": link.bytes_max,
    })
}
