//! The `atoll` binary: server, admin tool and file client.
//!
//! **Owns** the command line, the configuration file, and putting the parts
//! together ([`compose`]). **Invariants**: results go to standard output, words
//! about them to standard error; exit codes 0 done, 1 refused or failed, 2
//! usage, 3 unknown outcome. **Leaves to others**: everything that a cluster
//! does (`node`, `gateways`), and talking to one (`client::remote`). **Proved
//! by** the tests beside each file and by `tests/`, which run this binary.

mod bench;
mod cli;
mod cluster;
mod compose;
mod config;
mod demo;
mod failure;
mod files;
mod folder;
mod front;
mod kv;
mod layout;
mod lock;
mod log;
mod output;
mod people;
mod ports;
mod remove;
mod session;
mod span;
mod table;
mod up;
mod verdict;
mod verify;
mod way;

use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use failure::{Failure, Outcome};
use std::ffi::OsString;
use std::process::ExitCode;

/// Requests and replies are made on one thread and freed on another all the time, which the C library's allocator is slow at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a node runs itself as for each document: tells the text of the one at the other end of standard input.
const READ_DOCUMENT: &str = "read-as-asked";

fn main() -> ExitCode {
    // Before anything that is set up here, or stands in a file, could keep it from that.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == READ_DOCUMENT) && arguments.next().is_none() {
        return extract::serve().into();
    }
    match parse(std::env::args_os().collect()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Command line over `ATOLL_*` variables over `atoll.toml`. Help and usage errors end here.
fn parse(arguments: Vec<OsString>) -> Outcome<Cli> {
    let command = match config::find(&arguments) {
        Some(path) => config::apply(Cli::command(), &path)?,
        None => Cli::command(),
    };
    let matches = command.try_get_matches_from(arguments).unwrap_or_else(|error| error.exit());
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// The table of commands.
fn run(cli: Cli) -> Outcome {
    log::start(&cli.command);
    if let Command::Completions { shell } = cli.command {
        return cli::completions(shell);
    }
    if let Command::Witness = cli.command {
        return node::witness(std::io::stdin().lock()).map_err(|error| Failure::io("no witness", &error));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start the runtime", &error))?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Login(args) => session::login::run(args).await,
            Command::Logout(args) => session::login::logout(args).await,
            Command::Whoami(args) => session::login::whoami(args).await,
            Command::Passwd(args) => people::own::passwd(args).await,
            Command::Key(args) => people::keys::run(args).await,
            Command::Account(args) => people::own::run(args).await,
            Command::User(args) => people::users::run(args).await,
            Command::Mail(args) => people::mail::run(args).await,
            Command::Drive(args) => people::drives::run(args).await,
            Command::Upload(args) => files::upload::run(args).await,
            Command::Download(args) => files::download::run(args).await,
            Command::Delete(args) => files::delete::run(args).await,
            Command::Ls(args) => files::list::run(args).await,
            Command::Mv(args) => files::rename::run(args).await,
            Command::Cp(args) => files::rename::copy(args).await,
            Command::Find(args) => files::kept::find(args).await,
            Command::Copies(args) => files::copies::run(args).await,
            Command::Star(args) => files::personal::star(args).await,
            Command::Unstar(args) => files::personal::unstar(args).await,
            Command::Starred(args) => files::personal::starred(args).await,
            Command::Recent(args) => files::personal::recent(args).await,
            Command::Share(args) => files::share::run(args).await,
            Command::Trash(args) => files::kept::trash(args).await,
            Command::Versions(args) => files::kept::versions(args).await,
            Command::Jobs(args) => files::kept::jobs(args).await,
            Command::Mkdir(args) => files::folders::run(args).await,
            Command::Kv(args) => kv::run(args).await,
            Command::Table(args) => table::run(args).await,
            Command::Cluster(args) => cluster::run(args).await,
            Command::Bench(args) => bench::run(args).await,
            Command::Witness | Command::Completions { .. } => Ok(()),
        }
    });
    // A thread that waits for standard input must not hold up the exit.
    runtime.shutdown_background();
    outcome
}
