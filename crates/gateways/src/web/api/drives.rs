//! Shared drives, and who may use them. What is in one has the routes of a drive, under `/drives/{id}`.

use crate::web::WebState;
use crate::web::problem::Problem;
use crate::web::session::Caller;
use apps::accounts::shared::{DriveRole, Member, NewMember, SharedDrive};
use apps::{AccountError, DriveId};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A shared drive.
#[derive(Serialize, ToSchema)]
#[schema(as = Drive)]
pub(in crate::web) struct DriveJson {
    id: String,
    name: String,
    /// `view`, `edit` or `manage`; null: the caller is no member.
    role: Option<&'static str>,
    /// Bytes; null: as for all.
    quota: Option<u64>,
    /// Milliseconds since the Unix epoch.
    made: u64,
}

impl From<SharedDrive> for DriveJson {
    fn from(drive: SharedDrive) -> DriveJson {
        let role = drive.role.map(DriveRole::as_str);
        DriveJson { id: drive.id.to_string(), name: drive.name, role, quota: drive.quota, made: drive.made.0 }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Drives)]
pub(in crate::web) struct DrivesJson {
    drives: Vec<DriveJson>,
    next: Option<String>,
}

/// Somebody who is in a drive.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(in crate::web) struct MemberJson {
    name: String,
    display: String,
    role: &'static str,
    disabled: bool,
    since: u64,
}

impl From<Member> for MemberJson {
    fn from(it: Member) -> MemberJson {
        let (role, since) = (it.role.as_str(), it.since.0);
        MemberJson { name: it.name, display: it.display, role, disabled: it.disabled, since }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Members)]
pub(in crate::web) struct MembersJson {
    members: Vec<MemberJson>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct Which {
    /// All there are; for administrators.
    #[serde(default)]
    all: bool,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewDrive)]
pub(in crate::web) struct New {
    #[schema(example = "Tea club")]
    name: String,
}

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChangeDrive)]
pub(in crate::web) struct Change {
    name: Option<String>,
    /// Null: as for all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    quota: Option<Option<u64>>,
}

fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(from).map(Some)
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Membership)]
pub(in crate::web) struct RoleJson {
    #[schema(example = "edit")]
    role: String,
    /// Whether they may be a member already; absent: either.
    new: Option<bool>,
}

/// What is no id is the id of no drive.
fn drive(text: &str) -> Result<DriveId, Problem> {
    text.parse().map_err(|_| AccountError::NotFound { what: "drive" }.into())
}

/// The caller's shared drives, or all there are.
#[utoipa::path(get, path = "/drives", tag = "shared drives", params(Which), responses((status = 200, body = DrivesJson)))]
pub(in crate::web) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Json<DrivesJson>, Problem> {
    let Query(asked) = query?;
    let accounts = &state.inner.accounts;
    let (drives, next) = match asked.all {
        false => (accounts.drives_of(&caller.user).await?, None),
        true => {
            let page = accounts.all_drives(&caller.user, super::drive::cursor(asked.cursor.as_deref())?, 0).await?;
            (page.items, page.next)
        }
    };
    Ok(Json(DrivesJson { drives: drives.into_iter().map(DriveJson::from).collect(), next }))
}

/// Makes a shared drive, which the caller manages.
#[utoipa::path(post, path = "/drives", tag = "shared drives", request_body = New,
    responses((status = 201, body = DriveJson)))]
pub(in crate::web) async fn create(
    State(state): State<WebState>,
    caller: Caller,
    body: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<DriveJson>), Problem> {
    let Json(asked) = body?;
    let made = state.inner.accounts.make_drive(caller.by(), &asked.name).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// A shared drive.
#[utoipa::path(get, path = "/drives/{drive}", tag = "shared drives", responses((status = 200, body = DriveJson)))]
pub(in crate::web) async fn show(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DriveJson>, Problem> {
    Ok(Json(state.inner.accounts.shared_drive(&caller.user, drive(&id)?).await?.into()))
}

/// Renames a shared drive; administrators give it another quota.
#[utoipa::path(patch, path = "/drives/{drive}", tag = "shared drives", request_body = Change,
    responses((status = 200, body = DriveJson)))]
pub(in crate::web) async fn change(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<Json<DriveJson>, Problem> {
    let Json(asked) = body?;
    let (id, accounts) = (drive(&id)?, &state.inner.accounts);
    accounts.alter_drive(caller.by(), id, asked.name.as_deref(), asked.quota).await?;
    Ok(Json(accounts.shared_drive(&caller.user, id).await?.into()))
}

/// Deletes a shared drive with all that is in it. There is no way back.
#[utoipa::path(delete, path = "/drives/{drive}", tag = "shared drives", responses((status = 204)))]
pub(in crate::web) async fn delete(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.delete_drive(caller.by(), drive(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is in a shared drive.
#[utoipa::path(get, path = "/drives/{drive}/members", tag = "shared drives",
    responses((status = 200, body = MembersJson)))]
pub(in crate::web) async fn members(
    State(state): State<WebState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MembersJson>, Problem> {
    let members = state.inner.accounts.members(&caller.user, drive(&id)?).await?;
    Ok(Json(MembersJson { members: members.into_iter().map(MemberJson::from).collect() }))
}

/// Takes somebody in, or gives them another role.
#[utoipa::path(put, path = "/drives/{drive}/members/{name}", tag = "shared drives",
    params(("name" = String, Path, description = "The name to sign in with")), request_body = RoleJson,
    responses((status = 200, body = MemberJson)))]
pub(in crate::web) async fn put_member(
    State(state): State<WebState>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    body: Result<Json<RoleJson>, JsonRejection>,
) -> Result<Json<MemberJson>, Problem> {
    let Json(asked) = body?;
    let role = asked.role.parse().map_err(|why: &str| Problem::bad_request(why))?;
    let new = match asked.new {
        None => NewMember::Either,
        Some(true) => NewMember::Yes,
        Some(false) => NewMember::No,
    };
    let member = state.inner.accounts.put_member(caller.by(), drive(&id)?, &name, role, new).await?;
    Ok(Json(member.into()))
}

/// Takes somebody out; oneself, too.
#[utoipa::path(delete, path = "/drives/{drive}/members/{name}", tag = "shared drives",
    params(("name" = String, Path, description = "The name to sign in with")), responses((status = 204)))]
pub(in crate::web) async fn remove_member(
    State(state): State<WebState>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    state.inner.accounts.remove_member(caller.by(), drive(&id)?, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
