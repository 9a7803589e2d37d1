//! MKCOL, DELETE, COPY, MOVE.

use super::answer::Refusal;
use super::ask::{Ask, Touched};
use super::place::Place;
use apps::drive::locks::Locks;
use apps::drive::{Clash, Copied, Copying, DrivePath, Entry, JobState, Over, RenameCondition};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A folder is made without a body (RFC 4918, section 9.3).
pub(super) fn without_body(document: Result<Vec<u8>, Refusal>) -> Result<Vec<u8>, Refusal> {
    match document {
        Ok(document) if document.is_empty() => Ok(document),
        _ => Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a folder is made without a body")),
    }
}

pub(super) async fn make_collection(ask: &Ask, path: &DrivePath) -> Result<Response, Refusal> {
    let there = ask.find(path).await?;
    if there.is_some() {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("there is something at {path} already")));
    }
    ask.parent_is_there(path).await?;
    let locks = ask.may_change(path, None, &[Touched { path, deep: false, member: true }]).await?;
    let drives = ask.drives().keeping(&locks);
    drives.make_folder(ask.drive, &path.to_string()).await.map_err(Refusal::overtaken)?;
    Ok(StatusCode::CREATED.into_response())
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
    let drives = ask.drives().keeping(&locks);
    drives.trash(ask.drive, &path.to_string(), only, Some(ask.user.id)).await.map_err(Refusal::overtaken)?;
    forget_locks(ask, path, &locks).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Where a request takes what it is about.
struct Target {
    path: DrivePath,
    there: Option<Entry>,
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
        Ok(Target { path, there })
    }

    /// What was looked at makes room, and nothing else.
    fn room(&self, ask: &Ask) -> RenameCondition {
        let only = |there| RenameCondition::ReplaceOnly(ask.only(there));
        self.there.as_ref().map_or(RenameCondition::MustNotExist, only)
    }

    /// The same of a copy. A file becomes an earlier version of the file that is copied.
    fn over(&self, ask: &Ask, copied: &Entry) -> Over {
        match &self.there {
            None => Over::Rule(Clash::Fail),
            Some(there) => match there.file().filter(|_| !copied.is_folder()) {
                None => Over::Trash(ask.only(there)),
                Some(file) if ask.only(there) == file.version.0 => Over::Version(file.version),
                Some(_) => Over::Rule(Clash::Replace),
            },
        }
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
    let drives = ask.drives().keeping(&locks);
    let (only, by) = (Some(ask.only(&entry)), Some(ask.user.id));
    let renamed = drives.rename_as(ask.drive, path, &target.path, target.room(ask), only, by).await;
    renamed.map_err(Refusal::overtaken)?;
    forget_locks(ask, path, &locks).await;
    Ok(target.done())
}

/// Blocks are shared. What is replaced is there until the copy is whole.
pub(super) async fn copy(ask: &Ask, path: &DrivePath) -> Result<Response, Refusal> {
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
    let locks = ask.may_change(path, Some(&entry), &touched).await?;
    let drives = ask.drives().within(ask.quota().await?).keeping(&locks);
    let by = Some(ask.user.id);
    if alone {
        let copied = drives.copy_folder_alone(ask.drive, path, &target.path, target.room(ask), by).await;
        return copied.map(|_| target.done()).map_err(Refusal::overtaken);
    }
    let asked = Copying {
        over: target.over(ask, &entry),
        only: Some(ask.only(&entry)),
        by,
        tokens: Some(ask.tokens()?),
        ..Copying::new(ask.drive, path.clone(), target.path.clone())
    };
    let Some(Copied::Begun(job)) = drives.copy(ask.drive, &asked).await.map_err(Refusal::overtaken)? else {
        return Ok(target.done());
    };
    drives.spawn_job(ask.drive, job.id);
    // It goes on by itself, whatever becomes of this request.
    match drives.run_job(ask.drive, job.id).await {
        Ok(job) if job.state == JobState::Done => Ok(target.done()),
        Ok(job) => {
            // What held when it began may hold no more; then that is what is told.
            let target = Target::of(ask, path).await?;
            let touched = [Touched { path: &target.path, deep: true, member: target.there.is_none() }];
            ask.may_change(path, ask.find(path).await?.as_ref(), &touched).await?;
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
async fn forget_locks(ask: &Ask, path: &DrivePath, known: &Locks) {
    if let Err(error) = ask.drives().drop_locks(ask.drive, path, &known.held).await {
        tracing::debug!(%error, "locks are left to run out");
    }
}
