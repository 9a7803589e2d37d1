//! From a web address to gRPC's, for people who give `atoll login` what their browser shows.

use super::normal;
use client::remote::GatewayAddress;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// For one address.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
struct Discovery {
    grpc: Option<String>,
}

/// Where gRPC listens on those machines that answer here for the web.
pub async fn grpc_addresses(web: &[String]) -> Vec<String> {
    let asked = web.iter().map(|address| async move {
        let address: GatewayAddress = address.parse().ok()?;
        let told = tokio::time::timeout(PATIENCE, ask(address.authority())).await.ok()?.ok()?.grpc?;
        let told: GatewayAddress = told.parse().ok()?;
        // The machine was reached by this name: by the one that it gives itself, it may not be.
        let (host, (_, port)) = (address.authority().rsplit_once(':')?.0, told.authority().rsplit_once(':')?);
        let by_name = GatewayAddress::new(format!("{host}:{port}"), told.tls() && address.tls());
        Some([normal(&by_name.to_string()).ok()?, normal(&told.to_string()).ok()?])
    });
    let mut found: Vec<String> = Vec::new();
    for address in futures::future::join_all(asked).await.into_iter().flatten().flatten() {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

async fn ask(address: &str) -> io::Result<Discovery> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let exchange = async {
        let request = Request::get("/api/v1/discovery").header("host", address).body(Empty::<Bytes>::new());
        let reply = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let body = Limited::new(reply.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?;
        serde_json::from_slice(&body.to_bytes()).map_err(io::Error::other)
    };
    let carry = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        answer = exchange => answer,
        () = carry => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
