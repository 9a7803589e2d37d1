//! How `atoll cluster` reaches the cluster: by a session, through any gateway; or by a member's data folder,
//! straight from node to node. What can be asked is the same.

use crate::cli::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::folder::{self, Folder};
use crate::session;
use client::remote::{JoinToken, Remote, RemoteError};
use client::{ChangeLayout, Client, ClusterLayout, ClusterStatus, LayoutPreview, Verification};
use std::path::Path;
use std::time::Duration;
use types::{Action, Classify, WallMillis};

/// How the cluster is reached.
pub enum Way {
    /// As a signed-in person.
    Session(Remote),
    /// As the owner of a member's data folder.
    Folder {
        /// Which.
        folder: Folder,
        /// Goes to the nodes.
        client: Client,
        /// What commands that are suggested need, to go the same way.
        flag: String,
    },
}

impl Way {
    /// By the folder, if one is named, else by the session.
    pub async fn open(server: &ServerArgs, data: Option<&Path>) -> Outcome<Way> {
        let Some(path) = data else { return Ok(Way::Session(session::connect(server).await?)) };
        let folder = Folder::open(path)?;
        let client = folder.connect().await?;
        Ok(Way::Folder { folder, client, flag: format!(" --data {}", folder::shell(path)) })
    }

    /// What a suggested command of `atoll cluster` needs at its end, to go the same way.
    pub fn flag(&self) -> &str {
        match self {
            Way::Session(_) => "",
            Way::Folder { flag, .. } => flag,
        }
    }

    /// How the cluster and each of its nodes are.
    pub async fn status(&self) -> Outcome<ClusterStatus> {
        match self {
            Way::Session(remote) => Ok(remote.cluster_status().await?),
            Way::Folder { client, .. } => Ok(client.cluster_status().await),
        }
    }

    /// Who holds what.
    pub async fn layout(&self) -> Outcome<ClusterLayout> {
        match self {
            Way::Session(remote) => Ok(remote.cluster_layout().await?),
            Way::Folder { client, .. } => Ok(client.cluster_layout().await),
        }
    }

    /// Changes who holds data, or tells what that would do.
    pub async fn change_layout(&self, change: ChangeLayout) -> Outcome<LayoutPreview> {
        match self {
            Way::Session(remote) => Ok(remote.change_layout(&change).await?),
            Way::Folder { folder, client, .. } => {
                let by = format!("the owner of node {}'s data folder", folder.node());
                let preview = client.change_layout(&ChangeLayout { by, ..change }).await;
                preview.map_err(|error| folder.explain(error))
            }
        }
    }

    /// How the verification of every node's blocks stands; with `start`, begins one.
    pub async fn verify_blocks(&self, start: bool) -> Outcome<Vec<Verification>> {
        match self {
            Way::Session(remote) => Ok(remote.verify_blocks(start).await?),
            Way::Folder { client, .. } => {
                let reports = client.scrub(start).await.into_iter();
                let told = reports.map(|(node, report)| (node, report.map_err(|error| error.to_string())));
                Ok(told.map(|(node, report)| Verification { node, report }).collect())
            }
        }
    }

    /// A token with which one more machine can join.
    pub async fn join_token(&self, valid: Duration) -> Outcome<JoinToken> {
        match self {
            Way::Session(remote) => Ok(remote.join_token(valid).await?),
            Way::Folder { folder, client, .. } => {
                let expires = WallMillis(client.now().0.saturating_add(valid.as_millis() as u64));
                let token = client.make_join_token(valid).await.map_err(|error| folder.explain(error))?;
                Ok(JoinToken { token, expires })
            }
        }
    }
}

/// Whoever was not answered may have gone by a session that nobody can look up: then there is the other way.
/// `command` is what was asked of `atoll cluster`.
pub fn or_by_the_folder(failure: Failure, command: &str) -> Failure {
    let other = format!("as the owner of a member's data folder, on that machine: atoll cluster {command} --data DIR");
    match failure {
        Failure::Remote(error @ RemoteError::NotServing { .. }) => Failure::Remote(error),
        Failure::Remote(error) if error.action() == Action::Retry => {
            let first = match error {
                RemoteError::Unreachable { .. } => "check that a node runs (`atoll up`)",
                RemoteError::Waiting(_) => "start that machine",
                _ => "try again shortly",
            };
            Failure::failed(error.to_string())
                .safe("nothing was changed")
                .next(format!("{first}; if no session can be looked up any more, {other}"))
        }
        failure => failure,
    }
}
