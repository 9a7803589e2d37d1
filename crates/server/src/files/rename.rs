//! `atoll mv` and `atoll cp`.

use super::{last_name, paths};
use crate::cli::DriveArgs;
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
    pub drive: DriveArgs,
}

/// Copy files and folders within the cluster; no bytes are sent
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  atoll cp /a.txt /b.txt
  atoll cp -r /photos /2026     a folder is copied by the cluster, and is there when it is whole
  atoll cp --from-own --drive Club /a.txt /     from your own drive into a shared one
  atoll cp --from-drive Club /a.txt /           and back; to move, delete it there then
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
    /// The shared drive to copy from, where that is not the one to copy into
    #[arg(long, value_name = "NAME", conflicts_with = "from_own")]
    pub from_drive: Option<String>,
    /// Copy from your own drive into the shared one
    #[arg(long)]
    pub from_own: bool,
    #[command(flatten)]
    pub clash: ClashArgs,
    /// Result as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub drive: DriveArgs,
}

/// What goes where.
/// `elsewhere`: they are in another drive.
async fn targets(remote: &Remote, given: &[String], elsewhere: bool) -> Outcome<Vec<(String, String)>> {
    let Some((last, sources)) = given.split_last() else { return Err(Failure::usage("name what, and where to")) };
    let to = paths::absolute(last)?;
    let sources: Vec<String> = sources.iter().map(|path| paths::absolute(path)).collect::<Outcome<_>>()?;
    sources.iter().try_for_each(|path| last_name(path).map(drop))?;
    let into = last.ends_with('/')
        || to == "/"
        || match remote.stat(&to).await {
            // Onto itself: a change of case only, or nothing.
            Ok(entry) => entry.is_folder() && (elsewhere || sources != [to.clone()]),
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

/// What became of acts so far.
#[derive(Default)]
struct Report {
    rows: Vec<Value>,
    done: Vec<Done>,
    /// The first failure; one of unknown outcome goes before all others.
    worst: Option<Failure>,
}

impl Report {
    /// One failure, of one act or of several sent together.
    fn failed<'a>(&mut self, what: impl Iterator<Item = &'a String>, failure: Failure) {
        let result = if failure.code() == 3 { "unknown" } else { "failed" };
        let why = failure.to_string();
        self.rows.extend(what.map(|what| json!({"path": what, "result": result, "why": why})));
        match &self.worst {
            None => self.worst = Some(failure),
            Some(before) => {
                eprintln!("failed: {failure}");
                if before.code() != 3 && failure.code() == 3 {
                    self.worst = Some(failure);
                }
            }
        }
    }

    fn end(self, all: usize, json: bool) -> Outcome<Vec<Done>> {
        if json {
            output::json(&json!({ "items": self.rows }))?;
        }
        match self.worst {
            None => Ok(self.done),
            // That nothing was changed is true of this one alone.
            Some(failure) if !self.done.is_empty() && failure.code() != 3 => {
                let how_far = format!("{} of {all} are done, and stay so", self.done.len());
                Err(Failure::failed(failure.to_string()).safe(how_far))
            }
            Some(failure) => Err(failure),
        }
    }
}

/// Does the acts, each with an outcome of its own; the worst is the command's.
pub async fn act_all(
    remote: &Remote,
    acts: &[(String, Act)],
    json: bool,
    say: impl Fn(&str, &Done) -> String,
) -> Outcome<Vec<Done>> {
    let mut report = Report::default();
    for (n, part) in acts.chunks(AT_ONCE).enumerate() {
        let wire: Vec<Act> = part.iter().map(|(_, act)| act.clone()).collect();
        let outcomes = match remote.act_all(&wire).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // What became of this portion the error says; the rest is not tried.
                report.failed(part.iter().map(|(what, _)| what), error.into());
                let rest = acts.iter().skip((n + 1) * AT_ONCE);
                report.rows.extend(rest.map(|(what, _)| json!({"path": what, "result": "not tried"})));
                break;
            }
        };
        for ((what, _), outcome) in part.iter().zip(outcomes) {
            match outcome {
                Ok(done) => {
                    if json {
                        report.rows.push(done_json(what, &done));
                    } else {
                        output::line(say(what, &done))?;
                    }
                    report.done.push(done);
                }
                Err(error) => report.failed(std::iter::once(what), error.into()),
            }
        }
    }
    report.end(acts.len(), json)
}

/// A path as it is shown.
pub(super) fn shown(path: &str) -> String {
    output::printable(path.as_bytes())
}

fn done_json(what: &str, done: &Done) -> Value {
    json!({
        "path": what, "result": if done.path.is_some() { "done" } else { "skipped" }, "now": done.path,
        "trashed": done.trashed.map(|id| output::hex(&id)), "job": done.job.as_ref().map(|job| output::hex(&job.id)),
    })
}

