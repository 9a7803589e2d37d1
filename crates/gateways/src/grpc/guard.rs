//! The way in: who calls, and whether there is room.
//!
//! Who calls is known before the body of a call is read; what they may do in a drive is judged when it has come, for they may
//! take their time over it. Everything is closed but what [`OPEN`] names.

use super::GrpcState;
use super::problems::Explain;
use crate::metrics::{Ending, Service};
use apps::accounts::Protocol;
use apps::drive::Program;
use apps::{AccountError, Accounts, Device, DriveId, DriveRole, SharedDrive, User};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use rpc::grpc::{DRIVE_HEADER, Problem, kind};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use types::{Action, Classify, Consistency};

/// Which cluster answers, and whether it can serve.
const HELLO: &str = "/atoll.v1.Accounts/Hello";

/// What needs no session, by the beginning of its path.
const OPEN: [&str; 8] = [
    HELLO,
    "/atoll.v1.Accounts/SignIn",
    "/atoll.v1.Accounts/SignInWithCode",
    "/atoll.v1.Accounts/SignUp",
    "/atoll.v1.Accounts/ResetPassword",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// What of that makes or changes something that a second try would meet: an account, a password, a code that is used
/// up. `SignIn` may be tried again at will.
const CHANGES: [&str; 3] =
    ["/atoll.v1.Accounts/SignInWithCode", "/atoll.v1.Accounts/SignUp", "/atoll.v1.Accounts/ResetPassword"];

/// How long the store is asked who calls, before the copy at hand is.
const RECOGNISE_AFTER: Duration = Duration::from_secs(3);

/// What is answered without a majority, too, as far as this machine knows: how things are, and stale reads. Nothing that
/// changes anything: whoever is recognised by an old copy may have been signed out since.
const LOOKS: [&str; 6] = [
    "/atoll.v1.Accounts/WhoAmI",
    "/atoll.v1.Cluster/ClusterStatus",
    "/atoll.v1.Cluster/GetLayout",
    "/atoll.v1.KeyValue/Get",
    "/atoll.v1.KeyValue/GetMany",
    "/atoll.v1.KeyValue/Query",
];

/// What an app password opens, by the beginning of its path: people's data, never accounts or the cluster.
const FOR_APPS: [&str; 4] =
    ["/atoll.v1.KeyValue/", "/atoll.v1.Drive/", "/atoll.v1.Tables/", "/atoll.v1.Drives/ListDrives"];
/// But not this: no program judges what programs did, or lets strangers in.
const FOR_PEOPLE: [&str; 6] = [
    "/atoll.v1.Drive/ListHeld",
    "/atoll.v1.Drive/LetGo",
    "/atoll.v1.Drive/PutBack",
    "/atoll.v1.Drive/ListLinks",
    "/atoll.v1.Drive/MakeLink",
    "/atoll.v1.Drive/RevokeLink",
];
/// The same where it may only read. `Verify` is not among them: it may fence a write.
const READS: [&str; 16] = [
    "/atoll.v1.KeyValue/Get",
    "/atoll.v1.KeyValue/GetMany",
    "/atoll.v1.KeyValue/Query",
    "/atoll.v1.KeyValue/Scan",
    "/atoll.v1.KeyValue/Size",
    "/atoll.v1.KeyValue/Watch",
    "/atoll.v1.Tables/ListTables",
    "/atoll.v1.Drive/ListFolder",
    "/atoll.v1.Drive/Stat",
    "/atoll.v1.Drive/OpenFile",
    "/atoll.v1.Drive/GetBlock",
    "/atoll.v1.Drive/ListStarred",
    "/atoll.v1.Drive/ListRecent",
    "/atoll.v1.Drive/CountCopies",
    "/atoll.v1.Drives/ListDrives",
    WHO_AM_I,
];
/// What of a drive who may only look at it may call. Everything else changes it, what may come included.
const VIEWS: [&str; 15] = [
    "/atoll.v1.Drive/ListHeld",
    "/atoll.v1.Drive/ListFolder",
    "/atoll.v1.Drive/Stat",
    "/atoll.v1.Drive/OpenFile",
    "/atoll.v1.Drive/GetBlock",
    "/atoll.v1.Drive/ListTrash",
    "/atoll.v1.Drive/ListVersions",
    "/atoll.v1.Drive/ListJobs",
    "/atoll.v1.Drive/GetJob",
    "/atoll.v1.Drive/Search",
    "/atoll.v1.Drive/Star",
    "/atoll.v1.Drive/ListStarred",
    "/atoll.v1.Drive/ListRecent",
    "/atoll.v1.Drive/FindText",
    "/atoll.v1.Drive/CountCopies",
];
/// Calls about what is in a drive.
const DRIVE: &str = "/atoll.v1.Drive/";
/// Whose session or app password it is.
const WHO_AM_I: &str = "/atoll.v1.Accounts/WhoAmI";

/// Bytes in a token at most.
const TOKEN_BYTES_MAX: usize = 256;
/// How long a stranger's call may take until its answer begins.
const STRANGERS_WITHIN: Duration = Duration::from_secs(30);
/// How long a message may take to come; and from when on who sends it is asked for once more.
const MESSAGE_WITHIN: Duration = Duration::from_secs(120);
const SLOW: Duration = Duration::from_secs(1);
/// What gRPC says before each message.
const PREFIX_BYTES: usize = 5;
/// How long a call waits for room before it is told that the gateway is busy.
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// Who calls. In the extensions of every request that got in.
#[derive(Clone)]
pub(super) struct Caller {
    pub user: User,
    /// What they showed to get in. A secret.
    pub shown: Credentials,
    /// Which program, where it is one.
    pub program: Option<Program>,
    /// Recognised by a copy that may be old, because nobody could be asked who knows.
    pub stale: bool,
}

impl Caller {
    /// The session's token; empty for an app password, which opens nothing that asks for one.
    pub fn token(&self) -> &str {
        match &self.shown {
            Credentials::Token(token) => token,
            Credentials::App { .. } => "",
        }
    }

    /// Whoever was recognised by an old copy may have been signed out since, and sees only what is as old.
    pub fn may_see(&self, consistency: Consistency) -> Result<(), Status> {
        if self.stale && consistency != Consistency::Stale {
            let text = "who you are could not be asked just now: only stale reads are answered; try again shortly";
            return Err(Problem::retry(kind::UNREACHABLE, text).to_status());
        }
        Ok(())
    }
}

/// Rooms for calls of different weight, so that the memory that bodies take has
/// a bound, and heavy calls do not keep light ones out.
pub(super) struct Bulkheads {
    /// Of people who have not signed in: they may take their time sending a body.
    strangers: Semaphore,
    /// Up to 16 MiB each.
    files: Semaphore,
    /// A few MiB each.
    transactions: Semaphore,
    /// 1 MiB each.
    blocks: Semaphore,
    /// Everything else.
    light: Semaphore,
    /// What all of them together may hold of messages, in KiB.
    messages: Semaphore,
}

/// 256 MiB.
const MESSAGES_KIB: usize = 256 << 10;

impl Default for Bulkheads {
    fn default() -> Bulkheads {
        Bulkheads {
            strangers: Semaphore::new(64),
            files: Semaphore::new(8),
            transactions: Semaphore::new(256),
            blocks: Semaphore::new(128),
            light: Semaphore::new(1024),
            messages: Semaphore::new(MESSAGES_KIB),
        }
    }
}

impl Bulkheads {
    async fn room(&self, path: &str, signed_in: bool) -> Result<SemaphorePermit<'_>, Problem> {
        let room = match path {
            _ if !signed_in => &self.strangers,
            "/atoll.v1.Drive/PutFile" => &self.files,
            "/atoll.v1.KeyValue/Transact" | "/atoll.v1.KeyValue/GetMany" | "/atoll.v1.KeyValue/Query" => {
                &self.transactions
            }
            "/atoll.v1.Drive/PutBlock" | "/atoll.v1.Drive/GetBlock" => &self.blocks,
            _ => &self.light,
        };
        match tokio::time::timeout(ROOM_WITHIN, room.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::retry(kind::BUSY, "this gateway is busy; nothing was done, try again shortly")),
        }
    }
}

