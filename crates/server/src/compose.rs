//! The composition root: a node, its apps and its gateways, put together.
//!
//! **Owns** the order in which the parts start and stop. **Invariants**:
//! gateways take requests only once the cluster has answered, and stop before
//! the node does; the first administrator is made once, whoever asks.
//! **Leaves to others**: everything that the parts do.

use crate::failure::{Failure, Outcome};
use crate::up::https::{self, Https};
use apps::{AccountError, Accounts, Apps, Device};
use bytes::Bytes;
use client::{Client, ClientConfig};
use futures::future::BoxFuture;
use gateways::grpc::{self, GrpcState, LocalBlocks};
use gateways::web::{self, Door, Shown, WebState};
use gateways::{Health, HealthCheck, Metrics, SmtpMailer};
use node::{Backend, Identity, IdentityError, Node, NodeConfig, NodeError};
use rpc::wire::Presence;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use types::{Action, BlockHash, Classify, NodeId};

/// How often a node looks for what drives have to clean up.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often it looks for accounts whose removal has to go on.
/// How often mails are looked for that wait to be sent again, or whose node died.
const MAILS_EVERY: Duration = Duration::from_secs(10);
const REMOVALS_EVERY: Duration = Duration::from_secs(60);
/// How long the node may take to stop once its gateways have.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Everything that a node needs to start. Ports are taken already.
#[derive(Debug)]
pub struct Plan {
    /// Data folder.
    pub data: PathBuf,
    /// Listens for nodes.
    pub node: TcpListener,
    /// Listens for gRPC.
    pub grpc: TcpListener,
    /// Listens for browsers, without TLS.
    pub web: TcpListener,
    /// Who may come in there.
    pub plain: Door,
    /// Listens for browsers, with TLS.
    pub https: Option<Https>,
    /// Listens for S3.
    pub s3: TcpListener,
    /// Names of this service before which a bucket's may stand.
    pub s3_domains: Vec<String>,
    /// How others reach it, and what it offers.
    pub presence: Presence,
    /// Token of the cluster to join.
    pub join: Option<String>,
    /// What keeps the metadata; none: what the folder or the cluster has.
    pub coordination: Option<Backend>,
    /// Whom to make when there is no administrator yet.
    pub first_admin: Option<FirstAdmin>,
    /// Proxies whose word about a caller's address is taken.
    pub proxies: Vec<IpAddr>,
    /// Who may read `/metrics`, beside this machine and administrators.
    pub metrics_from: Vec<IpAddr>,
    /// What `/health` repeats, for whoever started this process.
    pub instance: Option<String>,
}

/// The administrator to make when there is none.
pub struct FirstAdmin {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstAdmin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A running node with its gateways.
pub struct Running {
    /// Secret of the link that makes the first administrator, while there is none.
    pub setup_secret: Option<String>,
    /// Members of the cluster.
    pub nodes: usize,
    /// By which browsers elsewhere reach it.
    pub web_address: String,
    /// Where they find TLS, and the fingerprint of what they are shown.
    pub tls: Option<(u16, String)>,
    /// Fingerprint of the cluster's authority.
    pub authority: String,
    node: Arc<Node>,
    gateways: JoinSet<(&'static str, std::io::Result<()>)>,
    stop: watch::Sender<bool>,
    sweeper: JoinHandle<()>,
    keeper: JoinHandle<()>,
    postman: JoinHandle<()>,
    reader: JoinHandle<()>,
}

/// Blocks of this machine's own disk.
struct OwnBlocks(node::LocalBlocks);

impl LocalBlocks for OwnBlocks {
    fn get(&self, hash: BlockHash) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(self.0.get(hash))
    }
}

/// This program; by way of the kernel when its file was replaced meanwhile.
pub fn program() -> PathBuf {
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| "/proc/self/exe".into())
}

