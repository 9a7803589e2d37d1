//! The command line: the list of commands, what they share, and shell completions.

use crate::failure::{Failure, Outcome};
use crate::{bench, cluster, demo, files, kv, output, people, session, table, up};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// A self-hosted cloud on machines you own: files, accounts, and the replicated store underneath.
#[derive(Parser, Debug)]
#[command(name = "atoll", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start here:
  atoll demo --nodes 3        a cluster of three on this machine, to play with
  atoll up                    one machine, for real; more can join later
  atoll upload ./photos       from any machine that is logged in (atoll login)

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 outcome unknown, 130 stopped by Ctrl-C.
Flags can also be given as ATOLL_* variables or in atoll.toml; flags weigh most, the file least.")]
pub struct Cli {
    /// Configuration file [default: ./atoll.toml, if there is one] [env: ATOLL_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    Up(up::UpArgs),
    Demo(demo::DemoArgs),
    Login(session::login::LoginArgs),
    Logout(session::login::LogoutArgs),
    Whoami(session::login::WhoamiArgs),
    Passwd(people::own::PasswdArgs),
    Account(people::own::AccountArgs),
    Key(people::keys::KeyArgs),
    User(people::users::UserArgs),
    Mail(people::mail::MailArgs),
    Drive(people::drives::DriveCommandArgs),
    Upload(files::upload::UploadArgs),
    Download(files::download::DownloadArgs),
    Delete(files::delete::DeleteArgs),
    Ls(files::list::ListArgs),
    Mv(files::rename::MoveArgs),
    Cp(files::rename::CopyArgs),
    Mkdir(files::folders::MkdirArgs),
    Find(files::kept::FindArgs),
    Copies(files::copies::CopiesArgs),
    Star(files::personal::StarArgs),
    Unstar(files::personal::UnstarArgs),
    Starred(files::personal::StarredArgs),
    Recent(files::personal::RecentArgs),
    Share(files::share::ShareArgs),
    Trash(files::kept::TrashArgs),
    Versions(files::kept::VersionsArgs),
    Jobs(files::kept::JobsArgs),
    Kv(kv::KvArgs),
    Table(table::TableArgs),
    Cluster(cluster::ClusterArgs),
    Bench(bench::BenchArgs),
    /// Tell the cluster when the process at the other end of standard input has ended: every node runs one of these
    #[command(hide = true)]
    Witness,
    /// Print completions for a shell
    #[command(after_help = "Example:\n  atoll completions bash > /etc/bash_completion.d/atoll")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Which cluster a command talks to.
#[derive(Args, Debug, Clone, Default)]
pub struct ServerArgs {
    /// gRPC address of a node; give several, by repeating or with commas, to survive the loss of one
    #[arg(long, env = "ATOLL_SERVER", value_name = "HOST:PORT", value_delimiter = ',', global = true)]
    pub server: Vec<String>,
    /// Certificates of the authorities to believe (PEM), in place of the one that was trusted at the login
    #[arg(long, env = "ATOLL_CA", value_name = "FILE", global = true)]
    pub ca: Option<PathBuf>,
    /// Session token to use instead of the stored one
    #[arg(long, env = "ATOLL_TOKEN", value_name = "TOKEN", hide_env_values = true, hide = true, global = true)]
    pub token: Option<String>,
}

/// Which cluster a command talks to, and which drive it is about.
#[derive(Args, Debug, Clone, Default)]
pub struct DriveArgs {
    /// A shared drive, by its name or id [default: your own] (see: atoll drive list)
    #[arg(long, env = "ATOLL_DRIVE", value_name = "NAME", global = true)]
    pub drive: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Prints completions.
pub fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "atoll", &mut script);
    output::print(script)
}

/// A port of 1 or more.
pub fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a port is a number from 1 to 65535".into()),
        Ok(port) => Ok(port),
    }
}