/// Lets a call in, or not, and counts it.
pub(super) async fn guard(State(state): State<GrpcState>, request: Request, next: Next) -> Response {
    let (began, service) = (Instant::now(), Service::of_call(request.uri().path()));
    let response = judge(&state, request, next).await;
    // An answer that has begun well and fails later, in the middle of a stream, counts as good.
    let code = response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    state.inner.metrics.record(service, Ending::of_grpc(code), began.elapsed());
    response
}

async fn judge(state: &GrpcState, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN.iter().any(|open| if open.ends_with('/') { path.starts_with(open) } else { path == *open });
    if open { strangers(state, request, next).await } else { callers(state, request, next).await }
}

/// A call of somebody who has to say who they are.
async fn callers(state: &GrpcState, request: Request, next: Next) -> Response {
    let (shown, path) = (credentials(&request), request.uri().path().to_string());
    let mut caller = match called(state, shown.clone(), &path).await {
        Ok(caller) => caller,
        Err(problem) => return refused(&problem),
    };
    let _permit = match state.inner.guard.room(&path, true).await {
        Ok(permit) => permit,
        Err(problem) => return refused(&problem),
    };
    let began = Instant::now();
    let (mut request, _held) = match come_whole(request, &state.inner.guard.messages).await {
        Ok(whole) => whole,
        Err(problem) => return refused(&problem),
    };
    if began.elapsed() > SLOW {
        caller = match called(state, shown, &path).await {
            Ok(caller) => caller,
            Err(problem) => return refused(&problem),
        };
    }
    if path.starts_with(DRIVE) {
        let named = request.headers().get(DRIVE_HEADER).cloned();
        let views = VIEWS.contains(&path.as_str());
        match drive_of(state, named, views, &caller).await {
            Ok(place) => drop(request.extensions_mut().insert(place)),
            Err(problem) => return refused(&problem),
        }
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn called(state: &GrpcState, shown: Option<Credentials>, path: &str) -> Result<Caller, Problem> {
    match shown {
        Some(Credentials::Token(token)) => authenticate(state, token, LOOKS.contains(&path)).await,
        Some(Credentials::App { name, secret, device }) => authenticate_app(state, name, secret, device, path).await,
        None => Err(signed_out()),
    }
}

/// No call of somebody who is known streams what it sends: all of them are one message. And its share of the memory for
/// messages, to be held until it is answered.
async fn come_whole(request: Request, memory: &Semaphore) -> Result<(Request, Option<SemaphorePermit<'_>>), Problem> {
    let (parts, mut body) = request.into_parts();
    let (mut whole, mut held) = (BytesMut::new(), None::<SemaphorePermit<'_>>);
    let coming = async {
        while let Some(frame) = body.frame().await {
            let torn = |error| Problem::rejected(Code::Cancelled, kind::INVALID, format!("no whole message: {error}"));
            let Ok(data) = frame.map_err(torn)?.into_data() else { continue };
            if whole.len() + data.len() > MESSAGE_BYTES_MAX + PREFIX_BYTES {
                let text = format!("a message may have {MESSAGE_BYTES_MAX} bytes at most");
                return Err(Problem::rejected(Code::OutOfRange, kind::INVALID, text));
            }
            // Nobody waits here: who holds a part would keep others from the rest of theirs.
            let more = memory.try_acquire_many(data.len().div_ceil(1024) as u32).map_err(|_| {
                Problem::retry(kind::BUSY, "this gateway holds too many messages; nothing was done, try again shortly")
            })?;
            match &mut held {
                Some(held) => held.merge(more),
                none => *none = Some(more),
            }
            whole.extend_from_slice(&data);
        }
        Ok(())
    };
    match tokio::time::timeout(MESSAGE_WITHIN, coming).await {
        Ok(come) => come?,
        Err(_) => {
            return Err(Problem::retry(kind::BUSY, "the message took too long to come; nothing was done"));
        }
    }
    Ok((Request::from_parts(parts, Body::from(whole.freeze())), held))
}

/// A call that anybody may make.
async fn strangers(state: &GrpcState, mut request: Request, next: Next) -> Response {
    if request.uri().path() == HELLO {
        // Asked before every connection is used, so it must not queue behind strangers. Its message is empty:
        // whatever bytes they send, or hold back, nobody waits for them.
        *request.body_mut() = Body::from(Bytes::from_static(&[0; 5]));
        return next.run(request).await;
    }
    let _permit = match state.inner.guard.room(request.uri().path(), false).await {
        Ok(permit) => permit,
        Err(problem) => return refused(&problem),
    };
    let changes = CHANGES.contains(&request.uri().path());
    match tokio::time::timeout(STRANGERS_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refused(&too_long(changes)),
    }
}

/// A stranger's call was broken off, wherever it was.
fn too_long(changes: bool) -> Problem {
    match changes {
        true => Problem::unknown(None, "this took too long and was broken off"),
        false => Problem::retry(kind::BUSY, "this took too long; try again"),
    }
}

/// What a call shows to get in.
#[derive(Clone)]
pub(super) enum Credentials {
    /// A session's token.
    Token(String),
    /// A name and an app password, and where from.
    App { name: String, secret: String, device: Device },
}

impl Credentials {
    /// Surely no way in any more? During a failover nobody may be able to say.
    pub async fn ended(&self, accounts: &Accounts) -> bool {
        match self {
            Credentials::Token(token) => {
                matches!(accounts.authenticate(token).await, Err(AccountError::NotSignedIn))
            }
            Credentials::App { name, secret, device } => {
                let called = accounts.authenticate_app(name, secret, Protocol::Grpc, device).await;
                matches!(called, Err(AccountError::WrongAppPassword))
            }
        }
    }
}

fn credentials(request: &Request) -> Option<Credentials> {
    let header = request.headers().get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, shown) = header.split_once(' ')?;
    let shown = shown.trim();
    if shown.len() > TOKEN_BYTES_MAX {
        return None;
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Token(shown.to_string()));
    }
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| base64::engine::general_purpose::STANDARD.decode(shown));
    let pair = String::from_utf8(pair?.ok()?).ok()?;
    let (name, secret) = pair.split_once(':')?;
    let address = request.extensions().get::<TcpConnectInfo>().and_then(|info| info.remote_addr());
    let device = Device { address: address.map(|address| address.ip()), ..Device::default() };
    Some(Credentials::App { name: name.to_string(), secret: secret.to_string(), device })
}