/// Starts everything; returns once requests are taken.
pub async fn start(plan: Plan) -> Outcome<Running> {
    let mut config = NodeConfig::new(&plan.data, plan.presence.clone());
    config.coordination = plan.coordination.clone();
    config.witness = Some(program());
    if let Some(token) = &plan.join {
        // Who has joined needs no token; one that is left in a unit file must not stop a restart.
        let known = Identity::load(&plan.data).map_err(|error| Failure::failed(error.to_string()))?;
        if known.is_none() {
            let token = token
                .parse()
                .map_err(|why: &str| Failure::usage(why).next("make one on a member: atoll cluster join-token"))?;
            config.join = Some(token);
        }
    }
    let node = Node::start(config, listener(plan.node)?).await.map_err(explain)?;
    let node = Arc::new(node);
    let identity = node.identity();
    let key = identity.gateways.clone();
    let ready = async {
        let (client, apps) = open(&node, &identity, &plan.presence.address).await;
        let setup_secret = first_admin(&apps.accounts, plan.first_admin).await?;
        Ok::<_, Failure>((client, apps, setup_secret))
    };
    let (client, apps, setup_secret) = tokio::select! {
        ready = ready => ready?,
        why = node.dismissed() => return Err(Failure::failed(why)),
    };

    apps.accounts.derive_secrets_from(&key.0);

    let (stop, _) = watch::channel(false);
    let mut gateways = JoinSet::new();
    let blocks = Arc::new(OwnBlocks(node.local_blocks()));
    let about = node.clone();
    let health: HealthCheck = Arc::new(move || Health::of_node(about.status()));
    let metrics = Arc::new(Metrics::default());
    let (watched, counts) = (health.clone(), metrics.clone());
    let state = GrpcState::on_node(client.clone(), apps.clone(), &key, identity.node, blocks, watched, counts);
    let unusable = |error: web::TlsFailure| Failure::failed(error.to_string());
    let shown = match &plan.https {
        Some(https) => Some(https::show(https.source.clone(), &node, &plan.data).await?),
        None => None,
    };
    let own = matches!(&plan.https, Some(Https { source: https::Source::Cluster(_), .. }));
    let authority = node.authority_certificate();
    let state = state.certified_by(authority.clone().filter(|_| own).unwrap_or_default());
    let tls = shown.as_ref().map(Shown::acceptor_of_h2).transpose().map_err(unusable)?;
    let plain = matches!(plan.plain, Door::Plain);
    let door = grpc::Door { tls, plain, proxies: plan.proxies.clone() };
    let (grpc, stopped) = (listener(plan.grpc)?, stop_asked(&stop));
    gateways.spawn(async move { ("gRPC", grpc::serve(state, grpc, door, stopped).await) });
    let s3_settings = s3::Settings { domains: plan.s3_domains, proxies: plan.proxies.clone() };
    let s3_port = plan.s3.local_addr().map_err(|error| Failure::io("cannot listen", &error))?.port();
    let settings = web::Settings {
        proxies: plan.proxies,
        s3_port: Some(s3_port),
        metrics_from: plan.metrics_from,
        grpc: Some(plan.presence.grpc.clone()),
        instance: plan.instance,
        ..web::Settings::default()
    };
    let state = WebState::new(client.clone(), apps.clone(), settings, health, metrics);
    let (web, stopped) = (listener(plan.web)?, stop_asked(&stop));
    let (at_plain, plainly) = (plan.plain, state.clone());
    let mut s3_door = s3::Door { tls: None, plain };
    gateways.spawn(async move { ("web", web::serve(plainly, web, at_plain, stopped).await) });
    let tls = match plan.https.zip(shown) {
        None => None,
        Some((Https { listener: port, port: number, .. }, shown)) => {
            s3_door.tls = Some(shown.acceptor().map_err(unusable)?);
            let (fingerprint, door) = (shown.fingerprint(), Door::Tls(shown));
            let (port, stopped) = (listener(port)?, stop_asked(&stop));
            gateways.spawn(async move { ("https", web::serve(state, port, door, stopped).await) });
            Some((number, fingerprint))
        }
    };
    let gateway = s3::Gateway::new(apps.clone(), s3_settings);
    let (port, stopped) = (listener(plan.s3)?, stop_asked(&stop));
    gateways.spawn(async move { ("S3", s3::serve(gateway, port, s3_door, stopped).await) });
    let sweeper = apps.drives.spawn_sweeper(SWEEP_EVERY);
    let keeper = apps.accounts.spawn_keeper(REMOVALS_EVERY);
    apps.accounts.send_by(Arc::new(SmtpMailer::default()));
    let postman = apps.accounts.spawn_postman(MAILS_EVERY);
    let reader = apps.drives.spawn_reader(SWEEP_EVERY);
    let nodes = client.layout().nodes.len();
    let authority = authority.and_then(|pem| client::remote::Shown::of(&pem));
    Ok(Running {
        setup_secret,
        nodes,
        web_address: plan.presence.web,
        tls,
        authority: authority.map_or_else(String::new, |shown| shown.fingerprint),
        node,
        gateways,
        stop,
        sweeper,
        keeper,
        postman,
        reader,
    })
}

fn listener(listener: TcpListener) -> Outcome<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener).map_err(|error| Failure::io("cannot listen", &error))
}

fn stop_asked(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut stop = stop.subscribe();
    async move { drop(stop.wait_for(|stop| *stop).await) }
}

