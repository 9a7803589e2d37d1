//! The machines: how they are, who holds what, and changes of that.

use crate::overview::{ClusterLayout, ClusterStatus};
use crate::tables::AnyFailure;
use crate::{Client, ClientError};
use rpc::codec;
use rpc::wire::{ChangeLayout, Edit, LayoutPreview, MakeToken, NodeStatus, ScrubReport, method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use types::{Action, Classify, NodeId};

/// How long a node may take to say how it is.
const STATUS_TIMEOUT: Duration = Duration::from_millis(600);
/// How long it may take where its silence decides something: a busy machine is not a lost one.
const WORD_TIMEOUT: Duration = Duration::from_secs(5);

impl Client {
    /// How the cluster and each of its nodes are, as far as those who answer know.
    pub async fn cluster_status(&self) -> ClusterStatus {
        let held = self.layout().version;
        let mut reports = self.node_status().await;
        // Who gave the first map may have been cut off from the others.
        if reports.iter().any(|(_, report)| report.as_ref().is_ok_and(|report| report.layout > held)) {
            self.router.refresh(held, None).await;
            reports = self.node_status().await;
        }
        ClusterStatus::new(&self.layout(), reports, None)
    }

    /// Who holds what, as far as those who answer know.
    pub async fn cluster_layout(&self) -> ClusterLayout {
        let held = self.layout().version;
        self.router.refresh(held, None).await;
        ClusterLayout::new(&self.layout())
    }

    /// How every node of the map says it is.
    pub async fn node_status(&self) -> Vec<(NodeId, Result<NodeStatus, ClientError>)> {
        self.ask_every_node(method::STATUS, &(), STATUS_TIMEOUT).await
    }

    /// How the verification of every node's blocks stands; with `start`, begins one.
    pub async fn scrub(&self, start: bool) -> Vec<(NodeId, Result<ScrubReport, ClientError>)> {
        // One that does not hear of the beginning is not waited for.
        self.ask_every_node(method::SCRUB, &start, if start { WORD_TIMEOUT } else { STATUS_TIMEOUT }).await
    }

    async fn ask_every_node<R: DeserializeOwned>(
        &self,
        number: u16,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Vec<(NodeId, Result<R, ClientError>)> {
        let layout = self.layout();
        let body = codec::encode(request);
        let asked = layout.nodes.values().map(|node| async {
            let result = self.router.link.call::<R>(&node.address, number, body.clone(), timeout);
            let status = match result.await {
                Ok((status, _)) => Ok(status),
                Err(failure) => Err(failure.into_error(vec![node.address.clone()], &layout)),
            };
            (node.id, status)
        });
        futures::future::join_all(asked).await
    }

    /// Changes who holds data, or tells what that would do. Repeating a change changes nothing more. A machine that
    /// answers is not given up, whatever the control plane thinks of it.
    pub async fn change_layout(&self, request: &ChangeLayout) -> Result<LayoutPreview, ClientError> {
        self.refuse_who_answers(&request.edits).await?;
        match self.router.ask_any(method::CHANGE_LAYOUT, request).await {
            Ok(preview) => Ok(preview),
            Err(AnyFailure { failure, open: Some(why), .. })
                if failure.action() != Action::Rejected && request.apply =>
            {
                Err(ClientError::Uncertain { what: "the layout was changed".into(), why })
            }
            Err(AnyFailure { failure, tried, .. }) => Err(failure.into_error(tried, &self.layout())),
        }
    }

    /// A token by which another machine may join, for as long as it is valid.
    pub async fn make_join_token(&self, valid: Duration) -> Result<String, ClientError> {
        // A token whose answer was lost harms nobody: it expires.
        let made = self.router.ask_any(method::MAKE_TOKEN, &MakeToken { valid }).await;
        made.map_err(|AnyFailure { failure, tried, .. }| failure.into_error(tried, &self.layout()))
    }

    /// A machine that answers is not lost, whatever its lease.
    async fn refuse_who_answers(&self, edits: &[Edit]) -> Result<(), ClientError> {
        let given_up = |node: &NodeId| edits.contains(&Edit::GiveUp(*node));
        if !edits.iter().any(|edit| matches!(edit, Edit::GiveUp(_))) {
            return Ok(());
        }
        let reports = self.ask_every_node::<NodeStatus>(method::STATUS, &(), WORD_TIMEOUT).await;
        // At its address may be another by now.
        let answers = |node: &NodeId, report: &NodeStatus| given_up(node) && report.node == *node;
        match reports.iter().find(|(node, report)| report.as_ref().is_ok_and(|report| answers(node, report))) {
            Some((node, _)) => {
                Err(ClientError::Invalid(format!("nothing was changed: node {node} answers, so that it is not lost")))
            }
            None => Ok(()),
        }
    }
}