async fn authenticate(state: &GrpcState, token: String, looks: bool) -> Result<Caller, Problem> {
    let accounts = &state.inner.accounts;
    let known = match looks {
        true if !(state.inner.health)().ready => None,
        true => match tokio::time::timeout(RECOGNISE_AFTER, accounts.authenticate(&token)).await {
            Ok(Err(error)) if error.action() == Action::Retry => None,
            Ok(known) => Some(known),
            Err(_) => None,
        },
        false => Some(accounts.authenticate(&token).await),
    };
    let stale = known.is_none();
    let known = match known {
        Some(known) => known,
        None => accounts.recognise(&token).await,
    };
    let user = known.map_err(Explain::problem)?;
    Ok(Caller { user, shown: Credentials::Token(token), program: None, stale })
}

/// By an app password, to what it opens and nothing else. Such a caller administers nothing.
async fn authenticate_app(
    state: &GrpcState,
    name: String,
    secret: String,
    device: Device,
    path: &str,
) -> Result<Caller, Problem> {
    let called = state.inner.accounts.authenticate_app(&name, &secret, Protocol::Grpc, &device).await;
    let called = called.map_err(Explain::problem)?;
    let data = FOR_APPS.iter().any(|open| path.starts_with(open)) && !FOR_PEOPLE.contains(&path);
    let opened = path == WHO_AM_I || data;
    if !opened || (!called.write && !READS.contains(&path)) {
        let text = if opened { "this app password is for reading only" } else { "this needs a session: `atoll login`" };
        return Err(Problem::rejected(Code::PermissionDenied, kind::DENIED, text));
    }
    let program = Some(called.program());
    Ok(Caller { user: called.user, shown: Credentials::App { name, secret, device }, program, stale: false })
}

