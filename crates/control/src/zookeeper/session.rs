//! The node's session with the ensemble: made, watched, and made anew when it has expired.

use super::address::ZooKeeperAddress;
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use zookeeper_client::{Client, Error, SessionState};

/// What the ensemble is asked for; it settles what it gives. Nothing waits for it to run out but the
/// registrations of machines that died together: see [`super::election`].
const SESSION: Duration = Duration::from_secs(8);
/// A server that says nothing for this long is left for another.
const SILENCE: Duration = Duration::from_millis(900);
/// How long one request may take.
pub(super) const OPERATION: Duration = Duration::from_secs(2);
/// A connection may be away for so long before it is told: a server may just have been restarted.
const LOST: Duration = Duration::from_secs(2);
const CONSEQUENCE: &str = "without ZooKeeper nothing can change in the cluster, and leases run out";
/// How often a trouble that lasts is told again.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// The present session, and what is wrong when there is none.
#[derive(Clone)]
pub(super) struct Sessions {
    current: watch::Receiver<Option<Client>>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Sessions {
    /// The keeper runs until it is dropped; then the session is closed.
    pub(super) fn new(
        address: ZooKeeperAddress,
        password: String,
    ) -> (Sessions, impl Future<Output = ()> + Send + 'static) {
        let (sender, current) = watch::channel(None);
        let trouble = Arc::new(Mutex::new(Some("not connected yet".to_string())));
        let keeper = keep(address, password, Present(sender), trouble.clone());
        (Sessions { current, trouble }, keeper)
    }

    /// A session that is connected now, as far as is known.
    pub(super) fn connected(&self) -> Result<Client, String> {
        let client = self.current.borrow().clone();
        match client.filter(|client| client.state() == SessionState::SyncConnected) {
            Some(client) => Ok(client),
            None => Err(self.trouble.lock().clone().unwrap_or_else(|| "the connection was lost".to_string())),
        }
    }

    /// The next session that is not the one with this id.
    pub(super) async fn next(&self, not: Option<i64>) -> Option<Client> {
        let mut current = self.current.clone();
        let other = |client: &Option<Client>| client.as_ref().is_some_and(|client| Some(client.session_id().0) != not);
        current.wait_for(other).await.ok().and_then(|client| client.clone())
    }

    /// Whether that session is the present one.
    pub(super) fn is_current(&self, id: i64) -> bool {
        self.current.borrow().as_ref().is_some_and(|client| client.session_id().0 == id)
    }

    /// Ends when that session is not the present one any more.
    pub(super) async fn ended(&self, id: i64) {
        let mut current = self.current.clone();
        // A keeper that is gone has ended it too.
        let _ = current.wait_for(|client| client.as_ref().is_none_or(|client| client.session_id().0 != id)).await;
    }
}

/// A request, given up after a while.
pub(super) async fn within<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(OPERATION, request).await.unwrap_or(Err(Error::Timeout))
}

/// Whether the ensemble itself has refused: then the request was surely not carried out.
pub(super) fn refused(error: &Error) -> bool {
    matches!(
        error,
        Error::NoNode
            | Error::NoAuth
            | Error::BadVersion
            | Error::NodeExists
            | Error::NotEmpty
            | Error::InvalidAcl
            | Error::NoChildrenForEphemerals
            | Error::QuotaExceeded
            | Error::BadArguments(_)
    )
}

/// Gone with the keeper, so that the session is closed as soon as nobody uses it.
struct Present(watch::Sender<Option<Client>>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

async fn keep(address: ZooKeeperAddress, password: String, present: Present, trouble: Arc<Mutex<Option<String>>>) {
    let place = address.to_string();
    let mut told: Option<Instant> = None;
    loop {
        match connect(&address, &password).await {
            Ok(client) => {
                let mut states = client.state_watcher();
                let mut state = client.state();
                present.0.send_replace(Some(client));
                while !state.is_terminated() {
                    if state == SessionState::Disconnected {
                        let lost = format!("the connection to {place} was lost");
                        *trouble.lock() = Some(lost.clone());
                        match tokio::time::timeout(LOST, states.changed()).await {
                            Ok(changed) => state = changed,
                            // By itself it would try again more and more seldom. A new session costs a new
                            // registration and nothing else.
                            Err(_) => {
                                tracing::warn!("{lost}: {CONSEQUENCE}");
                                told = Some(Instant::now());
                                break;
                            }
                        }
                    } else {
                        if told.take().is_some() {
                            tracing::info!(%place, "connected to ZooKeeper again");
                        }
                        *trouble.lock() = None;
                        state = states.changed().await;
                    }
                }
                present.0.send_replace(None);
                if state.is_terminated() {
                    tracing::warn!(%place, %state, "the session with ZooKeeper has ended: beginning another");
                    *trouble.lock() = Some(format!("the session with {place} has ended ({state})"));
                }
            }
            Err(error) => {
                let why = match error {
                    Error::NoHosts | Error::Timeout => format!("no server of {place} answers"),
                    other => format!("{place}: {other}"),
                };
                if told.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
                    told = Some(Instant::now());
                    tracing::warn!("{why}: {CONSEQUENCE}");
                }
                *trouble.lock() = Some(why);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn connect(address: &ZooKeeperAddress, password: &str) -> Result<Client, Error> {
    let mut hosts = address.hosts.clone();
    hosts.shuffle(&mut rand::rng());
    Client::connector()
        .with_session_timeout(SESSION)
        .with_connection_timeout(SILENCE)
        .with_auth("digest", format!("atoll:{password}").as_bytes())
        .with_fail_eagerly()
        .connect(&hosts.join(","))
        .await
}
