//! `/health`: can this gateway serve? And `/metrics`, for those who may know more.

use super::WebState;
use super::problem::Problem;
use super::session::{self, Caller, From};
use super::text::words;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use types::{LayoutVersion, NodeId};

/// What strangers may know.
#[derive(Serialize)]
pub(super) struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    release: &'static str,
    cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    layout: LayoutVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syncing: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

/// `200` when this gateway reaches a cluster that serves, else `503` and why.
pub(super) async fn health(State(state): State<WebState>) -> (StatusCode, Json<Report>) {
    let health = (state.inner.health)();
    let node = health.node.as_ref();
    let layout = state.inner.client.layout();
    let report = Report {
        status: if health.ready { "serving" } else { "not serving" },
        why: health.why,
        release: env!("CARGO_PKG_VERSION"),
        cluster: format!("{:032x}", layout.cluster.0),
        node: node.map(|node| node.node),
        layout: layout.version,
        serving: node.map(|node| node.serving),
        syncing: node.map(|node| node.syncing),
        instance: state.inner.settings.instance.clone(),
    };
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

/// For programs that were given this address rather than gRPC's.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Discovery {
    cluster: String,
    release: &'static str,
    /// Where gRPC listens, as this node announces itself; the port is good wherever the node is reached.
    grpc: Option<String>,
}

/// Where this cluster's other doors are.
#[utoipa::path(get, path = "/discovery", tag = "about", security(()), responses((status = 200, body = Discovery)))]
pub(super) async fn discovery(State(state): State<WebState>) -> Json<Discovery> {
    Json(Discovery {
        cluster: format!("{:032x}", state.inner.client.layout().cluster.0),
        release: env!("CARGO_PKG_VERSION"),
        grpc: state.inner.settings.grpc.clone(),
    })
}

/// For programs on this machine, those at the addresses that were named for it, and administrators:
/// how much a cluster is used is nobody else's business.
pub(super) async fn metrics(
    State(state): State<WebState>,
    From(device): From,
    headers: HeaderMap,
    caller: Result<Caller, Problem>,
) -> Response {
    let known = device.address.is_some_and(|from| {
        let (from, settings) = (from.to_canonical(), &state.inner.settings);
        // Behind a proxy that nobody told us of, everybody seems to be on its machine.
        let proxied = headers.contains_key("x-forwarded-for") && !settings.proxies.contains(&from);
        (from.is_loopback() && !proxied) || settings.metrics_from.contains(&from)
    });
    let shown = session::bearer(&headers).is_some();
    match caller {
        // A wrong token is told so, even here.
        Err(problem) if shown => return problem.into_response(),
        _ if known => {}
        Ok(Caller { user, .. }) if user.is_administrator() => {}
        _ => {
            let status = StatusCode::FORBIDDEN;
            return Problem::new(status, "forbidden", words().metrics_closed, words().do_ask_administrator)
                .into_response();
        }
    }
    let text = state.inner.metrics.render(&(state.inner.health)(), &state.inner.client.layout());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