/// Asks a yes/no question when a person watches; without one, `yes` must have been given.
pub fn confirm(question: &str, yes: bool) -> Outcome {
    use std::io::IsTerminal;
    if yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && output::watched()) {
        return Err(Failure::usage(format!("{question} This must be answered, and no person is at the terminal"))
            .next("nothing was done; add --yes if you are sure"));
    }
    match inquire::Confirm::new(question).with_default(false).prompt() {
        Ok(true) => Ok(()),
        _ => Err(Failure::failed("not done").safe("nothing was changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command, path: &str) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.lines().all(|line| line.chars().count() <= 100), "{path}: a line of its help is too long");
            assert!(command.get_about().is_some(), "{path} has no help");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some() || arg.is_hide_set(), "{path} {} has no help", arg.get_id());
            }
            command.get_subcommands().for_each(|inner| check(inner, &format!("{path} {}", inner.get_name())));
        }
        check(&Cli::command(), "atoll");
    }

    fn parses(words: &str) -> bool {
        Cli::try_parse_from(words.split_whitespace()).is_ok()
    }

    #[test]
    fn what_the_documentation_shows_is_understood() {
        for words in [
            "atoll up",
            "atoll up --data d --join T --listen 127.0.0.1 --web-port 1 --grpc-port 2 --node-port 3 --zone z --capacity 5",
            "atoll up --coordination zookeeper://zk1:2181,zk2:2181,zk3:2181/atoll",
            "atoll demo --nodes 3",
            "atoll demo --nodes 3 --coordination zookeeper://localhost:2181/demo",
            "atoll demo --nodes 5 --data x --fresh",
            "atoll demo kill 2",
            "atoll demo status --json",
            "atoll demo stop --data x",
            "atoll login localhost:7070 --user ada --password-stdin",
            "atoll login h:7070 --user ada --password-stdin --code 123456",
            "atoll passwd --password-stdin",
            "atoll account sessions --json",
            "atoll account end-session --others",
            "atoll account app-password add laptop --for webdav --for grpc --write",
            "atoll account second-factor on --show --json",
            "atoll account second-factor off --password-stdin --code 123456",
            "atoll user add ada --quota 20G --role administrator",
            "atoll user list --json",
            "atoll user show ada",
            "atoll user disable ada",
            "atoll user enable ada",
            "atoll user reset ada --second-factor",
            "atoll user quota ada default",
            "atoll user role ada user",
            "atoll user remove ada --yes",
            "atoll user sessions ada --end-all",
            "atoll user invite --note x --valid-days 7",
            "atoll user policy --sign-up open --quota 5G",
            "atoll user audit --about ada -n 10",
            "atoll user policy --drives-max 5 --drive-quota 20G",
            "atoll drive create 'x' --json",
            "atoll drive list --all --json",
            "atoll drive rename x y",
            "atoll drive members x --json",
            "atoll drive add x ada --role edit",
            "atoll drive role x ada manage",
            "atoll drive remove x ada",
            "atoll drive leave x --json",
            "atoll drive quota x 20G",
            "atoll drive delete x --yes",
            "atoll ls --drive x /",
            "atoll trash list --drive x",
            "atoll cp -r /a /b --drive x --from-drive y",
            "atoll cp /a /b --drive x --from-own",
            "atoll upload a b /photos --force -j 4",
            "atoll upload - /from-stdin.txt",
            "atoll download /photos here",
            "atoll delete -r /a /b",
            "atoll view-directory /photos -l --json",
            "atoll ls",
            "atoll mv /a /b",
            "atoll mv /a /b /into --keep-both",
            "atoll cp -r /a /b --no-wait",
            "atoll rm --permanently /a",
            "atoll ls -ltr /photos",
            "atoll find report --json",
            "atoll trash list --json",
            "atoll trash restore /notes.txt",
            "atoll trash empty --yes",
            "atoll versions list /notes.txt",
            "atoll versions restore /notes.txt 000102030405060708090a0b0c0d0e0f",
            "atoll copies /plan.txt --verify --json",
            "atoll jobs list",
            "atoll mkdir -p /a/b",
            "atoll kv put k v --table t --async",
            "atoll kv put k -",
            "atoll kv get k --sort s --server a:1 --server b:2",
            "atoll --config x kv get k --server a:1,b:2",
            "atoll kv cas k old new",
            "atoll kv scan --json",
            "atoll kv watch k",
            "atoll table create t --kind strong",
            "atoll cluster join-token --valid 2h",
            "atoll cluster status --json",
            "atoll cluster status --data d --json",
            "atoll cluster --data d layout --copies 3 --plan",
            "atoll cluster remove 1 2 --lost --accept-data-loss --data d",
            "atoll bench kv mixed --clients 64 --duration 5s --value-size 256 --json",
            "atoll bench kv put --etcd localhost:2379",
            "atoll completions zsh",
        ] {
            assert!(parses(words), "{words}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            "atoll",
            "atoll up --web-port 0",
            "atoll up --coordination etcd://a:1",
            "atoll up --web-port 70000",
            "atoll kv",
            "atoll demo --nodes 0",
            "atoll kv cas k new",
            "atoll user quota ada lots",
            "atoll drive add x ada --role owner",
            "atoll cp /a /b --from-drive x --from-own",
            "atoll kv get k --drive x",
            "atoll account end-session",
            "atoll account app-password add laptop",
        ] {
            assert!(!parses(words), "{words}");
        }
    }
}
