//! An etcd under the same load: the two calls of `etcdserverpb.KV` that it
//! takes, with their messages declared by hand. Field numbers are etcd's.

use super::{Miss, Target};
use crate::failure::{Failure, Outcome};
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

/// Without more said, one key, linearizably.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: bytes::Bytes,
}

/// The items, unread, and their number.
#[derive(Clone, PartialEq, prost::Message)]
struct RangeReply {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<bytes::Bytes>,
    #[prost(int64, tag = "4")]
    count: i64,
}

struct Etcd {
    grpc: Grpc<Channel>,
}

/// Connections, spread over the members.
pub async fn connect(addresses: &[String], connections: usize) -> Outcome<Vec<Arc<dyn Target>>> {
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for address in addresses.iter().cycle().take(connections) {
        let address = if address.contains("://") { address.clone() } else { format!("http://{address}") };
        let failed = |error: tonic::transport::Error| {
            Failure::failed(format!("no etcd answers at {address}: {error}")).next("name one with --etcd HOST:2379")
        };
        let endpoint = Endpoint::from_shared(address.clone()).map_err(failed)?.tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(failed)?;
        targets.push(Arc::new(Etcd { grpc: Grpc::new(channel) }));
    }
    Ok(targets)
}

impl Etcd {
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

#[async_trait::async_trait]
impl Target for Etcd {
    async fn put(&self, key: &str, value: &[u8]) -> Result<(), Miss> {
        let request = PutRequest {
            key: bytes::Bytes::copy_from_slice(key.as_bytes()),
            value: bytes::Bytes::copy_from_slice(value),
        };
        self.call::<_, PutReply>("/etcdserverpb.KV/Put", request).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<bool, Miss> {
        let request = RangeRequest { key: bytes::Bytes::copy_from_slice(key.as_bytes()) };
        let reply: RangeReply = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(reply.count > 0)
    }
}
