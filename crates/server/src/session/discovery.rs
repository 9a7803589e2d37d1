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

/// Where gRPC listens on those machines that answer here for the web. They are asked in the open, so only those that
/// were to be reached so: on this machine, or where a person wrote `http://`. Of an answer the port is believed, and that
/// TLS is spoken there.
pub async fn grpc_addresses(web: &[String]) -> Vec<String> {
    let asked = web.iter().map(|address| async move {
        let address: GatewayAddress = address.parse().ok()?;
        if address.tls() {
            return None;
        }
        let told = tokio::time::timeout(PATIENCE, ask(address.authority())).await.ok()?.ok()?.grpc?;
        let told: GatewayAddress = told.parse().ok()?;
        let (host, (_, port)) = (address.authority().rsplit_once(':')?.0, told.authority().rsplit_once(':')?);
        normal(&GatewayAddress::new(format!("{host}:{port}"), told.tls() && !address.is_here()).to_string()).ok()
    });
    let mut found: Vec<String> = Vec::new();
    for address in futures::future::join_all(asked).await.into_iter().flatten() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Asks a web server that answers so; and whether it was asked.
    async fn found(host: &str, told: &'static str) -> (Vec<String>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let port = listener.local_addr().expect("address").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let body = format!("{{\"grpc\":\"{told}\"}}");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.expect("answer");
        });
        let found = grpc_addresses(&[host.replace("PORT", &port.to_string())]).await;
        let asked = server.is_finished();
        server.abort();
        (found, asked)
    }

    #[tokio::test]
    async fn only_a_port_is_believed_and_only_where_it_was_asked_in_the_open_on_purpose() {
        for (told, address) in [
            ("http://evil.example:7070", "127.0.0.1:7070"),
            ("evil.example:7071", "127.0.0.1:7071"),
            ("127.0.0.1:7072", "127.0.0.1:7072"),
        ] {
            let (found, _) = found("127.0.0.1:PORT", told).await;
            assert_eq!(found, [address], "{told}");
        }
        let (found, asked) = found("https://127.0.0.1:PORT", "http://127.0.0.1:7070").await;
        assert!(found.is_empty() && !asked, "{found:?}");
    }
}
