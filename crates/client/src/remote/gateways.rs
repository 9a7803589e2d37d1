//! The gateways that are known, and the connection to each.
//!
//! Connections are made by hand rather than lazily by the transport, so that a
//! failure to connect is told apart from a call that was lost on its way. Each
//! begins with a hello, which shows no token: it tells whether this is the
//! cluster that is meant, and whether the gateway lives and can serve.

use super::{GatewayAddress, Options, RemoteError, Trust};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::RwLock;
use rpc::grpc::v1::{HelloRequest, accounts_client::AccountsClient};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};
use types::ClusterId;

/// Gateways remembered at most: clusters are smaller.
const GATEWAYS_MAX: usize = 256;
/// A connection that was silent for longer is greeted again before it is used: its machine may be frozen.
const FRESH: Duration = Duration::from_secs(1);

/// All gateways that are known; the given ones first, then those heard of.
pub(super) struct Gateways {
    known: RwLock<Vec<Arc<Gateway>>>,
    /// Index of the one that answered last.
    preferred: AtomicUsize,
    /// Where the members' gateways are, as was heard last; empty: nothing was heard.
    members: RwLock<Vec<String>>,
    options: Options,
    trust: Trust,
    /// Over TLS to the given ones: to none that is heard of without it.
    tls: bool,
    /// A given one is on this machine: only then is a told one that is "here".
    here: bool,
    /// The cluster that all of them must belong to; if nobody said, the first that answers decides.
    cluster: Arc<OnceLock<ClusterId>>,
}

/// One gateway.
pub(super) struct Gateway {
    /// As it is written down.
    address: String,
    at: GatewayAddress,
    trust: Trust,
    endpoint: Endpoint,
    slot: Mutex<Slot>,
    avoid: Duration,
    connect: Duration,
    cluster: Arc<OnceLock<ClusterId>>,
    /// Kept beside the slot, which is locked while a connection is being made.
    failed: parking_lot::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Slot {
    channel: Option<Channel>,
    generation: u64,
    /// When it was last known to live.
    heard: Option<Instant>,
}

/// Why there is no connection to use. Nothing was sent by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoLink {
    /// Nobody answers there.
    Silent(String),
    /// Another cluster does.
    Foreign,
    /// It says that it cannot serve now.
    Idle(String),
}

impl NoLink {
    pub(super) fn why(&self) -> &str {
        match self {
            NoLink::Silent(why) | NoLink::Idle(why) => why,
            NoLink::Foreign => "another cluster answers there",
        }
    }
}

/// A connection, and which one it is.
pub(super) struct Link {
    pub channel: Channel,
    generation: u64,
    /// The gateway said that it can serve.
    pub serving: bool,
}

impl Gateways {
    /// The addresses must be readable; whether somebody answers there is seen later.
    pub(super) fn new(
        addresses: &[String],
        trust: Trust,
        cluster: Option<ClusterId>,
        options: Options,
    ) -> Result<Gateways, RemoteError> {
        if addresses.is_empty() {
            return Err(RemoteError::Invalid("no gateway's address was given".into()));
        }
        let cluster = Arc::new(cluster.map_or_else(OnceLock::new, OnceLock::from));
        let made = |address: &String| Gateway::new(address, &trust, options, cluster.clone());
        let known = addresses.iter().take(GATEWAYS_MAX).map(made).collect::<Result<Vec<_>, _>>()?;
        let given = || known.iter().map(|gateway| &gateway.at);
        let (tls, here) = (given().any(GatewayAddress::tls), given().any(GatewayAddress::is_here));
        let (known, members) = (RwLock::new(known), RwLock::default());
        Ok(Gateways { known, preferred: AtomicUsize::new(0), members, options, trust, tls, here, cluster })
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The cluster that they belong to, once it is known.
    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.cluster.get().copied()
    }

    /// The addresses to be remembered, the preferred one first: once the members' are known, no others than those.
    pub(super) fn addresses(&self) -> Vec<String> {
        let members = self.members.read();
        let all = (0..self.count()).map(|n| (n, self.at(n).address().to_string()));
        let good = all.filter(|(n, address)| *n == 0 || members.is_empty() || members.contains(address));
        good.map(|(_, address)| address).collect()
    }

    /// The one that answered last.
    pub(super) fn preferred(&self) -> Arc<Gateway> {
        self.at(0)
    }

