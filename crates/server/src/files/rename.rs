//! `atoll mv` and `atoll cp`.

use super::{last_name, paths};
use crate::cli::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::{output, session};
use clap::Args;
use client::remote::{Act, Clash, Done, Job, JobState, Remote, RemoteError};
use serde_json::{Value, json};
use std::time::Duration;

/// Acts sent in one call.
const AT_ONCE: usize = 50;
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Which names may be taken.
#[derive(Args, Debug, Clone, Copy)]
pub struct ClashArgs {
    /// Replace a file that is there: it goes to the trash, or becomes an earlier version
    #[arg(long, short)]
    pub force: bool,
    /// Leave alone what is there, and what would have come there
    #[arg(long, short = 'n', conflicts_with = "force")]
    pub no_clobber: bool,
    /// Keep both: the newcomer becomes `name (2)`
    #[arg(long, conflicts_with_all = ["force", "no_clobber"])]
    pub keep_both: bool,
}

impl ClashArgs {
    /// As the drive takes it.
    pub fn rule(self) -> Clash {
        match (self.force, self.no_clobber, self.keep_both) {
            (true, ..) => Clash::Replace,
            (_, true, _) => Clash::Skip,
            (_, _, true) => Clash::KeepBoth,
            _ => Clash::Fail,
        }
    }
}

/// Move or rename files and folders
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll mv /a.txt /b.txt        a new name
  atoll mv /a.txt /b.txt /notes into a folder
  atoll mv /photos /2026        a folder of any size moves at once")]
pub struct MoveArgs {
    /// What, in the drive, and last its new path or the folder to put it in
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    pub paths: Vec<String>,
    #[command(flatten)]
    pub clash: ClashArgs,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Copy files and folders within the drive; no bytes are sent
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll cp /a.txt /b.txt
  atoll cp -r /photos /2026     a folder is copied by the cluster, and is there when it is whole
  atoll jobs list               what is being copied")]
pub struct CopyArgs {
    /// What, in the drive, and last the copy's path or the folder to put it in
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    pub paths: Vec<String>,
    /// Folders too, with everything in them
    #[arg(long, short)]
    pub recursive: bool,
    /// Don't wait for folders
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub clash: ClashArgs,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What goes where.
async fn targets(remote: &Remote, given: &[String]) -> Outcome<Vec<(String, String)>> {
    let Some((last, sources)) = given.split_last() else { return Err(Failure::usage("name what, and where to")) };
    let to = paths::absolute(last)?;
    let sources: Vec<String> = sources.iter().map(|path| paths::absolute(path)).collect::<Outcome<_>>()?;
    sources.iter().try_for_each(|path| last_name(path).map(drop))?;
    let into = last.ends_with('/')
        || to == "/"
        || match remote.stat(&to).await {
            // Onto itself: a change of case only, or nothing.
            Ok(entry) => entry.is_folder() && sources != [to.clone()],
            Err(RemoteError::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
    if sources.len() > 1 && !into {
        return Err(Failure::failed(format!("{to} is not a folder"))
            .safe("nothing was changed")
            .next(format!("atoll mkdir {to}")));
    }
    let target = |from: &String| if into { paths::join(&to, paths::name(from)) } else { to.clone() };
    Ok(sources.iter().map(|from| (from.clone(), target(from))).collect())
}

/// Does the acts, each with an outcome of its own; the worst is the command's.
pub async fn act_all(
    remote: &Remote,
    acts: &[(String, Act)],
    json: bool,
    say: impl Fn(&str, &Done) -> String,
) -> Outcome<Vec<Done>> {
    let (mut results, mut all, mut first): (Vec<Value>, Vec<Done>, Option<Failure>) = (Vec::new(), Vec::new(), None);
    for part in acts.chunks(AT_ONCE) {
        let wire: Vec<Act> = part.iter().map(|(_, act)| act.clone()).collect();
        for ((what, _), outcome) in part.iter().zip(remote.act_all(&wire).await?) {
            match outcome {
                Ok(done) => {
                    if json {
                        results.push(done_json(what, &done));
                    } else {
                        output::line(say(what, &done))?;
                    }
                    all.push(done);
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    results.push(json!({"path": what, "result": if failure.code() == 3 { "unknown" } else { "failed" }, "why": failure.to_string()}));
                    if let Some(before) = &first {
                        eprintln!("failed: {failure}");
                        if before.code() != 3 && failure.code() == 3 {
                            first = Some(failure);
                        }
                    } else {
                        first = Some(failure);
                    }
                }
            }
        }
    }
    if json {
        output::json(&json!({ "items": results }))?;
    }
    first.map_or(Ok(all), Err)
}

fn done_json(what: &str, done: &Done) -> Value {
    json!({
        "path": what, "result": if done.path.is_some() { "done" } else { "skipped" }, "now": done.path,
        "trashed": done.trashed.map(|id| output::hex(&id)), "job": done.job.as_ref().map(|job| output::hex(&job.id)),
    })
}

/// Moves.
pub async fn run(args: MoveArgs) -> Outcome {
    let remote = session::connect(&args.server).await?;
    let clash = args.clash.rule();
    let targets = targets(&remote, &args.paths).await?;
    let acts: Vec<_> = targets.into_iter().map(|(from, to)| (from.clone(), Act::rename(&from, &to, clash))).collect();
    let say = |from: &str, done: &Done| match &done.path {
        Some(to) => format!("{from} is now {to}"),
        None => format!("{from} stays: its new name is taken"),
    };
    act_all(&remote, &acts, args.json, say).await.map(drop)
}

/// Copies.
pub async fn copy(args: CopyArgs) -> Outcome {
    let remote = session::connect(&args.server).await?;
    let clash = args.clash.rule();
    let targets = targets(&remote, &args.paths).await?;
    for (from, _) in &targets {
        if !args.recursive && remote.stat(from).await?.is_folder() {
            return Err(Failure::failed(format!("{from} is a folder"))
                .safe("nothing was changed")
                .next("with -r it is copied with everything in it"));
        }
    }
    let acts: Vec<_> = targets.into_iter().map(|(from, to)| (from.clone(), Act::copy(&from, &to, clash))).collect();
    let say = |from: &str, done: &Done| match (&done.job, &done.path) {
        (Some(_), _) => format!("Copying {from} …"),
        (None, Some(to)) => format!("Copied {from} to {to}"),
        (None, None) => format!("{from} was not copied: the name is taken"),
    };
    let done = act_all(&remote, &acts, args.json, say).await?;
    let mut failed = None;
    for job in done.into_iter().filter_map(|done| done.job).filter(|_| !args.no_wait) {
        let ended = wait(&remote, job).await?;
        match ended.state {
            JobState::Done if args.json => {}
            JobState::Done => {
                output::line(format!("Copied {} to {}: {}", ended.from, ended.to, output::count(ended.done, "entry")))?;
            }
            _ => {
                let why = ended.problem.unwrap_or_else(|| "it was stopped".into());
                failed = failed.or(Some(Failure::failed(format!("{} was not copied: {why}", ended.from))));
            }
        }
    }
    failed.map_or(Ok(()), |failure| Err(failure.safe("nothing of the copy is left")))
}

async fn wait(remote: &Remote, mut job: Job) -> Outcome<Job> {
    while job.state == JobState::Running {
        tokio::time::sleep(LOOK_EVERY).await;
        job = remote.job(job.id).await?;
    }
    Ok(job)
}
