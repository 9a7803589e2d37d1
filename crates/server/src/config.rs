//! The optional configuration file, `atoll.toml`: defaults for flags.
//!
//! **Owns** finding the file and laying it under the command line, so that
//! flags weigh more than `ATOLL_*` variables, and these more than the file. A
//! section is named as the command, a key as its long flag (`_` or `-`):
//!
//! ```toml
//! [up]
//! data = "/srv/atoll"
//! web-port = 8080
//!
//! [client]              # every command that talks to a cluster
//! server = ["a.example:7070", "b.example:7070"]
//!
//! [bench.kv]
//! clients = 128
//! ```
//!
//! **Invariant**: a name that means nothing is an error that says where, never
//! ignored. **Leaves to others**: the meaning of values (`clap` checks them as if typed).

use crate::failure::{Failure, Outcome};
use clap::{ArgAction, Command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Section that gives defaults to every command with such a flag.
const EVERY_CLIENT: &str = "client";

/// The file to use: named by `--config` or `ATOLL_CONFIG`, else `atoll.toml` here if there is one.
pub fn find(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    if let Some(path) = std::env::var_os("ATOLL_CONFIG").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    Some(PathBuf::from("atoll.toml")).filter(|path| path.is_file())
}

/// Reads the file and makes its values the defaults of `command`'s flags.
pub fn apply(command: Command, path: &Path) -> Outcome<Command> {
    let usage = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| usage(error.to_string()))?;
    lay_under(command, &table).map_err(usage)
}

fn lay_under(mut command: Command, table: &Table) -> Result<Command, String> {
    for (section, value) in table {
        let Value::Table(values) = value else {
            return Err(format!("{section:?} must be in a section, such as [up] or [client]"));
        };
        if section == EVERY_CLIENT {
            let mut used = Vec::new();
            command = everywhere(command, values, &mut used)?;
            if let Some(unused) = values.keys().find(|key| !used.contains(key)) {
                return Err(format!("[client] {unused}: no command has the flag --{}", dashed(unused)));
            }
        } else {
            command = into_subcommand(command, section, values, section)?;
        }
    }
    Ok(command)
}

fn into_subcommand(command: Command, name: &str, values: &Table, place: &str) -> Result<Command, String> {
    if command.find_subcommand(name).is_none() {
        return Err(format!("[{place}]: there is no such command"));
    }
    let mut failed = None;
    let command = command.mut_subcommand(name, |mut inner| {
        for (key, value) in values {
            let result = match value {
                Value::Table(deeper) => into_subcommand(inner.clone(), key, deeper, &format!("{place}.{key}")),
                value => set_default(inner.clone(), key, value).map_err(|why| format!("[{place}] {key}: {why}")),
            };
            match result {
                Ok(changed) => inner = changed,
                Err(why) => failed = Some(why),
            }
        }
        inner
    });
    failed.map_or(Ok(command), Err)
}

fn everywhere<'t>(command: Command, values: &'t Table, used: &mut Vec<&'t String>) -> Result<Command, String> {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_string()).collect();
    let mut command = command;
    for (key, value) in values {
        if find_flag(&command, key).is_some() {
            command = set_default(command, key, value).map_err(|why| format!("[client] {key}: {why}"))?;
            used.push(key);
        }
    }
    for name in names {
        let mut result = Ok(());
        command = command.mut_subcommand(name, |inner| match everywhere(inner.clone(), values, used) {
            Ok(changed) => changed,
            Err(why) => {
                result = Err(why);
                inner
            }
        });
        result?;
    }
    Ok(command)
}

fn dashed(key: &str) -> String {
    key.replace('_', "-")
}

fn find_flag(command: &Command, key: &str) -> Option<String> {
    let flag = dashed(key);
    command.get_arguments().find(|arg| arg.get_long() == Some(&flag)).map(|arg| arg.get_id().to_string())
}

fn set_default(command: Command, key: &str, value: &Value) -> Result<Command, String> {
    let id = find_flag(&command, key).ok_or_else(|| format!("there is no flag --{}", dashed(key)))?;
    let texts = match value {
        Value::Array(values) => values.iter().map(text).collect::<Result<Vec<_>, _>>()?,
        value => vec![text(value)?],
    };
    Ok(command.mut_arg(id, |arg| match (arg.get_action(), texts.len()) {
        (ArgAction::Append, _) => arg.default_values(texts),
        (_, 1) => arg.default_value(texts[0].clone()),
        _ => arg.default_values(texts),
    }))
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(format!("a {} has no place here", other.type_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        let server = || Arg::new("server").long("server").env("ATOLL_TEST_SERVER").action(ArgAction::Append);
        Command::new("t")
            .subcommand(
                Command::new("up")
                    .arg(Arg::new("port").long("web-port").value_parser(clap::value_parser!(u16)).default_value("8080"))
                    .arg(Arg::new("quiet").long("quiet").action(ArgAction::SetTrue)),
            )
            .subcommand(Command::new("kv").subcommand(Command::new("get").arg(server())))
    }

    fn with(file: &str) -> Result<Command, String> {
        lay_under(command(), &file.parse().expect("valid TOML"))
    }

    #[test]
    fn the_command_line_weighs_more_than_the_file() {
        let command = with("[up]\nweb_port = 9\nquiet = true\n[client]\nserver = ['a:1', 'b:2']").expect("valid");
        let matches = command.clone().try_get_matches_from(["t", "up"]).expect("parses");
        let up = matches.subcommand_matches("up").expect("up");
        assert_eq!(up.get_one::<u16>("port"), Some(&9));
        assert!(up.get_flag("quiet"));
        let matches = command.clone().try_get_matches_from(["t", "up", "--web-port", "10"]).expect("parses");
        assert_eq!(matches.subcommand_matches("up").and_then(|up| up.get_one::<u16>("port")), Some(&10));
        let matches = command.try_get_matches_from(["t", "kv", "get"]).expect("parses");
        let get = matches.subcommand().and_then(|(_, kv)| kv.subcommand_matches("get")).expect("get");
        let servers: Vec<&String> = get.get_many("server").expect("servers").collect();
        assert_eq!(servers, ["a:1", "b:2"]);
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for bad in [
            "[down]\nx = 1",
            "[up]\nweb = 1",
            "port = 1",
            "[client]\nwhat = 1",
            "[up.deeper]\nx = 1",
            "[up]\nweb_port = 1979-05-27",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bad_values_are_found_when_parsed() {
        let command = with("[up]\nweb_port = 'many'").expect("names are right");
        assert!(command.try_get_matches_from(["t", "up"]).is_err());
    }

    #[test]
    fn the_file_is_found_by_flag() {
        let find = |words: &[&str]| super::find(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(find(&["atoll", "up", "--config", "a.toml"]), Some("a.toml".into()));
        assert_eq!(find(&["atoll", "--config=b.toml", "up"]), Some("b.toml".into()));
    }
}
