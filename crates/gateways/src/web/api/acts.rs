//! Many acts at once, the trash, versions and jobs.

use super::description::Id;
use super::drive::{EntryJson, OtherDrive, act_one, cursor, entry, may_copy_from};
use crate::web::WebState;
use crate::web::place::{Editor, InDrive, Viewer};
use crate::web::problem::{ErrorJson, Problem};
use apps::drive::acts::BATCH_MAX;
use apps::drive::{Act, Clash, Done, Entry, Job, JobState, Trashed};
use apps::{DriveId, FileId, JobId, TrashId, UserId, VersionId};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::WallMillis;
use utoipa::{IntoParams, ToSchema};

/// Bytes of a batch: so many acts with long paths.
pub(in crate::web) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What to do with a name that is taken.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Clash)]
#[serde(rename_all = "snake_case")]
pub(in crate::web) enum ClashJson {
    #[default]
    Fail,
    KeepBoth,
    Replace,
    Skip,
}

impl From<ClashJson> for Clash {
    fn from(clash: ClashJson) -> Clash {
        match clash {
            ClashJson::Fail => Clash::Fail,
            ClashJson::KeepBoth => Clash::KeepBoth,
            ClashJson::Replace => Clash::Replace,
            ClashJson::Skip => Clash::Skip,
        }
    }
}

impl From<Clash> for ClashJson {
    fn from(clash: Clash) -> ClashJson {
        match clash {
            Clash::Fail => ClashJson::Fail,
            Clash::KeepBoth => ClashJson::KeepBoth,
            Clash::Replace => ClashJson::Replace,
            Clash::Skip => ClashJson::Skip,
        }
    }
}

/// Something to be done; also what undoes something.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Act)]
#[serde(tag = "act", rename_all = "snake_case")]
#[allow(missing_docs)]
pub(in crate::web) enum ActJson {
    MakeFolder {
        path: String,
        #[serde(default)]
        parents: bool,
    },
    Move {
        from: String,
        to: String,
        #[serde(default)]
        clash: ClashJson,
        /// Only if the entry of this id is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<String>,
    },
    Copy {
        /// The drive that it is in, where that is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>)]
        from_drive: Option<OtherDrive>,
        from: String,
        to: String,
        #[serde(default)]
        clash: ClashJson,
    },
    Trash {
        path: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<String>,
        #[serde(default)]
        recursive: bool,
    },
    Remove {
        path: String,
    },
    Restore {
        id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        #[serde(default)]
        clash: ClashJson,
    },
    Purge {
        id: String,
    },
    RestoreVersion {
        path: String,
        version: String,
        /// Only if this version is current.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<String>,
    },
    UndoJob {
        id: String,
    },
}

impl ActJson {
    pub(super) fn read(self, at: &InDrive) -> Result<Act, &'static str> {
        let only = |text: Option<String>| text.map(|text| text.parse::<FileId>().map(|id| id.0)).transpose();
        Ok(match self {
            ActJson::MakeFolder { path, parents } => Act::MakeFolder { path, parents },
            ActJson::Move { from, to, clash, only: id } => Act::Move { from, to, clash: clash.into(), only: only(id)? },
            ActJson::Copy { from_drive, from, to, clash } => {
                Act::Copy { drive: from_drive.map(|named| named.of(at)), from, to, clash: clash.into() }
            }
            ActJson::Trash { path, only: id, recursive } => Act::Trash { path, only: only(id)?, recursive },
            ActJson::Remove { path } => Act::Remove { path },
            ActJson::Restore { id, to, clash } => Act::Restore { id: id.parse::<TrashId>()?, to, clash: clash.into() },
            ActJson::Purge { id } => Act::Purge { id: id.parse::<TrashId>()? },
            ActJson::RestoreVersion { path, version, only } => {
                let only = only.map(|text| text.parse::<VersionId>()).transpose()?;
                Act::RestoreVersion { path, version: version.parse::<VersionId>()?, only }
            }
            ActJson::UndoJob { id } => Act::UndoJob { id: id.parse::<JobId>()? },
        })
    }
}

