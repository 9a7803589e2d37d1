//! Calls to the control plane, wherever it leads; and Raft's transport.

use crate::node::Inner;
use async_trait::async_trait;
use bytes::Bytes;
use control::controller::{ControllerError, keys};
use control::{MetadataError, RaftRpc, RaftTransport, TransportError};
use rpc::wire::{
    ChangeLayout, CreateTable, Edit, Fault, JoinReply, JoinRequest, LayoutPreview, LeaseRequest, MakeToken,
    RegisterRequest, SyncedReport, method,
};
use rpc::{Pool, RpcError};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use std::time::Duration;
use types::{NodeId, TableId};

/// Set in the method of a call that was passed on once: it is not passed on again.
pub(crate) const FORWARDED: u16 = 0x8000;

/// Raft's messages go over connections of their own, where no block can hold them up.
pub(crate) struct Transport(pub Pool);

#[async_trait]
impl RaftTransport for Transport {
    async fn send(
        &self,
        _target: NodeId,
        address: &str,
        kind: RaftRpc,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let head = Bytes::copy_from_slice(&u16::from(kind).to_be_bytes());
        self.0.call(address, method::RAFT, (head, body), timeout).await.map_err(|error| match error {
            RpcError::NotSent(_) | RpcError::Handshake(_) => TransportError::Unreachable(error.to_string()),
            other => TransportError::Other(other.to_string()),
        })
    }
}

/// A controller's error as callers hear it.
pub(crate) fn fault(error: ControllerError) -> Fault {
    match error {
        ControllerError::Metadata(MetadataError::Unknown(why)) => Fault::Unknown(why),
        ControllerError::Metadata(MetadataError::Invalid(why)) | ControllerError::Invalid(why) => Fault::Invalid(why),
        ControllerError::Metadata(error) => Fault::NoLeader(error.to_string()),
        ControllerError::Denied(why) => Fault::Denied(why),
        ControllerError::Busy => Fault::Busy,
    }
}

impl Inner {
    /// True while this node leads the control plane.
    pub fn leads(&self) -> bool {
        self.coordination.leader().borrow().is_self
    }