/// The client and the apps; tries until the cluster answers, and says so meanwhile. A node that comes
/// back while most others are away waits here.
async fn open(node: &Node, identity: &Identity, own: &str) -> (Client, Apps) {
    let mut addresses = vec![own.to_string()];
    addresses.extend(identity.contacts.iter().filter(|address| *address != own).cloned());
    let mut tries = 0u32;
    let reader = extract::Program {
        path: program(),
        arguments: vec![crate::READ_DOCUMENT.into()],
        // Address space that its allocator keeps for later counts against what it may have.
        variables: vec![("_RJEM_MALLOC_CONF".into(), "retain:false,narenas:1".into())],
    };
    let drives = apps::drive::Settings { documents: Some(reader), ..Default::default() };
    let settings = apps::Settings { drives, ..Default::default() };
    loop {
        let config = ClientConfig::new(addresses.clone(), node.credentials());
        let opened = async {
            let client = Client::connect(config.local(identity.node).beside(node.own())).await?;
            let apps = Apps::with_store(Arc::new(client.clone()), settings.clone()).await?;
            Ok::<_, client::ClientError>((client, apps))
        };
        match opened.await {
            Ok(opened) => return opened,
            Err(error) if tries.is_multiple_of(20) => tracing::warn!("waiting for the cluster: {error}"),
            Err(error) => tracing::debug!("waiting for the cluster: {error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Makes the first administrator, or the secret of the link that does; neither when there is one.
async fn first_admin(accounts: &Accounts, wanted: Option<FirstAdmin>) -> Outcome<Option<String>> {
    let failed = |error: AccountError| Failure::failed(format!("the first administrator cannot be made: {error}"));
    loop {
        match try_first_admin(accounts, wanted.as_ref()).await {
            Ok(secret) => return Ok(secret),
            Err(error @ (AccountError::BadName { .. } | AccountError::BadPassword { .. })) => {
                return Err(failed(error)
                    .safe("no account was made")
                    .next("choose another with --admin-user NAME and ATOLL_ADMIN_PASSWORD"));
            }
            Err(error) if error.action() == Action::Rejected => return Err(failed(error)),
            // Most of the cluster is away: a node that comes back alone waits for it.
            Err(error) => tracing::warn!("waiting for the cluster: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn try_first_admin(accounts: &Accounts, wanted: Option<&FirstAdmin>) -> Result<Option<String>, AccountError> {
    // Whoever is first to make one wins; for everybody else there is one.
    let secret = match accounts.make_setup_secret().await {
        Err(AccountError::SetupDone) => return Ok(None),
        secret => secret?,
    };
    let Some(FirstAdmin { name, password }) = wanted else { return Ok(Some(secret)) };
    match accounts.complete_setup(&secret, name, password, Device::default()).await {
        Err(AccountError::SetupDone) => Ok(None),
        // Only the account was wanted: a session that nobody knows of runs out by itself, if need be.
        session => accounts.sign_out(session?.token.as_str()).await.map(|()| None),
    }
}

fn explain(error: NodeError) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error {
        NodeError::Join(_) => failure.safe("neither this machine nor the cluster was changed").next(
            "make a new token on a member: atoll cluster join-token; check that this machine reaches its port 7071",
        ),
        NodeError::Storage { .. }
        | NodeError::NoCertificate(_)
        | NodeError::Certificate(_)
        | NodeError::Identity(IdentityError::Unreadable { .. } | IdentityError::Io { .. })
        | NodeError::Control(_) => failure
            .safe("this node has not started, and changed nothing; the other machines' copies are not touched")
            .next(
                "look at the disk, and put back what is damaged if you can. If you can't: move the data folder \
                     away; on a member `atoll cluster drain` and `remove` this node, and `atoll cluster join-token`; \
                     then `atoll up --join TOKEN` here",
            ),
        NodeError::Coordination(_) => failure.safe("neither this machine nor the cluster was changed"),
        _ => failure,
    }
}

impl Running {
    /// Its number in the cluster.
    pub fn id(&self) -> NodeId {
        self.node.identity().node
    }

    /// Ends when a gateway has stopped by itself, when the node takes no more, or when it was removed from its
    /// cluster.
    pub async fn failed(&mut self) -> Failure {
        let ended = tokio::select! {
            biased;
            why = self.node.dismissed() => return Failure::failed(why),
            ended = self.gateways.join_next() => ended,
            why = self.node.broken() => {
                return Failure::failed(format!("this node takes no more: {why}"))
                    .safe("what was acknowledged is on the other machines, and here")
                    .next("start it again; if it ends again at once, look at its disk");
            }
        };
        match ended {
            Some(Ok((name, Err(error)))) => Failure::failed(format!("the {name} gateway stopped: {error}")),
            Some(Ok((name, Ok(())))) => Failure::failed(format!("the {name} gateway stopped")),
            Some(Err(error)) => Failure::failed(format!("a gateway failed: {error}")),
            None => std::future::pending().await,
        }
    }

    /// Stops: requests under way end, then the node gives up its lease and closes its files.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.gateways.join_next().await.is_some() {}
        self.sweeper.abort();
        let _ = (&mut self.sweeper).await;
        self.reader.abort();
        let _ = (&mut self.reader).await;
        self.keeper.abort();
        let _ = (&mut self.keeper).await;
        self.postman.abort();
        let _ = (&mut self.postman).await;
        // The gateways' health check held the other handle, and has gone with them.
        let Some(node) = Arc::into_inner(self.node) else {
            return tracing::warn!("requests are still under way: stopping without waiting for them");
        };
        if tokio::time::timeout(STOP_WITHIN, node.shutdown()).await.is_err() {
            tracing::warn!("the node did not stop in time; what was acknowledged is safe all the same");
        }
    }
}