impl From<Act> for ActJson {
    fn from(act: Act) -> ActJson {
        let only = |id: Option<[u8; 16]>| id.map(|id| FileId(id).to_string());
        match act {
            Act::MakeFolder { path, parents } => ActJson::MakeFolder { path, parents },
            Act::Move { from, to, clash, only: id } => ActJson::Move { from, to, clash: clash.into(), only: only(id) },
            // Nothing is undone by copying.
            Act::Copy { from, to, clash, .. } => ActJson::Copy { from_drive: None, from, to, clash: clash.into() },
            Act::Trash { path, only: id, recursive } => ActJson::Trash { path, only: only(id), recursive },
            Act::Remove { path } => ActJson::Remove { path },
            Act::Restore { id, to, clash } => ActJson::Restore { id: id.to_string(), to, clash: clash.into() },
            Act::Purge { id } => ActJson::Purge { id: id.to_string() },
            Act::RestoreVersion { path, version, only } => {
                let only = only.map(|version| version.to_string());
                ActJson::RestoreVersion { path, version: version.to_string(), only }
            }
            Act::UndoJob { id } => ActJson::UndoJob { id: id.to_string() },
        }
    }
}

/// What an act did.
#[derive(Serialize, ToSchema)]
#[schema(as = Done)]
pub(in crate::web) struct DoneJson {
    /// None: nothing was done, because a name is taken.
    path: Option<String>,
    entry: Option<EntryJson>,
    /// Its id in the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    trashed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobJson>,
    /// For `batch`, in this order.
    undo: Vec<ActJson>,
}

impl DoneJson {
    pub(super) fn of_entry(path: &str, about: &Entry) -> DoneJson {
        let (path, entry) = (Some(path.to_string()), Some(entry(about)));
        DoneJson { path, entry, trashed: None, job: None, undo: Vec::new() }
    }
}

impl From<Done> for DoneJson {
    fn from(done: Done) -> DoneJson {
        DoneJson {
            path: done.path,
            entry: done.entry.as_ref().map(entry),
            trashed: done.trashed.map(|id| id.to_string()),
            job: done.job.map(JobJson::from),
            undo: done.undo.into_iter().map(ActJson::from).collect(),
        }
    }
}

/// What goes on by itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(in crate::web) struct JobJson {
    id: String,
    /// `running`, `done`, `failed` or `cancelled`.
    state: &'static str,
    from: String,
    to: String,
    /// Entries copied, and found so far.
    done: u64,
    found: u64,
    bytes: u64,
    problem: Option<String>,
    started: u64,
}

