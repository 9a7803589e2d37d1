//! MKCOL, DELETE, COPY, MOVE.

use super::answer::Refusal;
use super::ask::{Ask, Touched};
use super::place::Place;
use apps::DriveError;
use apps::drive::locks::Lock;
use apps::drive::properties::PropertyChange;
use apps::drive::{Act, Clash, DrivePath, Entry, JobState, RenameCondition};
use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Bytes of a body that need not be looked at.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn make_collection(ask: &Ask, path: &DrivePath, body: Body) -> Result<Response, Refusal> {
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
    if !body.is_ok_and(|body| body.is_empty()) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a folder is made without a body"));
    }
    let there = ask.find(path).await?;
    if there.is_some() {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("there is something at {path} already")));
    }
    ask.parent_is_there(path).await?;
    ask.may_change(path, None, &[Touched { path, deep: false, member: true }]).await?;
    match ask.drives().make_folder(ask.drive, &path.to_string()).await {
        Ok(_) => Ok(StatusCode::CREATED.into_response()),
        Err(error @ DriveError::Exists { .. }) => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// To the trash.
pub(super) async fn delete(ask: &Ask, path: &DrivePath) -> Result<Response, Refusal> {
    not_the_drive(path)?;
    let there = ask.found(path).await?;
    if there.is_folder() && !matches!(depth(ask)?, None | Some(Depth::Infinity)) {
        return Err(Refusal::bad("a folder goes with all that is in it: Depth is infinity"));
    }
    let locks = ask.may_change(path, Some(&there), &[Touched { path, deep: true, member: true }]).await?;
    let only = Some(ask.only(&there));
    ask.drives().trash(ask.drive, &path.to_string(), only, Some(ask.user.id)).await.map_err(Refusal::overtaken)?;
    forget_locks(ask, path, &locks).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Where a request takes what it is about.
struct Target {
    path: DrivePath,
    there: Option<Entry>,
    overwrite: bool,
}

impl Target {
    async fn of(ask: &Ask, from: &DrivePath) -> Result<Target, Refusal> {
        let missing = || Refusal::bad("the request needs a Destination");
        let destination = ask.header(HeaderName::from_static("destination"))?.ok_or_else(missing)?;
        let path = ask.to_change(&Place::refer(destination, ask.header(header::HOST)?)?)?;
        if path == *from {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "it is there already"));
        }
        let overwrite = match ask.header("overwrite")? {
            None | Some("T" | "t") => true,
            Some("F" | "f") => false,
            Some(_) => return Err(Refusal::bad("Overwrite is T or F")),
        };
        not_the_drive(&path)?;
        let there = ask.find(&path).await?;
        ask.parent_is_there(&path).await?;
        if there.is_some() && !overwrite {
            let message = format!("there is something at {path} already");
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, message));
        }
        Ok(Target { path, there, overwrite })
    }

    fn done(&self) -> Response {
        let status = if self.there.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
        status.into_response()
    }
}

/// One transaction, whatever is below; what is replaced goes to the trash.
pub(super) async fn rename(ask: &Ask, path: &DrivePath) -> Result<Response, Refusal> {
    not_the_drive(path)?;
    let entry = ask.found(path).await?;
    if entry.is_folder() && !matches!(depth(ask)?, None | Some(Depth::Infinity)) {
        return Err(Refusal::bad("a folder is moved with all that is in it: Depth is infinity"));
    }
    let target = Target::of(ask, path).await?;
    let touched = [
        Touched { path, deep: true, member: true },
        Touched { path: &target.path, deep: true, member: target.there.is_none() },
    ];
    let locks = ask.may_change(path, Some(&entry), &touched).await?;
    let (from, to) = (path.to_string(), target.path.to_string());
    let condition = if target.overwrite { RenameCondition::ReplaceAny } else { RenameCondition::MustNotExist };
    ask.drives().rename(ask.drive, &from, &to, condition).await.map_err(Refusal::overtaken)?;
    forget_locks(ask, path, &locks).await;
    Ok(target.done())
}