/// The drive that a call is about, and that the caller may make it there. In the extensions of every request to
/// `Drive` that got in.
#[derive(Clone)]
pub(super) struct InDrive {
    pub user: User,
    /// Which program asks for them, where it is one.
    pub program: Option<Program>,
    pub drive: DriveId,
    /// None: the caller's own.
    pub shared: Option<SharedDrive>,
}

impl InDrive {
    /// The drive, if it is not the caller's own.
    pub fn shared_id(&self) -> Option<DriveId> {
        self.shared.as_ref().map(|_| self.drive)
    }
}

/// The caller's own drive, or the one that is named; who is in that is asked for each time.
async fn drive_of(
    state: &GrpcState,
    named: Option<HeaderValue>,
    views: bool,
    caller: &Caller,
) -> Result<InDrive, Problem> {
    let (user, program) = (caller.user.clone(), caller.program.clone());
    let Some(named) = named else {
        return Ok(InDrive { drive: user.drive, user, program, shared: None });
    };
    let needs = if views { DriveRole::View } else { DriveRole::Edit };
    // What is no id is the id of no drive.
    let none = || AccountError::NotFound { what: "drive" }.problem();
    let drive = named.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(none)?;
    let shared = state.inner.accounts.drive_for(&user, drive, needs).await.map_err(Explain::problem)?;
    Ok(InDrive { user, program, drive, shared: Some(shared) })
}

