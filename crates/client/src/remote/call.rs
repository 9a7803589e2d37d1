//! One call through whichever gateway answers: attempts, what may be sent
//! again, and what is known in the end.

use super::gateways::{Gateway, Link, NoLink, innermost, look, reach};
use super::{Remote, RemoteError};
use base64::Engine as _;
use prost::Message;
use rand::Rng;
use rpc::grpc::Problem;
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use types::Action;

/// What repeating a call would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Safety {
    /// Nothing, and it does not matter whether an attempt arrived.
    Read,
    /// The same, and a gateway that cannot serve answers it as well as it can.
    Look,
    /// Nothing more than one attempt does; whether one arrived matters.
    Write,
    /// It would be done twice.
    Once,
}

impl Safety {
    fn changes(self) -> bool {
        matches!(self, Safety::Write | Safety::Once)
    }
}

/// How a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The last thing heard.
    pub error: RemoteError,
    /// Why an attempt may have been applied, and may yet be, if one may: `error` alone does
    /// not tell whether the write was made.
    pub unsettled: Option<String>,
}

impl From<Failure> for RemoteError {
    fn from(failure: Failure) -> RemoteError {
        match failure.unsettled {
            Some(why) => RemoteError::Unknown { operation: None, why: failure.error.after(why) },
            None => failure.error,
        }
    }
}

/// What became of one attempt.
enum Heard<R> {
    Answer(R),
    /// No byte of the call left this machine.
    NotSent(String),
    /// It may have arrived, and no answer of a gateway came back.
    Lost(String),
    /// A gateway answered with an error.
    Problem(Problem),
}