/// Blocks are shared. What a folder's copy replaces goes to the trash first.
pub(super) async fn copy(ask: &Ask, place: &Place) -> Result<Response, Refusal> {
    let Place::In(_, path) = place else {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the list of drives cannot be copied"));
    };
    let entry = ask.found(path).await?;
    let alone = match depth(ask)? {
        None | Some(Depth::Infinity) => false,
        Some(Depth::Zero) => entry.is_folder(),
        Some(Depth::One) => return Err(Refusal::bad("Depth is 0 or infinity")),
    };
    let target = Target::of(ask, path).await?;
    if entry.is_folder() && !alone && target.path.names().starts_with(path.names()) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "a folder cannot be copied into itself"));
    }
    if path.names().starts_with(target.path.names()) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "what is copied would be replaced by its copy"));
    }
    let touched = [Touched { path: &target.path, deep: true, member: target.there.is_none() }];
    ask.may_change(path, Some(&entry), &touched).await?;
    let both_files = !entry.is_folder() && target.there.as_ref().is_some_and(|there| !there.is_folder());
    let (drives, to) = (ask.drives(), target.path.to_string());
    let thrown = match &target.there {
        Some(there) if !both_files => Some(drives.trash(ask.drive, &to, Some(there.id()), Some(ask.user.id)).await?),
        _ => None,
    };
    let clash = if both_files { Clash::Replace } else { Clash::Fail };
    let copied = match alone {
        true => copy_alone(ask, &entry, &target.path).await,
        false => copy_whole(ask, path, &to, clash).await,
    };
    match (copied, thrown) {
        (Ok(()), _) => Ok(target.done()),
        // Surely not copied: what had to make room comes back.
        (Err(refusal), Some(thrown)) if !refusal.is_unknown() => {
            let by = Some(ask.user.id);
            if let Err(error) = drives.restore(ask.drive, thrown.id, None, Clash::KeepBoth, by).await {
                tracing::warn!(%error, "what a copy was to replace stays in the trash");
            }
            Err(refusal)
        }
        (Err(refusal), _) => Err(refusal),
    }
}

/// A folder without what is in it.
async fn copy_alone(ask: &Ask, entry: &Entry, to: &DrivePath) -> Result<(), Refusal> {
    let drives = ask.drives();
    drives.make_folder(ask.drive, &to.to_string()).await.map_err(Refusal::overtaken)?;
    let own = drives.properties(ask.drive, &[entry]).await?.remove(0);
    let own: Vec<_> = own.into_iter().map(PropertyChange::Set).collect();
    if !own.is_empty() {
        drives.change_properties(ask.drive, to, &own, None).await?;
    }
    Ok(())
}

async fn copy_whole(ask: &Ask, from: &DrivePath, to: &str, clash: Clash) -> Result<(), Refusal> {
    let drives = ask.drives().within(ask.quota().await?);
    let act = Act::Copy { drive: None, from: from.to_string(), to: to.to_string(), clash };
    let done = drives.act(ask.drive, &act, Some(ask.user.id)).await.map_err(Refusal::overtaken)?;
    let Some(job) = done.job else { return Ok(()) };
    // It goes on by itself, whatever becomes of this request.
    match drives.run_job(ask.drive, job.id).await {
        Ok(job) if job.state == JobState::Done => Ok(()),
        Ok(job) => {
            let why = job.problem.unwrap_or_else(|| "the copy was stopped".into());
            Err(Refusal::new(StatusCode::CONFLICT, why))
        }
        Err(error) => {
            tracing::warn!(%error, "a copy goes on without the one who asked for it");
            Err(Refusal::unknown("the copy goes on by itself; look again in a while"))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    One,
    Infinity,
}

pub(super) fn depth(ask: &Ask) -> Result<Option<Depth>, Refusal> {
    match ask.header("depth")?.map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("0") => Ok(Some(Depth::Zero)),
        Some("1") => Ok(Some(Depth::One)),
        Some("infinity") => Ok(Some(Depth::Infinity)),
        Some(_) => Err(Refusal::bad("Depth is 0, 1 or infinity")),
    }
}

fn not_the_drive(path: &DrivePath) -> Result<(), Refusal> {
    match path.is_root() {
        true => Err(Refusal::new(StatusCode::FORBIDDEN, "the drive itself stays where it is")),
        false => Ok(()),
    }
}

/// Locks are of paths: they go with what was there. Should that fail, they run out.
async fn forget_locks(ask: &Ask, path: &DrivePath, known: &[Lock]) {
    if let Err(error) = ask.drives().drop_locks(ask.drive, path, known).await {
        tracing::debug!(%error, "locks are left to run out");
    }
}