    /// Where the leader may be: by our own knowledge first, then anybody who may know.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let leader = self.coordination.leader().borrow().leader;
        let members = self.coordination.members();
        let of_leader = members.iter().filter(|member| Some(member.id) == leader).map(|member| member.address.clone());
        let layout = self.layout.borrow().clone();
        // Where the metadata is kept elsewhere the map alone tells.
        let mapped = leader.and_then(|leader| layout.nodes.get(&leader)).map(|node| node.address.clone());
        let others = layout.nodes.values().map(|node| node.address.clone());
        let mut all: Vec<String> = Vec::new();
        let contacts = self.identity.lock().contacts.clone();
        for address in of_leader.chain(mapped).chain(others).chain(contacts) {
            if !address.is_empty() && address != self.address && !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// Asks the leader, by way of others if need be.
    pub async fn ask_leader<T: Serialize, R: DeserializeOwned>(
        &self,
        number: u16,
        request: &T,
        timeout: Duration,
    ) -> Result<R, Fault> {
        let body = rpc::codec::encode(request);
        let mut last = Fault::NoLeader("this node knows no other".into());
        for address in self.candidates() {
            match self.control_pool.call(&address, number | FORWARDED, body.clone(), timeout).await {
                Ok(reply) => match rpc::codec::decode::<Result<R, Fault>>(&reply) {
                    Ok(Ok(reply)) => return Ok(reply),
                    // It does not lead either.
                    Ok(Err(fault @ Fault::NoLeader(_))) => last = fault,
                    Ok(Err(fault)) => return Err(fault),
                    Err(error) => last = Fault::Unknown(error.to_string()),
                },
                Err(error @ (RpcError::NotSent(_) | RpcError::Handshake(_))) => {
                    last = Fault::NoLeader(format!("{address}: {error}"));
                }
                Err(error) => last = Fault::Unknown(format!("{address}: {error}")),
            }
        }
        Err(last)
    }

    /// Answers a call to the control plane: here if this node leads, else by asking the leader.
    pub async fn control(&self, number: u16, body: &Bytes) -> Option<Bytes> {
        let passed_on = number & FORWARDED != 0;
        let number = number & !FORWARDED;
        let controller = &self.controller;
        macro_rules! answer {
            ($request:ty, $reply:ty, |$decoded:ident| $here:expr) => {{
                let result: Result<$reply, Fault> = match rpc::codec::decode::<$request>(body) {
                    Err(error) => Err(Fault::Invalid(error.to_string())),
                    Ok($decoded) if self.leads() => $here.await.map_err(fault),
                    Ok(_) if passed_on => Err(Fault::NoLeader(format!("node {} does not lead", self.id()))),
                    Ok(request) => self.ask_leader(number, &request, Duration::from_secs(5)).await,
                };
                rpc::codec::encode(&result)
            }};
        }
        Some(match number {
            method::LEASE => answer!(LeaseRequest, rpc::wire::LeaseReply, |r| controller.lease(r)),
            method::REGISTER => answer!(RegisterRequest, rpc::wire::RegisterReply, |r| controller.register(r)),
            method::SURRENDER => answer!(LeaseRequest, (), |r| controller.surrender(r)),
            method::REPORT => answer!(SyncedReport, (), |r| controller.report(r)),
            method::JOIN => answer!(JoinRequest, JoinReply, |r| self.admit(r)),
            method::CHANGE_LAYOUT => answer!(ChangeLayout, LayoutPreview, |r| self.change_layout(r)),
            method::CREATE_TABLE => answer!(CreateTable, types::TableSpec, |r| controller.create_table(r)),
            method::DELETE_TABLE => answer!(TableId, (), |r| controller.delete_table(r)),
            method::MAKE_TOKEN => answer!(MakeToken, String, |r| self.make_token(r)),
            _ => return None,
        })
    }

    /// Admits a machine that means this very cluster.
    async fn admit(&self, request: JoinRequest) -> Result<JoinReply, ControllerError> {
        let admitted = crate::coordination::admit(&self.backend, request.coordination.as_deref());
        let coordination = admitted.map_err(ControllerError::Denied)?;
        let reply = self.controller.join(request, self.certificate_life).await?;
        Ok(JoinReply { coordination, ..reply })
    }

    /// Whoever is about to be removed first votes no longer: it ends as soon as it hears of its removal, and the voters
    /// left must be able to do without it, and without one more.
    async fn change_layout(&self, request: ChangeLayout) -> Result<LayoutPreview, ControllerError> {
        let leaving = request.edits.iter().filter_map(|edit| match edit {
            Edit::Remove(node) => Some(*node),
            _ => None,
        });
        let leaving: Vec<NodeId> = leaving.collect();
        if request.apply && !leaving.is_empty() {
            let plan = ChangeLayout { apply: false, ..request.clone() };
            if self.controller.change_layout(plan).await?.unsafe_because.is_empty() {
                for node in leaving {
                    self.coordination.retire(node).await?;
                }
            }
        }
        self.controller.change_layout(request).await
    }

    async fn make_token(&self, request: MakeToken) -> Result<String, ControllerError> {
        const VALID_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
        if request.valid > VALID_MAX {
            return Err(ControllerError::Invalid("a join token is valid for 7 days at most".into()));
        }
        let secrets = keys::secrets(&self.coordination.local_range(keys::SECRETS)).ok_or(ControllerError::Busy)?;
        let pin = secrets.authority.pin().map_err(|error| ControllerError::Invalid(error.to_string()))?;
        let secret = format!("{:032x}", rand::random::<u128>());
        self.controller.remember_token(&secret, request.valid).await?;
        let identity = self.identity.lock().clone();
        let layout = self.layout.borrow().clone();
        let live = layout.nodes.values().filter(|node| node.alive && !node.address.is_empty());
        let mut addresses: Vec<String> = live.map(|node| node.address.clone()).take(5).collect();
        if addresses.is_empty() {
            addresses.push(self.address.clone());
        }
        let token = crate::JoinToken { cluster: identity.cluster, pin, secret, addresses };
        Ok(token.to_string())
    }
}

/// On the leader: every registered node hears the metadata, and the right ones vote.
pub(crate) async fn tend_electorate(inner: Arc<Inner>) {
    const EVERY: Duration = Duration::from_millis(300);
    const DEAD_AFTER: Duration = Duration::from_secs(8);
    loop {
        tokio::time::sleep(EVERY).await;
        if !inner.leads() {
            continue;
        }
        let layout = inner.layout.borrow().clone();
        let members = inner.coordination.members();
        for node in layout.nodes.values().filter(|node| node.incarnation.0 > 0) {
            let known = members.iter().any(|member| member.id == node.id && member.address == node.address);
            if !known && let Err(error) = inner.coordination.add_learner(node.id, &node.address).await {
                tracing::debug!(node = %node.id, %error, "cannot add to the control plane yet");
            }
        }
        for member in members.iter().filter(|member| layout.removed.contains(&member.id)) {
            match inner.coordination.remove(member.id).await {
                Ok(()) => tracing::info!(node = %member.id, "removed from the control plane"),
                Err(error) => tracing::debug!(node = %member.id, %error, "cannot remove from the control plane yet"),
            }
        }
        let leaving = layout.nodes.values().filter(|node| node.draining).map(|node| node.id);
        match inner.coordination.tend_voters(DEAD_AFTER, &leaving.chain(layout.removed.iter().copied()).collect()).await
        {
            Ok(Some(voters)) => tracing::info!(?voters, "voters of the control plane"),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot change voters yet"),
        }
    }
}