/// Moves.
pub async fn run(args: MoveArgs) -> Outcome {
    let remote = session::connect_in(&args.drive).await?;
    let clash = args.clash.rule();
    let targets = targets(&remote, &args.paths, false).await?;
    let acts: Vec<_> = targets.into_iter().map(|(from, to)| (from.clone(), Act::rename(&from, &to, clash))).collect();
    let say = |from: &str, done: &Done| match &done.path {
        Some(to) => format!("{} is now {}", shown(from), shown(to)),
        None => format!("{} stays: its new name is taken", shown(from)),
    };
    act_all(&remote, &acts, args.json, say).await.map(drop)
}

/// Copies.
pub async fn copy(args: CopyArgs) -> Outcome {
    let remote = session::connect_in(&args.drive).await?;
    let clash = args.clash.rule();
    let source = match &args.from_drive {
        Some(named) => Some(remote.in_drive(Some(session::find_drive(&remote, named).await?))),
        None => args.from_own.then(|| remote.in_drive(None)),
    };
    let targets = targets(&remote, &args.paths, source.is_some()).await?;
    for (from, _) in &targets {
        if !args.recursive && source.as_ref().unwrap_or(&remote).stat(from).await?.is_folder() {
            return Err(Failure::failed(format!("{from} is a folder"))
                .safe("nothing was changed")
                .next("with -r it is copied with everything in it"));
        }
    }
    let act = |from: &str, to: &str| match &source {
        None => Act::copy(from, to, clash),
        Some(source) => Act::copy_from(source.drive(), from, to, clash),
    };
    let acts: Vec<_> = targets.into_iter().map(|(from, to)| (from.clone(), act(&from, &to))).collect();
    let say = |from: &str, done: &Done| match (&done.job, &done.path) {
        (Some(_), _) => format!("Copying {} …", shown(from)),
        (None, Some(to)) => format!("Copied {} to {}", shown(from), shown(to)),
        (None, None) => format!("{} was not copied: the name is taken", shown(from)),
    };
    let done = act_all(&remote, &acts, args.json, say).await?;
    let mut failed = None;
    for job in done.into_iter().filter_map(|done| done.job).filter(|_| !args.no_wait) {
        let ended = wait(&remote, job).await?;
        match ended.state {
            JobState::Done if args.json => {}
            JobState::Done => {
                let (from, to) = (shown(&ended.from), shown(&ended.to));
                output::line(format!("Copied {from} to {to}: {}", output::count(ended.done, "entry")))?;
            }
            _ => {
                let why = ended.problem.unwrap_or_else(|| "it was stopped".into());
                failed = failed.or(Some(Failure::failed(format!("{} was not copied: {why}", shown(&ended.from)))));
            }
        }
    }
    failed.map_or(Ok(()), |failure| Err(failure.safe("nothing of the copy is left")))
}

async fn wait(remote: &Remote, mut job: Job) -> Outcome<Job> {
    while job.state == JobState::Running {
        tokio::time::sleep(LOOK_EVERY).await;
        // It goes on, whatever is heard of it.
        job = remote.job(job.id).await.map_err(|error| Failure::Unknown {
            what: format!("{} is being copied, and goes on; how far it is cannot be told: {error}", shown(&job.from)),
            next: Some(format!("`atoll jobs list` shows how it ends: it is job {}", output::hex(&job.id))),
        })?;
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> Done {
        Done { path: Some("/b".into()), entry: None, trashed: None, job: None, undo: Vec::new() }
    }

    #[test]
    fn what_was_done_before_a_failure_is_not_denied() {
        let names = ["/c".to_string(), "/d".to_string()];
        let busy = || Failure::Remote(RemoteError::Busy("busy".into()));
        let mut report = Report::default();
        report.done.push(done());
        report.failed(names.iter(), busy());
        assert_eq!(report.rows.len(), 2);
        let Err(Failure::Failed { safe, .. }) = report.end(3, false) else { panic!("it failed") };
        assert_eq!(safe.as_deref(), Some("1 of 3 are done, and stay so"));
        // Nothing done: the failure's own words.
        let mut report = Report::default();
        report.failed(names.iter(), busy());
        assert!(matches!(report.end(2, false), Err(Failure::Remote(_))));
        // What is not known goes before what is.
        let mut report = Report::default();
        report.done.push(done());
        report.failed(names[..1].iter(), busy());
        report.failed(names[1..].iter(), RemoteError::Unknown { operation: None, why: "lost".into() }.into());
        assert_eq!(report.rows[1]["result"], "unknown");
        assert_eq!(report.end(3, false).err().map(|failure| failure.code()), Some(3));
    }
}
