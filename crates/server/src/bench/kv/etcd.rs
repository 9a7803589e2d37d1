//! An etcd under the same load: the three calls of `etcdserverpb.KV` that it takes, with as much of their messages as is
//! needed, declared by hand. Field numbers are etcd's.

use super::super::work::Miss;
use super::store::{Key, Store, group_name};
use crate::failure::{Failure, Outcome};
use bytes::Bytes;
use std::sync::Arc;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: bytes::Bytes,
}

/// What comes back of a put is of no interest.
#[derive(Clone, PartialEq, prost::Message)]
struct PutReply {}

/// Without an end, one key; linearizably.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    range_end: bytes::Bytes,
    #[prost(int64, tag = "3")]
    limit: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeReply {
    #[prost(message, repeated, tag = "2")]
    items: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(int64, tag = "3")]
    mod_revision: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    compare: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    success: Vec<RequestOp>,
}

/// That a key's `mod_revision` is equal to this.
#[derive(Clone, PartialEq, prost::Message)]
struct Compare {
    /// 0: equal.
    #[prost(int32, tag = "1")]
    result: i32,
    /// 2: the revision of its last change.
    #[prost(int32, tag = "2")]
    target: i32,
    #[prost(bytes = "bytes", tag = "3")]
    key: bytes::Bytes,
    /// One of a union, where 0 must be told, too.
    #[prost(int64, optional, tag = "6")]
    mod_revision: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestOp {
    #[prost(message, optional, tag = "2")]
    put: Option<PutRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TxnReply {
    #[prost(bool, tag = "2")]
    succeeded: bool,
}

struct Etcd {
    grpc: Grpc<Channel>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusReply {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Header {
    #[prost(uint64, tag = "2")]
    member: u64,
}

/// Connections, spread over the members; the first one is to who leads, where a lone client is best off.
pub async fn connect(addresses: &[String], connections: usize) -> Outcome<Vec<Arc<dyn Store>>> {
    let mut members = Vec::new();
    for address in addresses {
        let etcd = Etcd::at(address).await?;
        let status = etcd.call::<_, StatusReply>("/etcdserverpb.Maintenance/Status", StatusRequest {}).await;
        let status = status.map_err(|miss| Failure::failed(format!("etcd at {address}: {}", miss.text())))?;
        let leads = status.header.is_some_and(|header| header.member == status.leader);
        members.push((!leads, address));
    }
    members.sort();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for (_, address) in members.iter().cycle().take(connections) {
        stores.push(Arc::new(Etcd::at(address).await?));
    }
    Ok(stores)
}

impl Etcd {
    async fn at(address: &str) -> Outcome<Etcd> {
        let address = if address.contains("://") { address.to_string() } else { format!("http://{address}") };
        let failed = |error: tonic::transport::Error| {
            Failure::failed(format!("no etcd answers at {address}: {error}")).next("name one with --etcd HOST:2379")
        };
        let endpoint = Endpoint::from_shared(address.clone()).map_err(failed)?.tcp_nodelay(true);
        Ok(Etcd { grpc: Grpc::new(endpoint.connect().await.map_err(failed)?) })
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Miss>
    where
        Q: prost::Message + Default + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Miss::Failed(error.to_string()))?;
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let reply = grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec).await;
        reply.map(tonic::Response::into_inner).map_err(miss)
    }
}

fn miss(status: Status) -> Miss {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal => {
            Miss::Unknown(status.to_string())
        }
        _ => Miss::Failed(status.to_string()),
    }
}

fn put_request(key: &Key, value: Bytes) -> PutRequest {
    PutRequest { key: key.flat().into(), value }
}

#[async_trait::async_trait]
impl Store for Etcd {
    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Miss> {
        self.call::<_, PutReply>("/etcdserverpb.KV/Put", put_request(key, value)).await.map(drop)
    }

    async fn get(&self, key: &Key) -> Result<bool, Miss> {
        let request = RangeRequest { key: key.flat().into(), ..RangeRequest::default() };
        let reply: RangeReply = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(!reply.items.is_empty())
    }

    async fn put_all(&self, items: &[(Key, Bytes)]) -> Result<(), Miss> {
        let puts = items.iter().map(|(key, value)| RequestOp { put: Some(put_request(key, value.clone())) });
        let request = TxnRequest { compare: Vec::new(), success: puts.collect() };
        self.call::<_, TxnReply>("/etcdserverpb.KV/Txn", request).await.map(drop)
    }

    async fn scan(&self, group: u32, limit: u16) -> Result<usize, Miss> {
        // From the group's slash to what comes after a slash.
        let place = |end: char| format!("bench/{}{end}", group_name(group)).into();
        let request = RangeRequest { key: place('/'), range_end: place('0'), limit: limit.into() };
        let reply: RangeReply = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(reply.items.len())
    }

    async fn swap(&self, key: &Key, value: Bytes) -> Result<bool, Miss> {
        let request = RangeRequest { key: key.flat().into(), ..RangeRequest::default() };
        let reply: RangeReply = self.call("/etcdserverpb.KV/Range", request).await?;
        let seen = reply.items.first().map_or(0, |item| item.mod_revision);
        let unchanged = Compare { result: 0, target: 2, key: key.flat().into(), mod_revision: Some(seen) };
        let put = RequestOp { put: Some(put_request(key, value)) };
        let request = TxnRequest { compare: vec![unchanged], success: vec![put] };
        self.call::<_, TxnReply>("/etcdserverpb.KV/Txn", request).await.map(|reply| reply.succeeded)
    }
}
