//! How many intact copies there are of a file: `GET …/copies?path=…`; `POST` has them read first.

use super::description::Id;
use crate::copies::{self, Asked};
use crate::web::WebState;
use crate::web::place::{InDrive, Viewer};
use crate::web::problem::Problem;
use apps::VersionId;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A part of a file.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(in crate::web) struct PartOfFile {
    #[param(example = "/notes.txt")]
    path: String,
    /// `next` of the part before, where this one begins.
    #[serde(default)]
    from: u64,
    /// `version` of the part before: another one is refused.
    #[param(value_type = Option<Id>)]
    #[schema(value_type = Option<Id>)]
    version: Option<VersionId>,
}

/// What a machine has of the part: how many things, of those that it is to have.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct NodeCopiesJson {
    node: u64,
    intact: u64,
    /// Found damaged just now: it mends them.
    damaged: u64,
    absent: u64,
    /// It could not be asked: out of service, too busy, of an earlier release, or it did not answer.
    unknown: u64,
}

/// How many machines have a part of a file intact. The file has as many copies as its worst part.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct CopiesJson {
    #[schema(value_type = Id)]
    version: VersionId,
    size: u64,
    /// The fewest machines that say they have any of the part intact.
    intact: u32,
    /// The machines that are to have it.
    wanted: u32,
    /// Things looked at: the row that says what the file holds, and its blocks.
    looked: u64,
    /// The blocks among them: only these have checksums that are verified. A small file has none.
    blocks: u64,
    /// Where the part ends.
    upto: u64,
    /// When the block's copy that was looked at the longest ago was found intact: milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
    nodes: Vec<NodeCopiesJson>,
    /// Where the next part begins; absent: that was all.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// How many machines have a part of a file intact, as far as they know without reading it.
#[utoipa::path(get, path = "/copies", tag = "files", params(PartOfFile), responses((status = 200, body = CopiesJson)))]
pub(in crate::web) async fn copies(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    query: Result<Query<PartOfFile>, QueryRejection>,
) -> Result<Json<CopiesJson>, Problem> {
    let Query(asked) = query?;
    answer(&state, &at, &asked, false).await
}

/// The same once each machine has read what it has of the part, and compared it with its name. What is damaged is mended.
/// What was read within the last ten minutes is not read again. Each person has one part read at a time; others wait some
/// seconds, then `busy`.
#[utoipa::path(post, path = "/copies", tag = "files", request_body = PartOfFile,
    responses((status = 200, body = CopiesJson)))]
pub(in crate::web) async fn verify(
    State(state): State<WebState>,
    Viewer(at): Viewer,
    body: Result<Json<PartOfFile>, JsonRejection>,
) -> Result<Json<CopiesJson>, Problem> {
    answer(&state, &at, &body?.0, true).await
}

async fn answer(state: &WebState, at: &InDrive, asked: &PartOfFile, read: bool) -> Result<Json<CopiesJson>, Problem> {
    let part = Asked { who: at.caller.user.id, path: &asked.path, from: asked.from, expect: asked.version, read };
    let (open, copies) = copies::look(&state.inner.client, &state.inner.drives, at.drive, part).await?;
    let node = |(node, said): (&types::NodeId, &client::NodeCopies)| NodeCopiesJson {
        node: node.0,
        intact: said.intact,
        damaged: said.damaged,
        absent: said.absent,
        unknown: said.unknown,
    };
    Ok(Json(CopiesJson {
        version: open.file.version,
        size: open.content.size,
        intact: copies.intact,
        wanted: copies.wanted,
        looked: copies.looked,
        blocks: copies.blocks,
        upto: copies.upto,
        verified: copies.verified.map(|at| at.0),
        nodes: copies.nodes.iter().map(node).collect(),
        next: copies.next,
    }))
}