    /// The `n`-th to try, counted from the preferred one.
    pub(super) fn at(&self, n: usize) -> Arc<Gateway> {
        let known = self.known.read();
        let index = self.preferred.load(Ordering::Relaxed).wrapping_add(n) % known.len();
        known[index].clone()
    }

    /// How many there are to try.
    pub(super) fn count(&self) -> usize {
        self.known.read().len()
    }

    /// Calls go to this one from now on.
    pub(super) fn prefer(&self, gateway: &Arc<Gateway>) {
        if let Some(index) = self.known.read().iter().position(|known| Arc::ptr_eq(known, gateway)) {
            self.preferred.store(index, Ordering::Relaxed);
        }
    }

    /// Somebody said that the members' gateways are there. Unreadable addresses are passed over.
    pub(super) fn heard_of(&self, addresses: impl IntoIterator<Item = String>) {
        if !self.options.roam {
            return;
        }
        let members = addresses.into_iter().filter_map(|address| self.named(&address));
        let members: Vec<String> = members.map(|gateway| gateway.address.clone()).collect();
        if !members.is_empty() {
            *self.members.write() = members;
        }
    }

    /// The gateway with that address; none when it cannot be read, is not to be gone to, or there are too many.
    pub(super) fn named(&self, address: &str) -> Option<Arc<Gateway>> {
        let at: GatewayAddress = address.parse().ok()?;
        let find = |known: &[Arc<Gateway>]| known.iter().find(|gateway| gateway.at == at).cloned();
        if let Some(gateway) = find(&self.known.read()) {
            return Some(gateway);
        }
        // A cluster's word must not lead a token into the open, nor to whoever listens on this machine.
        if (self.tls && !at.tls()) || (at.is_here() && !self.here) {
            return None;
        }
        let made = Gateway::new(address, &self.trust, self.options, self.cluster.clone()).ok()?;
        let mut known = self.known.write();
        if let Some(gateway) = find(&known) {
            return Some(gateway);
        }
        if known.len() >= GATEWAYS_MAX {
            return None;
        }
        known.push(made.clone());
        Some(made)
    }
}

