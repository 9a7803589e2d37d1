//! Where one is signed in, and the passwords of programs and devices.

use super::super::inner::{Place, Section, ShownOnce, Told};
use super::super::{Frame, failed, render};
use super::{done, form, guides};
use crate::web::problem::Problem;
use crate::web::session::{Caller, Visitor};
use crate::web::text::{fill, words};
use crate::web::{WebState, format};
use apps::AccountError;
use apps::accounts::{ACCESS_KEY_MARK, AccessKey, AccessScope, AppPassword, AppScope, Protocol, SessionInfo};
use askama::Template;
use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap};
use axum::http::uri::Authority;
use axum::response::Response;
use serde::Deserialize;

/// Where gRPC is, unless somebody said otherwise.
const GRPC_PORT: u16 = 7070;
/// Any will do for S3; this one is told.
const S3_REGION: &str = "us-east-1";

#[derive(Template)]
#[template(path = "settings/devices.html")]
struct Page {
    frame: Frame,
    place: Place,
    sessions: Vec<SessionRow>,
    app_passwords: Vec<AppRow>,
    protocols: Vec<(&'static str, &'static str)>,
}

struct SessionRow {
    id: String,
    device: String,
    words: String,
    current: bool,
}

struct AppRow {
    id: String,
    label: String,
    scope: String,
    words: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Which {
    id: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Connect {
    label: String,
    protocol: String,
    #[serde(default)]
    write: String,
}

/// What can be connected now; others come with their protocols.
fn protocols() -> [(Protocol, &'static str); 3] {
    [
        (Protocol::Webdav, words().protocol_webdav),
        (Protocol::S3, words().protocol_s3),
        (Protocol::Grpc, words().protocol_grpc),
    ]
}

fn session_row(session: SessionInfo) -> SessionRow {
    let (used, address) = (format::date(session.used), session.address);
    let told = fill(words().session_words, &[("used", &used), ("address", &address)]);
    let device = if session.device.is_empty() { words().unknown_device.to_string() } else { agent(&session.device) };
    SessionRow { id: session.id, device, words: told, current: session.current }
}

/// A browser's long name, in short.
fn agent(label: &str) -> String {
    let has = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(mark, _)| label.contains(mark)).map(|(_, name)| *name)
    };
    let browser = has(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = has(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => fill(words().browser_on, &[("browser", browser), ("system", system)]),
        (Some(browser), None) => browser.to_string(),
        _ => label.chars().take(60).collect(),
    }
}

fn app_row(app: AppPassword) -> AppRow {
    let name = |protocol: &Protocol| {
        protocols().iter().find(|(known, _)| known == protocol).map_or(protocol.as_str(), |(_, name)| *name).to_string()
    };
    let names: Vec<_> = app.scope.protocols.iter().map(name).collect();
    let scope =
        if app.scope.write { names.join(", ") } else { format!("{} · {}", names.join(", "), words().reads_only) };
    let words = match app.used {
        Some(used) => fill(words().app_used, &[("used", &format::date(used)), ("address", &app.used_from)]),
        None => fill(words().app_unused, &[("created", &format::date(app.created))]),
    };
    AppRow { id: app.id, label: app.label, scope, words }
}

/// Access keys stand among the passwords of programs, which is what they are to people.
fn key_row(key: AccessKey) -> AppRow {
    let mut scope = vec![words().protocol_s3.to_string()];
    scope.extend((!key.scope.write).then(|| words().reads_only.to_string()));
    scope.extend((!key.scope.buckets.is_empty()).then(|| key.scope.buckets.join(", ")));
    let words = match key.used {
        Some(used) => fill(words().app_used, &[("used", &format::date(used)), ("address", &key.used_from)]),
        None => fill(words().app_unused, &[("created", &format::date(key.created))]),
    };
    AppRow { id: key.id, label: key.label, scope: scope.join(" · "), words }
}

pub(in crate::web) async fn show(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    query: Result<Query<Told>, QueryRejection>,
) -> Response {
    let told = query.map(|Query(query)| query.done).unwrap_or_default();
    page(&state, &caller, StatusCode::OK, |place| place.told(&told)).await
}

async fn page(state: &WebState, caller: &Caller, status: StatusCode, say: impl FnOnce(Place) -> Place) -> Response {
    let accounts = &state.inner.accounts;
    let found = async {
        let sessions = accounts.sessions(&caller.user, Some(&caller.token)).await?;
        let apps = accounts.app_passwords(caller.user.id).await?;
        Ok::<_, AccountError>((sessions, apps, accounts.access_keys(caller.user.id).await?))
    };
    let (sessions, apps, keys) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(error.into()),
    };
    let page = Page {
        frame: Frame::new(),
        place: say(Place::at(&caller.user, Section::Devices)),
        sessions: sessions.into_iter().map(session_row).collect(),
        app_passwords: apps.into_iter().map(app_row).chain(keys.into_iter().map(key_row)).collect(),
        protocols: protocols().iter().map(|(protocol, name)| (protocol.as_str(), *name)).collect(),
    };
    render(status, &page)
}

async fn answer(state: &WebState, caller: &Caller, result: Result<(), AccountError>, what: &str) -> Response {
    match result {
        Ok(()) => done(Section::Devices, what),
        Err(error) => {
            let problem = Problem::from(error);
            page(state, caller, problem.status, |place| place.failed(&problem)).await
        }
    }
}

pub(in crate::web) async fn sign_out(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Which>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let result = state.inner.accounts.end_session(caller.by(), &asked.id).await;
    answer(&state, &caller, result, "signed-out").await
}

pub(in crate::web) async fn sign_out_others(State(state): State<WebState>, Visitor(caller): Visitor) -> Response {
    let result = state.inner.accounts.end_other_sessions(caller.by(), &caller.token).await.map(drop);
    answer(&state, &caller, result, "signed-out").await
}

pub(in crate::web) async fn remove(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    asked: Result<Form<Which>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let result = match asked.id.starts_with(ACCESS_KEY_MARK) {
        true => state.inner.accounts.remove_access_key(caller.by(), &asked.id).await,
        false => state.inner.accounts.remove_app_password(caller.by(), &asked.id).await,
    };
    answer(&state, &caller, result, "removed").await
}

/// Makes a device's password, and shows the settings that the device wants.
pub(in crate::web) async fn connect(
    State(state): State<WebState>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    asked: Result<Form<Connect>, FormRejection>,
) -> Response {
    let asked = match form(asked) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let protocol: Protocol = match asked.protocol.parse() {
        Ok(protocol) => protocol,
        Err(why) => return failed(Problem::bad_request(why)),
    };
    if protocol == Protocol::S3 {
        return connect_s3(&state, &caller, &headers, &asked).await;
    }
    let scope = AppScope { protocols: vec![protocol], write: !asked.write.is_empty() };
    match state.inner.accounts.create_app_password(caller.by(), asked.label.trim(), scope).await {
        Ok((made, secret)) => {
            let (text, name, secret) = (words(), &caller.user.name, secret.as_str());
            let (place, guides) = match protocol {
                Protocol::Webdav => {
                    let address = format!("{}/dav/home/", origin(state.tls, &headers));
                    let guides = guides::webdav(&address, name, secret);
                    (Some((text.connect_address, address)), guides)
                }
                Protocol::Grpc => {
                    let server = grpc_server(&state, &headers);
                    let guides = guides::grpc(&server, state.tls, name, secret);
                    (Some((text.connect_server, server)), guides)
                }
                _ => (None, Vec::new()),
            };
            let details = place.into_iter().chain([(text.connect_name, name.clone())]).collect();
            let page = ShownOnce {
                frame: Frame::new(),
                place: Place::at(&caller.user, Section::Devices),
                title: text.connect_made,
                lead: fill(text.connect_made_lead, &[("device", &made.label)]),
                secrets: vec![secret.to_string()],
                details,
                guides,
                back: Section::Devices.url(),
            };
            render(StatusCode::OK, &page)
        }
        Err(error) => answer(&state, &caller, Err(error), "").await,
    }
}

/// The same for what speaks S3: it signs with an access key.
async fn connect_s3(state: &WebState, caller: &Caller, headers: &HeaderMap, asked: &Connect) -> Response {
    let scope = AccessScope { read: true, write: !asked.write.is_empty(), buckets: Vec::new() };
    let (made, secret) = match state.inner.accounts.create_access_key(caller.by(), asked.label.trim(), scope).await {
        Ok(made) => made,
        Err(error) => return answer(state, caller, Err(error), "").await,
    };
    let buckets = match state.inner.accounts.buckets_of(&caller.user).await {
        Ok(buckets) => buckets,
        // The key is made, and is shown: without their names rather than not at all.
        Err(error) => {
            tracing::debug!(%error, "a key is shown without its buckets");
            Vec::new()
        }
    };
    let (own, others): (Vec<_>, Vec<_>) = buckets.into_iter().partition(|it| it.drive == caller.user.drive);
    let bucket = own.into_iter().next().map_or(caller.user.name.clone(), |own| own.name);
    let others: Vec<String> = others.into_iter().map(|it| it.name).collect();
    let (text, mut details, mut guides) = (words(), Vec::new(), Vec::new());
    if let Some(port) = state.inner.settings.s3_port {
        let endpoint = format!("{}://{}:{port}", scheme(state.tls), host(headers));
        let (region, key, secret) = (S3_REGION, &made.id, secret.as_str());
        guides = guides::s3(&guides::S3 { endpoint: &endpoint, region, bucket: &bucket, key, secret });
        details.push((text.connect_endpoint, endpoint));
    }
    details.extend([
        (text.connect_access_key, made.id),
        (text.connect_region, S3_REGION.to_string()),
        (text.connect_bucket, bucket),
        (text.connect_style, text.connect_style_path.to_string()),
    ]);
    if !others.is_empty() {
        details.push((text.connect_buckets, others.join(", ")));
    }
    let page = ShownOnce {
        frame: Frame::new(),
        place: Place::at(&caller.user, Section::Devices),
        title: text.connect_made,
        lead: fill(text.connect_secret_lead, &[("device", &made.label)]),
        secrets: vec![secret.as_str().to_string()],
        details,
        guides,
        back: Section::Devices.url(),
    };
    render(StatusCode::OK, &page)
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// Where the browser is: programs come there, too.
fn origin(tls: bool, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("{}://{host}", scheme(tls))
}

/// The same without a port.
fn host(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    host.parse::<Authority>().map_or(String::new(), |it| it.host().to_string())
}

/// What this node says of itself; an address that only it can reach is told by the host that the browser reached.
fn grpc_server(state: &WebState, headers: &HeaderMap) -> String {
    let said = state.inner.settings.grpc.as_deref().map(|it| it.split_once("://").map_or(it, |(_, it)| it));
    let said = said.and_then(|it| it.parse::<Authority>().ok());
    let here = |said: &Authority| {
        let address = said.host().trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        said.host() == "localhost" || address.is_ok_and(|it| it.is_loopback() || it.is_unspecified())
    };
    match said {
        Some(said) if !here(&said) => said.to_string(),
        said => format!("{}:{}", host(headers), said.and_then(|it| it.port_u16()).unwrap_or(GRPC_PORT)),
    }
}
