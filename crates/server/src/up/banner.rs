//! What a node says when it has started: where the data is, where to go, what to try next.

use super::UpArgs;
use crate::compose::Running;
use crate::failure::Outcome;
use crate::output;
use std::path::Path;

/// Prints it.
pub fn print(args: &UpArgs, data: &Path, running: &Running) -> Outcome {
    output::print(text(args, data, running.setup_link.as_deref(), running.nodes))
}

fn text(args: &UpArgs, data: &Path, setup_link: Option<&str>, nodes: usize) -> String {
    let host = if args.listen.is_unspecified() { "localhost".to_string() } else { args.listen.to_string() };
    let web = crate::ports::join(&host, args.web_port);
    let grpc = crate::ports::join(&host, args.grpc_port);
    let rows = [
        ("Data", data.display().to_string()),
        ("Open", format!("http://{web}")),
        match setup_link {
            Some(link) => ("Set up", format!("{link}   (once; makes the first account)")),
            None => ("Sign in", format!("atoll login {grpc}")),
        },
        ("Add one", "atoll cluster join-token     then, on the other machine:  atoll up --join TOKEN".to_string()),
        ("Try next", format!("atoll login {grpc} && atoll upload README.md && atoll ls")),
        ("Stop", "Ctrl-C; start again with the same command".to_string()),
    ];
    let out: String = rows.iter().map(|(name, value)| format!("  {name:<12}{value}\n")).collect();
    let standing = match nodes {
        0 | 1 => "No redundancy yet: add 2 machines, and any one of the three can be lost.".to_string(),
        2 => "Two machines: add 1 more, and any one of the three can be lost without a stop.".to_string(),
        n => format!("{n} machines. See how they are: atoll cluster status"),
    };
    format!("Atoll {} is running.\n\n{out}\n{standing}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn the_first_words_say_what_a_newcomer_needs() {
        let Command::Up(args) = Cli::parse_from(["atoll", "up", "--web-port", "81"]).command else { panic!() };
        let first = text(&args, Path::new("/d"), Some("http://h/setup"), 1);
        for words in ["/d", "http://localhost:81", "http://h/setup", "join-token", "No redundancy yet: add 2 machines"]
        {
            assert!(first.contains(words), "{words} is missing in:\n{first}");
        }
        assert!(!text(&args, Path::new("/d"), None, 3).contains("No redundancy"));
    }
}
