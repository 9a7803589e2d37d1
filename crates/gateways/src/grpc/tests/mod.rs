//! The gateway on real sockets, with `client::remote` as the caller and a cluster in memory behind it.

mod access;
mod files;
mod items;
mod life;
mod memory;
mod shared;

use super::{Door, GrpcState, serve};
use apps::{Apps, Device, NewUser, Role, Settings};
use client::ClusterKey;
use client::remote::{Options, Remote};
use memory::Memory;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const KEY: ClusterKey = ClusterKey([42; 32]);
const PASSWORD: &str = "a long enough password";

/// A cluster with some gateways, and two people.
struct World {
    memory: Memory,
    apps: Apps,
    gateways: Vec<Gateway>,
}

struct Gateway {
    address: String,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

/// Patient enough for a busy machine, and not more.
fn options() -> Options {
    Options { total: Duration::from_secs(10), refused: Duration::from_millis(300), ..Options::default() }
}

impl World {
    async fn new(gateways: usize) -> World {
        let memory = Memory::new();
        let apps = Apps::with_store(Arc::new(memory.clone()), Settings::default()).await.unwrap();
        let secret = apps.accounts.make_setup_secret().await.unwrap();
        let session = apps.accounts.complete_setup(&secret, "ada", PASSWORD, Device::default()).await.unwrap();
        let (name, display) = ("ben".to_string(), "Ben".to_string());
        let new = NewUser { name, display, password: PASSWORD.into(), role: Role::User, quota: None };
        apps.accounts.create_user(&session.user, new).await.unwrap();
        let mut world = World { memory, apps, gateways: vec![] };
        for _ in 0..gateways {
            world.add_gateway().await;
        }
        world
    }

    fn state(&self) -> GrpcState {
        GrpcState::with_backend(Arc::new(self.memory.clone()), self.apps.clone(), &KEY, None)
    }

    async fn add_gateway(&mut self) {
        let state = self.state();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(state, listener, Door::open(), stop.clone().cancelled_owned()));
        self.gateways.push(Gateway { address, stop, serving });
        let addresses: Vec<String> = self.gateways.iter().map(|gateway| gateway.address.clone()).collect();
        self.memory.set_gateways(&addresses);
    }

    fn addresses(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.address.clone()).collect()
    }

    async fn stranger(&self) -> Remote {
        Remote::with_options(self.addresses(), None, options()).await.unwrap()
    }

    async fn signed_in(&self, name: &str) -> Remote {
        let remote = self.stranger().await;
        remote.sign_in(name, PASSWORD, "a test").await.unwrap();
        remote
    }

    /// The administrator.
    async fn ada(&self) -> Remote {
        self.signed_in("ada").await
    }

    /// Somebody else.
    async fn ben(&self) -> Remote {
        self.signed_in("ben").await
    }
}