/// First pause after every gateway has been tried; doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Remote {
    /// A call that changes nothing that anybody would have to know of.
    pub(super) async fn read<M, R, F, Fut>(&self, message: M, send: F) -> Result<R, RemoteError>
    where
        M: Message + Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        self.call(Safety::Read, message, send).await.map_err(|failure| failure.error)
    }

    /// The same for what may be answered without most of the machines: how they are, and stale reads.
    pub(super) async fn look<M, R, F, Fut>(&self, message: M, send: F) -> Result<R, RemoteError>
    where
        M: Message + Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        self.call(Safety::Look, message, send).await.map_err(|failure| failure.error)
    }

    /// [`Self::call_lasting`] for what is done in no time.
    pub(super) async fn call<M, R, F, Fut>(&self, safety: Safety, message: M, send: F) -> Result<R, Failure>
    where
        M: Message + Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        self.call_lasting(Duration::ZERO, safety, message, send).await
    }

    /// Sends the message through the gateways in turn until one gives a final
    /// answer or time is up. The gateway needs up to `extra` for the work itself.
    pub(super) async fn call_lasting<M, R, F, Fut>(
        &self,
        extra: Duration,
        safety: Safety,
        message: M,
        send: F,
    ) -> Result<R, Failure>
    where
        M: Message + Clone,
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        if message.encoded_len() > MESSAGE_BYTES_MAX {
            let text = format!("this request has {} bytes; at most {MESSAGE_BYTES_MAX} fit", message.encoded_len());
            return Err(Failure { error: RemoteError::Invalid(text), unsettled: None });
        }
        let mut options = self.shared.options;
        options.attempt += extra;
        options.total += extra;
        let began = Instant::now();
        let gateways = &self.shared.gateways;
        let mut tried: Vec<String> = Vec::new();
        let mut unsettled: Option<String> = None;
        let mut patience = options.refused;
        let mut pause = PAUSE_MIN;
        // The last error that a gateway answered with, and how long it took to.
        let mut answered: Option<(RemoteError, Duration)> = None;
        // A final answer moves `preferred`, and others' calls do so at any time: what is tried is counted from
        // where this call began.
        let order: Vec<Arc<Gateway>> = (0..gateways.count()).map(|n| gateways.at(n)).collect();
        // In the first round those that failed a moment ago are passed over, if somebody else is left.
        let mut round: Vec<Arc<Gateway>> = order.iter().filter(|gateway| !gateway.is_avoided()).cloned().collect();
        if round.is_empty() {
            round = order.clone();
        }
        loop {
            let reached = match reach(&round, options.hedge).await {
                Err(why) if safety == Safety::Look => look(&round, why).await,
                reached => reached,
            };
            let last = match reached {
                Err(why) => {
                    tried.extend(round.drain(..).map(|gateway| gateway.address().to_string()));
                    if why.iter().any(|(_, why)| matches!(why, NoLink::Idle(_))) {
                        let wait = if self.has_served() { options.idle_later } else { options.idle };
                        patience = patience.max(wait);
                    }
                    RemoteError::nobody(&order, why)
                }
                Ok((gateway, link)) => {
                    round.retain(|other| !Arc::ptr_eq(other, &gateway));
                    tried.push(gateway.address().to_string());
                    let left = options.total.saturating_sub(began.elapsed());
                    // What would be cut short tells less than what was answered, and a write's fate would be unknown.
                    if let Some((error, _)) = answered.take_if(|(_, took)| *took > left) {
                        return Err(Failure { error, unsettled });
                    }
                    let (attempt, sent) = (options.attempt.min(left), Instant::now());
                    match self.attempt(&gateway, &link, attempt, message.clone(), &send).await {
                        Heard::Answer(answer) => {
                            if link.serving {
                                gateways.prefer(&gateway);
                                self.shared.served.store(true, Ordering::Relaxed);
                            }
                            return Ok(answer);
                        }
                        Heard::NotSent(why) => RemoteError::Unreachable { tried: unique(&tried), why },
                        Heard::Lost(why) => {
                            patience = patience.max(options.attempt);
                            if safety.changes() {
                                unsettled = Some(why.clone());
                            }
                            RemoteError::Unreachable { tried: unique(&tried), why }
                        }
                        Heard::Problem(problem) => {
                            patience = options.total;
                            match problem.action {
                                Action::Rejected => return Err(Failure { error: problem.into(), unsettled }),
                                Action::Unknown if safety.changes() => unsettled = Some(problem.message.clone()),
                                Action::Unknown | Action::Retry | Action::RefreshLayout | Action::Fatal => {}
                            }
                            answered = Some((problem.clone().into(), sent.elapsed()));
                            problem.into()
                        }
                    }
                }
            };
            let over = began.elapsed() >= options.total || matches!(last, RemoteError::WrongCluster(_));
            if over || (safety == Safety::Once && unsettled.is_some()) {
                return Err(Failure { error: last, unsettled });
            }
            if round.is_empty() {
                let wait = jittered(pause);
                if began.elapsed() + wait >= patience {
                    return Err(Failure { error: last, unsettled });
                }
                tokio::time::sleep(wait).await;
                pause = (pause * 2).min(PAUSE_MAX);
                round = order.clone();
            }
        }
    }

    fn has_served(&self) -> bool {
        self.shared.served.load(Ordering::Relaxed)
    }

    async fn attempt<M, R, F, Fut>(
        &self,
        gateway: &Gateway,
        link: &Link,
        within: Duration,
        message: M,
        send: &F,
    ) -> Heard<R>
    where
        F: Fn(Channel, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let request = match self.request(message, within) {
            Ok(request) => request,
            Err(problem) => return Heard::Problem(problem),
        };
        let answer = tokio::time::timeout(within, send(link.channel.clone(), request)).await;
        hear(gateway, link, answer).await
    }

    /// The message with the session's token and a deadline.
    pub(super) fn request<M>(&self, message: M, within: Duration) -> Result<Request<M>, Problem> {
        let mut request = Request::new(message);
        request.set_timeout(within);
        if let Some(token) = self.shared.token.read().as_deref() {
            // A name and an app password, or a session's token.
            let shown = match token.contains(':') {
                true => format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(token)),
                false => format!("Bearer {token}"),
            };
            let header = MetadataValue::try_from(shown).map_err(|_| {
                Problem::rejected(Code::Unauthenticated, rpc::grpc::kind::SIGNED_OUT, "the token is not readable")
            })?;
            request.metadata_mut().insert("authorization", header);
        }
        if let Some(drive) = self.drive.and_then(|drive| MetadataValue::try_from(drive.to_string()).ok()) {
            request.metadata_mut().insert(rpc::grpc::DRIVE_HEADER, drive);
        }
        Ok(request)
    }
}

/// Sorts out what came back, and forgets connections that do not work.
async fn hear<R>(
    gateway: &Gateway,
    link: &Link,
    answer: Result<Result<Response<R>, Status>, tokio::time::error::Elapsed>,
) -> Heard<R> {
    let status = match answer {
        Ok(Ok(response)) => {
            gateway.answered();
            return Heard::Answer(response.into_inner());
        }
        Ok(Err(status)) => status,
        Err(_) => {
            gateway.broken(link).await;
            return Heard::Lost(format!("{} did not answer in time", gateway.address()));
        }
    };
    if let Some(problem) = Problem::from_status(&status) {
        gateway.answered();
        return Heard::Problem(problem);
    }
    if status.code() == Code::Unimplemented {
        // It was understood as far as its name, and nothing was done.
        return Heard::Problem(Problem::rejected(
            Code::Unimplemented,
            rpc::grpc::kind::NOT_OFFERED,
            format!("the gateway {} does not know this call: is it an older release?", gateway.address()),
        ));
    }
    gateway.broken(link).await;
    let why = format!("{}: {}", gateway.address(), reason(&status));
    if never_sent(&status) { Heard::NotSent(why) } else { Heard::Lost(why) }
}

/// A connection had gone and could not be made again.
fn never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

fn reason(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => innermost(source),
        None => status.message().to_string(),
    }
}

/// Each once, in the order in which they were tried.
fn unique(tried: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    tried.iter().for_each(|address| {
        if !seen.contains(address) {
            seen.push(address.clone());
        }
    });
    seen
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}