impl Gateway {
    fn new(
        address: &str,
        trust: &Trust,
        options: Options,
        cluster: Arc<OnceLock<ClusterId>>,
    ) -> Result<Arc<Gateway>, RemoteError> {
        let invalid = |why: &str| RemoteError::Invalid(format!("{address:?} is not the address of a gateway: {why}"));
        let at: GatewayAddress = address.parse()?;
        // TLS is made below the transport.
        let endpoint = Endpoint::from_shared(format!("http://{}", at.authority()))
            .map_err(|error| invalid(&error.to_string()))?
            .connect_timeout(options.connect)
            .tcp_nodelay(true)
            // A machine that has stopped without closing its connections is
            // noticed by this, not by the time-out of each call.
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(3))
            .initial_stream_window_size(2 * 1024 * 1024)
            .initial_connection_window_size(16 * 1024 * 1024)
            .user_agent(concat!("atoll/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| invalid(&error.to_string()))?;
        Ok(Arc::new(Gateway {
            address: at.to_string(),
            at,
            trust: trust.clone(),
            endpoint,
            slot: Mutex::default(),
            avoid: options.avoid,
            connect: options.connect,
            cluster,
            failed: parking_lot::Mutex::new(None),
        }))
    }

    /// Connects, and shakes hands where TLS is spoken.
    async fn dial(&self) -> Result<Channel, tonic::transport::Error> {
        if !self.at.tls() {
            return self.endpoint.connect().await;
        }
        let (trust, at) = (self.trust.clone(), self.at.clone());
        let connector = tower::service_fn(move |_| {
            let (trust, at) = (trust.clone(), at.clone());
            async move { trust.connect(&at).await }
        });
        self.endpoint.connect_with_connector(connector).await
    }

    /// What is said to it, nobody else hears.
    pub(super) fn is_private(&self) -> bool {
        self.at.is_private()
    }

    /// As it is written down.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// It failed a moment ago: others first.
    pub(super) fn is_avoided(&self) -> bool {
        self.failed.lock().is_some_and(|at| at.elapsed() < self.avoid)
    }

    /// The connection, made if need be, to a gateway that lives, serves, and is the right cluster's. Callers who
    /// come while it is being made wait for it.
    pub(super) async fn link(&self) -> Result<Link, NoLink> {
        let mut slot = self.slot.lock().await;
        let held = slot.channel.clone();
        if let (Some(channel), Some(true)) = (&held, slot.heard.map(|at| at.elapsed() < FRESH)) {
            return Ok(Link { channel: channel.clone(), generation: slot.generation, serving: true });
        }
        let made = async {
            let channel = match held {
                Some(channel) => channel,
                None => self.dial().await.map_err(|error| NoLink::Silent(innermost(&error)))?,
            };
            self.greet(channel.clone()).await.map(|()| channel)
        };
        let made = tokio::time::timeout(self.connect, made).await;
        match made.unwrap_or_else(|_| Err(NoLink::Silent("it does not answer".into()))) {
            Ok(channel) => {
                if slot.channel.is_none() {
                    slot.generation += 1;
                    slot.channel = Some(channel.clone());
                }
                slot.heard = Some(Instant::now());
                *self.failed.lock() = None;
                Ok(Link { channel, generation: slot.generation, serving: true })
            }
            Err(why) => {
                // A connection that carries no answer is none; one that says "not now" would do again.
                slot.channel = None;
                self.fails();
                Err(why)
            }
        }
    }

    /// Asks who it is.
    async fn greet(&self, channel: Channel) -> Result<(), NoLink> {
        let hello = AccountsClient::new(channel).hello(HelloRequest {}).await;
        let hello = hello.map_err(|status| match std::error::Error::source(&status) {
            Some(source) => NoLink::Silent(innermost(source)),
            // Something of gRPC that knows no hello.
            None => NoLink::Silent("it is no gateway of this release".into()),
        })?;
        let hello = hello.into_inner();
        let theirs = u128::from_str_radix(&hello.cluster, 16).map(ClusterId).map_err(|_| NoLink::Foreign)?;
        if *self.cluster.get_or_init(|| theirs) != theirs {
            return Err(NoLink::Foreign);
        }
        if hello.serving { Ok(()) } else { Err(NoLink::Idle(hello.why)) }
    }

    /// A connection for what a gateway answers that cannot serve: how things are, as far as it knows.
    async fn look(&self) -> Option<Link> {
        let made = async {
            let channel = self.dial().await.ok()?;
            match self.greet(channel.clone()).await {
                Ok(()) | Err(NoLink::Idle(_)) => Some(Link { channel, generation: 0, serving: false }),
                Err(_) => None,
            }
        };
        tokio::time::timeout(self.connect, made).await.ok().flatten()
    }

    /// Others first, for a while.
    pub(super) fn fails(&self) {
        *self.failed.lock() = Some(Instant::now());
    }

    /// That connection does not work: the next call makes another.
    pub(super) async fn broken(&self, link: &Link) {
        self.fails();
        let mut slot = self.slot.lock().await;
        if slot.generation == link.generation {
            slot.channel = None;
        }
    }

    /// An answer came from it.
    pub(super) fn answered(&self) {
        *self.failed.lock() = None;
        // Whoever makes a connection just now knows it better.
        if let Ok(mut slot) = self.slot.try_lock() {
            slot.heard = Some(Instant::now());
        }
    }
}

/// The first of these gateways that has a connection to use: the next is asked as well as soon as one fails, or is
/// silent for `hedge`. If none has, why not, for each.
pub(super) async fn reach(
    gateways: &[Arc<Gateway>],
    hedge: Duration,
) -> Result<(Arc<Gateway>, Link), Vec<(String, NoLink)>> {
    let ask = |gateway: &Arc<Gateway>| {
        let gateway = gateway.clone();
        async move { (gateway.clone(), gateway.link().await) }
    };
    let mut waiting = gateways.iter();
    let mut under_way = FuturesUnordered::new();
    let mut asked: Vec<Arc<Gateway>> = Vec::new();
    let mut failed = Vec::new();
    loop {
        if under_way.is_empty() {
            let Some(gateway) = waiting.next() else { return Err(failed) };
            asked.push(gateway.clone());
            under_way.push(ask(gateway));
        }
        tokio::select! {
            Some((gateway, made)) = under_way.next() => match made {
                Ok(link) => {
                    // Those that were asked before and are silent yet: others first, for a while.
                    let slow = |other: &&Arc<Gateway>| !Arc::ptr_eq(other, &gateway);
                    asked.iter().take_while(slow).for_each(|other| other.fails());
                    return Ok((gateway, link));
                }
                Err(why) => {
                    failed.push((gateway.address().to_string(), why));
                    if let Some(gateway) = waiting.next() {
                        asked.push(gateway.clone());
                        under_way.push(ask(gateway));
                    }
                }
            },
            () = tokio::time::sleep(hedge), if waiting.len() > 0 => {
                if let Some(gateway) = waiting.next() {
                    asked.push(gateway.clone());
                    under_way.push(ask(gateway));
                }
            }
        }
    }
}

/// Of gateways that [`reach`] found none to use of, one that answers although it cannot serve.
pub(super) async fn look(
    gateways: &[Arc<Gateway>],
    why: Vec<(String, NoLink)>,
) -> Result<(Arc<Gateway>, Link), Vec<(String, NoLink)>> {
    let idle = |gateway: &&Arc<Gateway>| {
        why.iter().any(|(address, why)| address == gateway.address() && matches!(why, NoLink::Idle(_)))
    };
    for gateway in gateways.iter().filter(idle) {
        if let Some(link) = gateway.look().await {
            return Ok((gateway.clone(), link));
        }
    }
    Err(why)
}

/// What an error is about in the end: "connection refused", not "transport error".
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn gateways(addresses: &[&str]) -> Result<Gateways, RemoteError> {
        Gateways::new(
            &addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Trust::system().unwrap(),
            None,
            Options::default(),
        )
    }