impl From<Job> for JobJson {
    fn from(job: Job) -> JobJson {
        let state = match job.state {
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        };
        JobJson {
            id: job.id.to_string(),
            state,
            from: job.from,
            to: job.to,
            done: job.done,
            found: job.found,
            bytes: job.bytes,
            problem: job.problem,
            started: job.started.0,
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct Batch {
    acts: Vec<ActJson>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Outcomes {
    /// One for each act, in their order.
    outcomes: Vec<OutcomeJson>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Outcome)]
#[serde(untagged)]
enum OutcomeJson {
    Done(Box<DoneJson>),
    Failed { error: ErrorJson },
}

/// Up to a thousand acts, one after the other. Each has an outcome of its own: those before a failed one stay done, those after
/// it are tried.
#[utoipa::path(post, path = "/batch", tag = "acts", request_body = Batch, responses((status = 200, body = Outcomes)))]
pub(in crate::web) async fn batch(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<Batch>, JsonRejection>,
) -> Result<Json<Outcomes>, Problem> {
    let Json(asked) = body?;
    if asked.acts.is_empty() || asked.acts.len() > BATCH_MAX {
        return Err(Problem::bad_request(format!("1 to {BATCH_MAX} acts can be done at once")));
    }
    let acts = asked.acts.into_iter().map(|act| act.read(&at)).collect::<Result<Vec<_>, _>>();
    let acts = acts.map_err(Problem::bad_request)?;
    let mut sources: Vec<DriveId> = acts.iter().filter_map(Act::other_drive).collect();
    sources.sort_unstable();
    sources.dedup();
    for drive in sources {
        may_copy_from(&state, &at, Some(drive)).await?;
    }
    let drives = state.drives_in(&at).await?;
    let mut outcomes = Vec::with_capacity(acts.len());
    for act in &acts {
        outcomes.push(match drives.act(at.drive, act, Some(at.caller.user.id)).await {
            Ok(done) => {
                drives.note_act(at.caller.user.id, at.drive, act, &done);
                OutcomeJson::Done(Box::new(done.into()))
            }
            Err(error) => OutcomeJson::Failed { error: Problem::from(error).to_json() },
        });
    }
    Ok(Json(Outcomes { outcomes }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct TrashQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    #[serde(default)]
    limit: u32,
}

/// Something in the trash.
#[derive(Serialize, ToSchema)]
#[schema(as = Trashed)]
struct TrashedJson {
    id: String,
    entry: EntryJson,
    path: String,
    at: u64,
    until: u64,
    /// The name of who threw it away, as others see it; none: not known, or they have no account any more.
    by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct TrashPage {
    items: Vec<TrashedJson>,
    next: Option<String>,
}

impl TrashedJson {
    fn of(it: Trashed, names: &BTreeMap<UserId, String>) -> TrashedJson {
        let entry = entry(&it.entry);
        let by = it.by.and_then(|by| names.get(&by).cloned());
        TrashedJson { id: it.id.to_string(), entry, path: it.path, at: it.at.0, until: it.until.0, by }
    }
}

/// A page of the trash, the latest first.
#[utoipa::path(get, path = "/trash", tag = "trash", params(TrashQuery), responses((status = 200, body = TrashPage)))]
pub(in crate::web) async fn trash(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<TrashQuery>, QueryRejection>,
) -> Result<Json<TrashPage>, Problem> {
    let Query(asked) = query?;
    let from = cursor(asked.cursor.as_deref())?;
    let page = state.inner.drives.trash_list(at.drive, from, asked.limit).await?;
    let names = state.inner.accounts.displays(page.items.iter().filter_map(|it| it.by)).await?;
    let items = page.items.into_iter().map(|it| TrashedJson::of(it, &names)).collect();
    Ok(Json(TrashPage { items, next: page.next }))
}

#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct Restore {
    #[schema(value_type = Id)]
    id: TrashId,
    to: Option<String>,
    #[serde(default)]
    clash: ClashJson,
}

/// Out of the trash, to where it was or elsewhere.
#[utoipa::path(post, path = "/trash/restore", tag = "trash", request_body = Restore,
    responses((status = 200, body = DoneJson)))]
pub(in crate::web) async fn restore(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<Restore>, JsonRejection>,
) -> Result<Json<DoneJson>, Problem> {
    let Json(asked) = body?;
    let act = Act::Restore { id: asked.id, to: asked.to, clash: asked.clash.into() };
    act_one(&state, &at, &act).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct InTrash {
    #[param(value_type = Id)]
    id: TrashId,
}

/// Out of the trash for good.
#[utoipa::path(delete, path = "/trash", tag = "trash", params(InTrash), responses((status = 200, body = DoneJson)))]
pub(in crate::web) async fn purge(
    State(state): State<WebState>,
    Editor(at): Editor,
    query: Result<Query<InTrash>, QueryRejection>,
) -> Result<Json<DoneJson>, Problem> {
    let Query(asked) = query?;
    act_one(&state, &at, &Act::Purge { id: asked.id }).await
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Emptied {
    removed: u64,
    /// There is more than one call does.
    more: bool,
    /// For the next call: what was deleted later stays.
    until: u64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct UpTo {
    until: Option<u64>,
}

/// Everything in the trash for good: by steps, while the answer says that there is more.
#[utoipa::path(post, path = "/trash/empty", tag = "trash", params(UpTo), responses((status = 200, body = Emptied)))]
pub(in crate::web) async fn empty(
    State(state): State<WebState>,
    Editor(at): Editor,
    query: Result<Query<UpTo>, QueryRejection>,
) -> Result<Json<Emptied>, Problem> {
    let now = state.inner.client.now();
    let until = query?.0.until.map_or(now, |until| now.min(WallMillis(until)));
    let emptied = state.inner.drives.empty_trash(at.drive, until).await?;
    Ok(Json(Emptied { removed: emptied.removed, more: emptied.more, until: until.0 }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct OfFile {
    #[param(example = "/notes.txt")]
    path: String,
}

#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct OneVersion {
    #[param(example = "/notes.txt")]
    #[schema(example = "/notes.txt")]
    path: String,
    #[schema(value_type = Id)]
    #[param(value_type = Id)]
    version: VersionId,
}

/// A version of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
struct VersionJson {
    version: String,
    size: u64,
    saved: u64,
    modified: u64,
    etag: String,
    current: bool,
    /// The name of who put it, as others see it; none: not known, a guest, or they have no account any more.
    by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Versions {
    /// The latest first; the first is the current one.
    versions: Vec<VersionJson>,
}

/// A file's versions.
#[utoipa::path(get, path = "/versions", tag = "versions", params(OfFile), responses((status = 200, body = Versions)))]
pub(in crate::web) async fn versions(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<OfFile>, QueryRejection>,
) -> Result<Json<Versions>, Problem> {
    let Query(asked) = query?;
    let found = state.inner.drives.versions(at.drive, &asked.path).await?;
    let names = state.inner.accounts.displays(found.iter().filter_map(|it| it.file.by)).await?;
    let versions = found.into_iter().map(|it| VersionJson {
        version: it.file.version.to_string(),
        size: it.file.size,
        saved: it.saved.0,
        modified: it.file.mtime.0,
        etag: it.file.etag,
        current: it.current,
        by: it.file.by.and_then(|by| names.get(&by).cloned()),
    });
    Ok(Json(Versions { versions: versions.collect() }))
}

/// Makes an earlier version the current one.
#[utoipa::path(post, path = "/versions/restore", tag = "versions", request_body = OneVersion,
    responses((status = 200, body = DoneJson)))]
pub(in crate::web) async fn restore_version(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<OneVersion>, JsonRejection>,
) -> Result<Json<DoneJson>, Problem> {
    let Json(asked) = body?;
    act_one(&state, &at, &Act::RestoreVersion { path: asked.path, version: asked.version, only: None }).await
}

/// Nothing more to say.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Nothing {}

/// Removes an earlier version for good.
#[utoipa::path(delete, path = "/versions", tag = "versions", params(OneVersion),
    responses((status = 200, body = Nothing)))]
pub(in crate::web) async fn remove_version(
    State(state): State<WebState>,
    Editor(at): Editor,
    query: Result<Query<OneVersion>, QueryRejection>,
) -> Result<Json<Nothing>, Problem> {
    let Query(asked) = query?;
    state.inner.drives.remove_version(at.drive, &asked.path, asked.version).await?;
    Ok(Json(Nothing {}))
}

#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Jobs {
    jobs: Vec<JobJson>,
}

#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct OneJob {
    #[schema(value_type = Id)]
    #[param(value_type = Id)]
    id: JobId,
}

/// What goes on by itself, or did a short time ago.
#[utoipa::path(get, path = "/jobs", tag = "jobs", responses((status = 200, body = Jobs)))]
pub(in crate::web) async fn jobs(State(state): State<WebState>, Viewer(at): Viewer) -> Result<Json<Jobs>, Problem> {
    let jobs = state.inner.drives.jobs(at.drive).await?;
    Ok(Json(Jobs { jobs: jobs.into_iter().map(JobJson::from).collect() }))
}

/// One of these.
#[utoipa::path(get, path = "/job", tag = "jobs", params(OneJob), responses((status = 200, body = JobJson)))]
pub(in crate::web) async fn job(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<OneJob>, QueryRejection>,
) -> Result<Json<JobJson>, Problem> {
    let Query(asked) = query?;
    Ok(Json(state.inner.drives.job(at.drive, asked.id).await?.into()))
}

/// Ends a job; what it made goes.
#[utoipa::path(post, path = "/job/cancel", tag = "jobs", request_body = OneJob,
    responses((status = 200, body = JobJson)))]
pub(in crate::web) async fn cancel_job(
    State(state): State<WebState>,
    Editor(at): Editor,
    body: Result<Json<OneJob>, JsonRejection>,
) -> Result<Json<JobJson>, Problem> {
    let Json(asked) = body?;
    Ok(Json(state.inner.drives.cancel_job(at.drive, asked.id).await?.into()))
}
