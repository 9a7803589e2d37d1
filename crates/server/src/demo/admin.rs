//! The supervisor as an administrator of its cluster: join tokens and status, by gRPC.

use super::child;
use super::state::DemoState;
use crate::failure::{Failure, Outcome};
use client::remote::{ClusterStatus, Options, Remote, RemoteError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a cluster may take to answer before it is said that it does not.
const ANSWER: Duration = Duration::from_secs(4);

/// When another node is asked as well: they are all on this machine.
const HEDGE: Duration = Duration::from_millis(150);

/// How long nodes that cannot serve are waited for: whoever asks how things are wants to know that.
const IDLE: Duration = Duration::from_millis(300);

/// A session of the demo's administrator, made when it is first needed.
pub struct Admin {
    folder: PathBuf,
    addresses: Vec<String>,
    user: String,
    password: String,
    session: Mutex<Option<Remote>>,
}

impl Admin {
    /// For the demo's cluster.
    pub fn new(folder: &Path, state: &DemoState) -> Admin {
        Admin {
            folder: folder.to_path_buf(),
            addresses: state.grpc_addresses(),
            user: state.user.clone(),
            password: state.password.clone(),
            session: Mutex::new(None),
        }
    }

    async fn session(&self) -> Result<Remote, RemoteError> {
        let mut session = self.session.lock().await;
        if let Some(remote) = &*session {
            return Ok(remote.clone());
        }
        // Whatever else may answer on these ports now is shown no password.
        let cluster = child::cluster(&self.folder);
        let options = Options { hedge: HEDGE, idle: IDLE, idle_later: IDLE, ..Options::default() };
        let remote = Remote::at(self.addresses.clone(), cluster, None, options).await?;
        remote.sign_in(&self.user, &self.password, "atoll demo").await?;
        Ok(session.insert(remote).clone())
    }

    /// How the cluster is, or why nobody can tell now.
    pub async fn status(&self) -> Result<ClusterStatus, String> {
        let asked = async {
            let remote = self.session().await?;
            let status = remote.cluster_status().await;
            if matches!(status, Err(RemoteError::SignedOut)) {
                // An old session ran out: the next question makes a new one.
                *self.session.lock().await = None;
            }
            status
        };
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the cluster does not answer just now".into()),
        }
    }

    /// A join token. A cluster that has only just begun is given `patience` to be ready for it.
    pub async fn join_token(&self, patience: Duration) -> Outcome<String> {
        let deadline = Instant::now() + patience;
        loop {
            let asked = async { self.session().await?.join_token(Duration::from_secs(600)).await };
            let error = match asked.await {
                Ok(token) => return Ok(token.token),
                Err(error) => error,
            };
            if matches!(error, RemoteError::WrongPassword(_)) {
                return Err(Failure::from(error).next("atoll demo --fresh"));
            }
            if Instant::now() >= deadline {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
