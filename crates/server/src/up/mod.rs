//! `atoll up`: one node with every service.
//!
//! **Owns** the flags, the folder's lock, the ports, the words at the start, and
//! the clean stop. **Invariants**: nothing is written before the lock is held
//! and all ports are taken; a stop asked for by SIGTERM, Ctrl-C or a vanished
//! parent is clean. **Leaves to others**: the node and its gateways ([`crate::compose`]).

mod banner;
pub mod https;
mod signals;

pub use signals::stop_asked;

use crate::compose::{self, FirstAdmin, Plan};
use crate::failure::{Failure, Outcome};
use crate::{cli, lock, ports};
use clap::Args;
use client::remote::GatewayAddress;
use gateways::web::Door;
use node::Backend;
use rpc::wire::Presence;
use std::net::IpAddr;
use std::path::PathBuf;

/// Name of the lock in a data folder.
pub const LOCK: &str = "lock";

/// Start a node on this machine, with every service
#[derive(Args, Debug, Clone)]
#[command(after_help = "Examples:
  atoll up                                  a cluster of one; its data goes to ./atoll-data
  atoll up --data /srv/atoll --zone hall-a  the same, with the data's and the machine's place
  atoll up --join TOKEN                     one more machine for the cluster that made TOKEN
                                            (there: atoll cluster join-token)
  atoll up --coordination zookeeper://zk1:2181,zk2:2181,zk3:2181/atoll
                                            a cluster that keeps its metadata in that ensemble

