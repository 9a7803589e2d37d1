//! What a [`Remote`] does when gateways answer, refuse, say nothing, or are not there.

mod calls;
mod reaching;
mod scripted;
mod watching;

use super::{Options, Remote};
use std::time::Duration;

/// Little patience: nothing here takes long by itself.
fn options() -> Options {
    Options {
        connect: Duration::from_secs(2),
        attempt: Duration::from_millis(400),
        total: Duration::from_secs(3),
        refused: Duration::from_millis(200),
        idle: Duration::from_millis(300),
        ..Options::default()
    }
}

async fn connect(addresses: &[&str]) -> Remote {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    Remote::with_options(addresses, Some("a-token".into()), options()).await.unwrap()
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
