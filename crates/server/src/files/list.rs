//! `atoll ls`.

use super::paths;
use crate::cli::DriveArgs;
use crate::failure::Outcome;
use crate::{output, session};
use clap::Args;
use client::remote::{Entry, Order, Remote};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// List a folder
#[derive(Args, Debug)]
#[command(
    visible_alias = "view-directory",
    after_help = "Examples:
  atoll ls
  atoll ls -l /photos
  atoll ls -lt /photos      the latest first
  atoll ls /photos --json"
)]
pub struct ListArgs {
    /// File or folder in the drive [default: the whole drive]
    #[arg(default_value = "/", hide_default_value = true)]
    pub path: String,
    /// Sizes and dates too
    #[arg(long, short)]
    pub long: bool,
    /// Sizes for people (1.4 MB) rather than in bytes
    #[arg(long, short = 'H')]
    pub human: bool,
    /// By size, the largest first; folders before files
    #[arg(short = 'S', conflicts_with = "time")]
    pub by_size: bool,
    /// By date, the latest first; folders before files
    #[arg(short = 't')]
    pub time: bool,
    /// The other way round
    #[arg(long, short)]
    pub reverse: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// Lists.
pub async fn run(args: ListArgs) -> Outcome {
    let path = paths::absolute(&args.path)?;
    let remote = session::connect_in(&args.drive).await?;
    let order = match (args.by_size, args.time) {
        (true, _) => Order::Size,
        (_, true) => Order::Modified,
        _ => Order::Name,
    };
    let about = if path == "/" { None } else { Some(remote.stat(&path).await?) };
    if args.json {
        output::print("[")?;
    }
    let columns = !args.json && !args.long && std::io::stdout().is_terminal();
    let mut first = true;
    let mut names = Vec::new();
    let mut show = |page: &[(String, Entry)]| {
        if columns {
            names.extend(page.iter().map(|(_, entry)| shown_name(entry)));
            return Ok(());
        }
        print_page(&args, page, &mut first)
    };
    match about.filter(|entry| !entry.is_folder()) {
        Some(file) => show(&[(path, file)])?,
        None => each_page(&remote, &path, order, args.reverse != (args.by_size || args.time), show).await?,
    }
    if args.json {
        output::print("]\n")?;
    }
    output::print(in_columns(&names, terminal_width()))
}

/// Calls `each` with one page of a folder after the other.
async fn each_page(
    remote: &Remote,
    folder: &str,
    order: Order,
    reverse: bool,
    mut each: impl FnMut(&[(String, Entry)]) -> Outcome,
) -> Outcome {
    let mut page = None;
    loop {
        let listed = remote.list_folder_by(folder, order, reverse, page.as_deref(), 0).await?;
        let entries: Vec<_> =
            listed.entries.into_iter().map(|entry| (paths::join(folder, &entry.name), entry)).collect();
        each(&entries)?;
        page = listed.next;
        if page.is_none() {
            return Ok(());
        }
    }
}

fn print_page(args: &ListArgs, page: &[(String, Entry)], first: &mut bool) -> Outcome {
    let mut text = String::new();
    for (path, entry) in page {
        if args.json {
            text += if std::mem::take(first) { "" } else { ",\n" };
            text += &to_json(path, entry).to_string();
        } else if args.long {
            text += &long_line(entry, args.human);
        } else {
            text += &format!("{}\n", shown_name(entry));
        }
    }
    output::print(text)
}

fn shown_name(entry: &Entry) -> String {
    let name = output::printable(entry.name.as_bytes());
    if entry.is_folder() { format!("{name}/") } else { name }
}

fn long_line(entry: &Entry, human: bool) -> String {
    let size = match entry.file() {
        None => "-".to_string(),
        Some(file) if human => output::size(file.size),
        Some(file) => file.size.to_string(),
    };
    format!("{size:>14}  {}  {}\n", output::date(entry.modified), shown_name(entry))
}

fn to_json(path: &str, entry: &Entry) -> Value {
    let mut object = json!({
        "name": entry.name, "path": path, "kind": if entry.is_folder() { "folder" } else { "file" },
        "created_ms": entry.created.0, "modified_ms": entry.modified.0, "modified": output::date(entry.modified),
    });
    if let Some(file) = entry.file() {
        object["size"] = json!(file.size);
        object["hash"] = json!(file.hash.to_string());
        object["version"] = json!(file.version.to_string());
        object["media_type"] = json!(file.media_type);
    }
    object
}

/// Columns filled downwards, as `ls` does.
fn in_columns(names: &[String], width: usize) -> String {
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + 2;
    let columns = (width / widest).max(1);
    let rows = names.len().div_ceil(columns);
    let mut text = String::new();
    for row in 0..rows {
        let line: String = (0..columns)
            .filter_map(|column| names.get(column * rows + row))
            .map(|name| format!("{name}{}", " ".repeat(widest.saturating_sub(name.chars().count()))))
            .collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn terminal_width() -> usize {
    // The table library knows how to ask the terminal.
    let mut table = comfy_table::Table::new();
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.width().map_or(80, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_downwards() {
        let names: Vec<String> = ["a", "bb", "c", "d/", "e"].map(String::from).into();
        assert_eq!(in_columns(&names, 9), "a   d/\nbb  e\nc\n");
        assert_eq!(in_columns(&names, 1), "a\nbb\nc\nd/\ne\n");
        assert_eq!(in_columns(&[], 80), "");
    }
}