The node stops cleanly on Ctrl-C or SIGTERM, and may be killed at any time: what was
acknowledged stays.")]
pub struct UpArgs {
    /// Folder for everything that must last
    #[arg(long, env = "ATOLL_DATA", value_name = "DIR", default_value = "./atoll-data")]
    pub data: PathBuf,
    /// Join a cluster, by the token that `atoll cluster join-token` prints there. Ignored once joined
    #[arg(long, env = "ATOLL_JOIN", value_name = "TOKEN", hide_env_values = true)]
    pub join: Option<String>,
    /// What keeps the cluster's metadata: raft (the nodes themselves), or zookeeper://host:port,…/path, an
    /// ensemble that is there already. Chosen when the cluster is made; other nodes and restarts know it
    #[arg(long, env = "ATOLL_COORDINATION", value_name = "WHERE")]
    pub coordination: Option<Backend>,
    /// Address to listen on; 0.0.0.0 is all of this machine's
    #[arg(long, env = "ATOLL_LISTEN", value_name = "IP", default_value = "0.0.0.0")]
    pub listen: IpAddr,
    /// Port for browsers on this machine and for proxies (and /health, /metrics for all)
    #[arg(long, env = "ATOLL_WEB_PORT", value_name = "PORT", default_value = "8080", value_parser = cli::port)]
    pub web_port: u16,
    /// Port for browsers on other machines, encrypted [default: 8443, unless only this machine is listened to]
    #[arg(long, env = "ATOLL_HTTPS_PORT", value_name = "PORT", value_parser = cli::port)]
    pub https_port: Option<u16>,
    /// Certificate to show to browsers and programs, with those that sign it (PEM); read again when it changes [default: one
    /// that the cluster makes]
    #[arg(long, env = "ATOLL_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// That certificate's private key (PEM)
    #[arg(long, env = "ATOLL_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Answer browsers and programs on other machines without encryption: on a network that you trust
    #[arg(long, env = "ATOLL_PLAIN_HTTP")]
    pub plain_http: bool,
    /// Port for gRPC: this command line, and other programs (plain for this machine, encrypted for others)
    #[arg(long, env = "ATOLL_GRPC_PORT", value_name = "PORT", default_value = "7070", value_parser = cli::port)]
    pub grpc_port: u16,
    /// Port for S3 (plain for this machine, encrypted for others)
    #[arg(long, env = "ATOLL_S3_PORT", value_name = "PORT", default_value = "9000", value_parser = cli::port)]
    pub s3_port: u16,
    /// Name of the S3 service, for buckets that are named before it (bucket.NAME); several by commas
    #[arg(long, env = "ATOLL_S3_DOMAIN", value_name = "NAME", value_delimiter = ',')]
    pub s3_domain: Vec<String>,
    /// Port for the other nodes
    #[arg(long, env = "ATOLL_NODE_PORT", value_name = "PORT", default_value = "7071", value_parser = cli::port)]
    pub node_port: u16,
    /// Host name or address by which other machines reach this one [default: found out]
    #[arg(long, env = "ATOLL_ADVERTISE", value_name = "HOST")]
    pub advertise: Option<String>,
    /// What fails together with this machine: a rack, a room; replicas go to different zones
    #[arg(long, env = "ATOLL_ZONE", value_name = "NAME", default_value = "")]
    pub zone: String,
    /// This machine's share of the data, relative to others
    #[arg(long, env = "ATOLL_CAPACITY", value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub capacity: u64,
    /// Make this administrator, rather than print a set-up link, when the cluster has none yet
    #[arg(long, env = "ATOLL_ADMIN_USER", value_name = "NAME", requires = "admin_password")]
    pub admin_user: Option<String>,
    /// That administrator's password. Better as a variable than as a flag: others can see flags
    #[arg(long, env = "ATOLL_ADMIN_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub admin_password: Option<String>,
    /// Address of a proxy in front of this node, whose X-Forwarded-For is believed
    #[arg(long, env = "ATOLL_TRUST_PROXY", value_name = "IP", value_delimiter = ',')]
    pub trust_proxy: Vec<IpAddr>,
    /// Address from which Prometheus may read /metrics, beside this machine; administrators may from anywhere
    #[arg(long, env = "ATOLL_METRICS_FROM", value_name = "IP", value_delimiter = ',')]
    pub metrics_from: Vec<IpAddr>,
    /// What /health repeats, so that a supervisor knows its own child
    #[arg(long, env = "ATOLL_INSTANCE", hide = true)]
    pub instance: Option<String>,
    /// Stop when standard input closes: for supervisors, whose children must not outlive them
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// Runs a node until it is told to stop.
pub async fn run(args: UpArgs) -> Outcome {
    let stop = stop_asked(args.exit_with_parent)?;
    let data = std::path::absolute(&args.data).map_err(|error| Failure::io("cannot tell the data folder", &error))?;
    let _held = lock::take(&data, LOCK)?.map_err(|holder| {
        Failure::failed(format!("{} has the data folder {} open", holder.describe(), data.display()))
            .safe("nothing was started or changed")
            .next("stop that one first, or give this one a folder of its own with --data DIR")
    })?;
    let node = ports::claim(args.listen, args.node_port, "--node-port")?;
    let grpc = ports::claim(args.listen, args.grpc_port, "--grpc-port")?;
    let web = ports::claim(args.listen, args.web_port, "--web-port")?;
    let s3 = ports::claim(args.listen, args.s3_port, "--s3-port")?;
    let advertise = args.advertise.clone().unwrap_or_else(|| ports::own_address(args.listen).to_string());
    let (https, plain) = https::claim(&args, &advertise)?;
    let tls = !matches!(plain, Door::Plain);
    let pages = match &https {
        Some(https) if tls => format!("https://{}", ports::join(&advertise, https.port)),
        _ => ports::join(&advertise, args.web_port),
    };
    let grpc_address = GatewayAddress::new(ports::join(&advertise, args.grpc_port), tls);
    let plan = Plan {
        data: data.clone(),
        https,
        plain,
        node,
        grpc,
        web,
        s3,
        s3_domains: args.s3_domain.clone(),
        presence: Presence {
            address: ports::join(&advertise, args.node_port),
            grpc: grpc_address.to_string(),
            web: pages,
            zone: args.zone.clone(),
            capacity: args.capacity,
            release: env!("CARGO_PKG_VERSION").to_string(),
            protocols: rpc::PROTOCOLS,
        },
        join: args.join.clone(),
        coordination: args.coordination.clone(),
        first_admin: args
            .admin_user
            .clone()
            .zip(args.admin_password.clone())
            .map(|(name, password)| FirstAdmin { name, password }),
        proxies: args.trust_proxy.clone(),
        metrics_from: args.metrics_from.clone(),
        instance: args.instance.clone(),
    };
    let mut stop = stop;
    let mut running = tokio::select! {
        running = compose::start(plan) => running?,
        why = &mut stop => {
            tracing::info!("stopped while starting: {why}");
            return Ok(());
        }
    };
    banner::print(&args, &data, &running)?;
    let why = tokio::select! {
        why = &mut stop => Ok(why),
        failure = running.failed() => Err(failure),
    };
    match why {
        Ok(why) => {
            eprintln!("Stopping ({why})…");
            running.stop().await;
            eprintln!("Stopped cleanly. Everything that was acknowledged is in {}.", data.display());
            Ok(())
        }
        Err(failure) => {
            running.stop().await;
            Err(failure)
        }
    }
}
