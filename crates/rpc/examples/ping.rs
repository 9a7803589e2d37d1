//! Empty calls per second, callers and server in this process, over loopback TCP:
//! `cargo run --release -p atoll-rpc --example ping [seconds] [callers] [reply bytes]`

use atoll_rpc::tls::{Authority, Validity};
use atoll_rpc::{Body, ClientConfig, Credentials, Handler, Peer, Pool, RpcError, Server, ServerConfig, Status};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Replies with these bytes, whatever is asked.
struct Pong(Bytes);

impl Handler for Pong {
    fn call(&self, _from: &Peer, _method: u16, _body: Bytes) -> BoxFuture<'static, Result<Body, Status>> {
        let reply = self.0.clone();
        Box::pin(async move { Ok(reply.into()) })
    }
    fn notify(&self, _from: &Peer, _method: u16, _body: Bytes) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let seconds = arguments.next().transpose()?.unwrap_or(3);
    let callers = arguments.next().transpose()?.unwrap_or(64);
    let reply = arguments.next().transpose()?.unwrap_or(0) as usize;

    let authority = Authority::new(types::ClusterId(1))?;
    let me = Peer::node(types::ReplicaId { node: types::NodeId(1), incarnation: types::Incarnation(1) }, "ping");
    let credentials = Credentials::issued(&authority, me, Validity::from_now(Duration::from_secs(3600)))?;
    let pong = Arc::new(Pong(vec![0; reply].into()));
    let server = Server::bind("127.0.0.1:0", ServerConfig::new(credentials.clone()), pong).await?;
    let address = server.local_addr().to_string();
    let pool = Pool::new(ClientConfig::new(credentials));

    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let calling = (0..callers).map(|_| {
        let (pool, address) = (pool.clone(), address.clone());
        tokio::spawn(async move {
            let mut count = 0u64;
            while Instant::now() < end {
                pool.call(&address, 1, Bytes::new(), Duration::from_secs(5)).await?;
                count += 1;
            }
            Ok::<u64, RpcError>(count)
        })
    });
    let mut calls = 0;
    for caller in calling.collect::<Vec<_>>() {
        calls += caller.await??;
    }
    let rate = calls as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} calls/s, {:.1} MB/s, {callers} callers", rate * reply as f64 / 1e6);
    Ok(())
}