    #[tokio::test]
    async fn addresses_are_read_with_and_without_a_scheme() {
        let known = gateways(&["a:7070", "http://b:7071/"]).unwrap();
        assert_eq!((known.at(0).address(), known.at(1).address()), ("a:7070", "http://b:7071"));
        for wrong in ["", "a", "ftp://a:7070", "a b:7070"] {
            assert!(matches!(gateways(&[wrong]), Err(RemoteError::Invalid(_))), "{wrong:?}");
        }
        assert!(matches!(gateways(&[]), Err(RemoteError::Invalid(_))));
    }

    #[tokio::test]
    async fn those_heard_of_are_tried_after_those_given() {
        let known = gateways(&["a:1", "b:2"]).unwrap();
        known.heard_of(["b:2".to_string(), "c:3".to_string(), "nonsense".to_string()]);
        assert_eq!(known.count(), 3);
        known.prefer(&known.at(2));
        let order: Vec<_> = (0..3).map(|n| known.at(n).address().to_string()).collect();
        assert_eq!(order, ["c:3", "a:1", "b:2"]);
    }

    #[tokio::test]
    async fn nobody_who_is_told_of_leads_into_the_open_or_to_this_machine() {
        let told = ["http://b:2", "127.0.0.1:3", "localhost:4", "http://[::1]:5", "c:6"].map(str::to_string);
        let heard = |given: &[&str]| {
            let known = gateways(given).unwrap();
            known.heard_of(told.clone());
            (given.len()..known.count()).map(|n| known.at(n).address().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(heard(&["a:1"]), ["c:6"], "over TLS to the given one");
        assert_eq!(heard(&["http://a:1"]), ["http://b:2", "c:6"], "a person wanted none");
        assert_eq!(heard(&["127.0.0.1:1"]), ["http://b:2", "127.0.0.1:3", "localhost:4", "[::1]:5", "c:6"]);
    }

    #[tokio::test]
    async fn only_those_given_are_tried_where_that_is_wanted() {
        let options = Options { roam: false, ..Options::default() };
        let known = Gateways::new(&["a:1".to_string()], Trust::system().unwrap(), None, options).expect("an address");
        known.heard_of(["b:2".to_string()]);
        assert_eq!(known.addresses(), ["a:1"]);
    }

    #[tokio::test]
    async fn those_that_are_no_members_any_more_are_not_remembered() {
        let known = gateways(&["removed:1", "proxy:2", "b:3"]).unwrap();
        known.prefer(&known.at(1));
        assert_eq!(known.addresses(), ["proxy:2", "b:3", "removed:1"]);
        known.heard_of(["b:3".to_string(), "c:4".to_string()]);
        assert_eq!(known.addresses(), ["proxy:2", "b:3", "c:4"], "the one that answers, and the members");
        known.heard_of([]);
        assert_eq!(known.addresses().len(), 3, "nothing was heard");
    }

    #[tokio::test]
    async fn there_is_an_end_to_those_heard_of() {
        let known = gateways(&["a:1"]).unwrap();
        known.heard_of((1..2000).map(|port| format!("b:{port}")));
        assert_eq!(known.count(), GATEWAYS_MAX);
    }
}