/// Where this call is made.
pub(super) fn place<T>(request: &tonic::Request<T>) -> Result<InDrive, Status> {
    request.extensions().get::<InDrive>().cloned().ok_or_else(|| signed_out().to_status())
}

pub(super) fn signed_out() -> Problem {
    Problem::rejected(
        Code::Unauthenticated,
        kind::SIGNED_OUT,
        "not signed in, or signed out since: this call needs `authorization: Bearer TOKEN`",
    )
}

fn refused(problem: &Problem) -> Response {
    problem.to_status().into_http()
}

/// Who makes this call.
pub(super) fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| signed_out().to_status())
}

/// Who makes this call, which is for administrators.
pub(super) fn administrator<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    let caller = caller(request)?;
    if caller.user.is_administrator() {
        return Ok(caller);
    }
    let text = "this is for administrators";
    Err(Problem::rejected(Code::PermissionDenied, kind::DENIED, text).to_status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_done_is_not_said_to_be_undone() {
        for path in OPEN {
            let done = ["SignUp", "ResetPassword", "SignInWithCode"].iter().any(|call| path.ends_with(call));
            let expected = if done { Action::Unknown } else { Action::Retry };
            assert_eq!(too_long(CHANGES.contains(&path)).action, expected, "{path}");
        }
    }

    fn message(parts: &[&'static [u8]]) -> Request {
        let parts: Vec<Result<Bytes, std::io::Error>> = parts.iter().map(|part| Ok(Bytes::from_static(part))).collect();
        Request::new(Body::from_stream(futures::stream::iter(parts)))
    }

    #[tokio::test]
    async fn messages_come_whole_and_what_is_held_of_them_has_a_bound() {
        let memory = Semaphore::new(3);
        let (whole, held) = come_whole(message(&[&[1; 900], &[2; 900]]), &memory).await.unwrap();
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), [[1; 900], [2; 900]].concat());
        assert_eq!(memory.available_permits(), 1);
        // What was taken for one that finds no room is given back.
        let refused = come_whole(message(&[&[1; 900], &[2; 900]]), &memory).await.unwrap_err();
        assert_eq!(refused.code, Code::Unavailable);
        assert_eq!(memory.available_permits(), 1);
        drop(held);
        assert_eq!(memory.available_permits(), 3);
    }
}
