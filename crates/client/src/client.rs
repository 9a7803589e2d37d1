//! The handle on a cluster, and what keeps its map fresh.

use crate::blobs::Pins;
use crate::link::Link;
use crate::router::Router;
use crate::{ClientConfig, ClientError};
use rpc::Pool;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::AbortHandle;
use types::{Layout, WallMillis};

/// Nodes that are asked for a newer map at the same time: one of them may be frozen, or cut off.
const POLLERS: usize = 2;
/// Between questions that are answered at once.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A cheap handle on a cluster: clone it freely. When the last one goes, its background work ends.
#[derive(Clone)]
pub struct Client {
    pub(crate) router: Arc<Router>,
    pub(crate) pins: Arc<Pins>,
    _pollers: Arc<Pollers>,
}

struct Pollers(Vec<AbortHandle>);

impl Drop for Pollers {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Client {
    /// Connects: fetches the map from one of the addresses, and keeps it fresh from then on.
    /// Must be called within a tokio runtime.
    pub async fn connect(config: ClientConfig) -> Result<Client, ClientError> {
        if config.addresses.is_empty() {
            return Err(ClientError::Invalid("no address of a node was given".into()));
        }
        let credentials = config.credentials.as_gateway(format!("client in process {}", std::process::id()));
        let link = Link::new(Pool::new(rpc::ClientConfig::new(credentials)), config.own.clone());
        let router = Arc::new(Router::new(config, link));
        router.first_layout().await?;
        let turn = Arc::new(AtomicUsize::new(0));
        let pollers = (0..POLLERS)
            .map(|nth| tokio::spawn(keep_fresh(router.clone(), nth, turn.clone())).abort_handle())
            .collect();
        Ok(Client { router, pins: Arc::default(), _pollers: Arc::new(Pollers(pollers)) })
    }

    /// The newest map seen.
    pub fn layout(&self) -> Arc<Layout> {
        self.router.map.current()
    }

    /// This machine's idea of the date.
    pub fn now(&self) -> WallMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallMillis(since.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.router.config)
            .field("layout", &self.router.map.version())
            .finish()
    }
}

/// Asks node after node for a newer map, each time with patience.
async fn keep_fresh(router: Arc<Router>, nth: usize, turn: Arc<AtomicUsize>) {
    let wait = router.config.timeouts.layout_poll;
    loop {
        let layout = router.map.current();
        let nodes = healthy_nodes(&router, &layout);
        if nth >= nodes.len() {
            router.pause_for(layout.version, wait).await;
            continue;
        }
        // One count for all pollers: they ask different nodes.
        let address = &nodes[turn.fetch_add(1, Ordering::Relaxed) % nodes.len()];
        let asked = tokio::time::Instant::now();
        let result = router.poll_layout(address, layout.version, wait, wait + Duration::from_secs(1)).await;
        if let Err(failure) = &result {
            tracing::debug!(%address, %failure, "no news of the layout");
        }
        if !matches!(result, Ok(true)) {
            let pause = POLL_PAUSE.saturating_sub(asked.elapsed());
            router.pause_for(layout.version, pause).await;
        }
    }
}

/// Where news of the map may come from, in an order that stays.
fn healthy_nodes(router: &Router, layout: &Layout) -> Vec<String> {
    let alive = layout.nodes.values().filter(|node| node.alive).map(|node| node.address.clone());
    let healthy: Vec<String> = alive.filter(|address| !router.health.avoided(address)).collect();
    if healthy.is_empty() { router.any_node(layout) } else { healthy }
}
