//! How browsers come in: over TLS with a certificate of the cluster's making, or with one that is given; or in the open.

use super::UpArgs;
use crate::failure::{Failure, Outcome};
use crate::ports;
use gateways::web::{Door, Shown};
use node::Node;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where TLS is, where nothing else is asked for.
const PORT: u16 = 8443;
/// How often given files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether our own certificate has to be renewed.
const RENEW_EVERY: Duration = Duration::from_secs(3600);
/// A node that joined may have to wait for its copy of the metadata.
const AUTHORITY_WITHIN: Duration = Duration::from_secs(60);
/// Bytes in a file of certificates or with a key.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Certificate of the cluster's authority, in the data folder, for people to import.
const AUTHORITY: &str = "authority.pem";

/// TLS for browsers: its port, and whose certificate.
#[derive(Debug)]
pub struct Https {
    /// Listens.
    pub listener: TcpListener,
    /// Port.
    pub port: u16,
    /// What is shown.
    pub source: Source,
}

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The cluster's authority, for these names.
    Cluster(Vec<String>),
    /// Files.
    Files {
        /// Chain, PEM.
        certificate: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
}

/// What the flags ask for, and how the plain port is to be.
pub fn claim(args: &UpArgs, advertise: &str) -> Outcome<(Option<Https>, Door)> {
    let source = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Source::Files { certificate: certificate.clone(), key: key.clone() },
        _ => Source::Cluster(names(advertise)),
    };
    // In the open, where that is asked for or nobody else hears it, unless TLS is asked for, too.
    let open = args.plain_http || args.listen.is_loopback();
    let asked = args.https_port.is_some() || args.tls_cert.is_some();
    if open && !asked {
        return Ok((None, Door::Plain));
    }
    if let Source::Files { certificate, key } = &source {
        load(certificate, key)?;
    }
    let port = args.https_port.unwrap_or(PORT);
    let listener = ports::claim(args.listen, port, "--https-port")?;
    let plain = if open { Door::Plain } else { Door::Here { tls_port: port } };
    Ok((Some(Https { listener, port, source }), plain))
}

/// By which this machine may be asked for.
fn names(advertise: &str) -> Vec<String> {
    let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let mut names = vec![advertise.to_string()];
    names.extend(own);
    names.extend(["localhost", "127.0.0.1", "::1"].map(String::from));
    // What is no name in a certificate, is asked for by nobody.
    let fits = |name: &String| !name.is_empty() && name.len() <= 253 && name.is_ascii();
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().filter(|name| fits(name) && seen.insert(name.clone())).collect()
}

fn read_pem(path: &Path) -> std::io::Result<Vec<u8>> {
    match std::fs::metadata(path)?.len() {
        size if size > FILE_BYTES_MAX => Err(std::io::Error::other("it is too large for PEM")),
        _ => std::fs::read(path),
    }
}

fn load(certificate: &Path, key: &Path) -> Outcome<Shown> {
    let read = |path: &Path| {
        read_pem(path).map_err(|error| {
            Failure::io(format!("cannot read {}", path.display()), &error).safe("nothing was started or changed")
        })
    };
    Shown::new(&read(certificate)?, &read(key)?).map_err(|error| {
        Failure::failed(format!("{} with {}: {error}", certificate.display(), key.display()))
            .safe("nothing was started or changed")
            .next("--tls-cert takes the certificate with those that sign it, --tls-key its private key, both PEM")
    })
}

/// The certificate to show, kept up to date until this process ends.
pub async fn show(source: Source, node: &Arc<Node>, data: &Path) -> Outcome<Shown> {
    match source {
        Source::Files { certificate, key } => {
            let shown = load(&certificate, &key)?;
            tokio::spawn(follow(shown.clone(), certificate, key));
            Ok(shown)
        }
        Source::Cluster(names) => {
            let shown = by_cluster(node, &names).await?;
            if let Some(authority) = node.authority_certificate()
                && let Err(error) = std::fs::write(data.join(AUTHORITY), authority)
            {
                tracing::warn!(%error, "the authority's certificate was not written for people to import");
            }
            tokio::spawn(renew(shown.clone(), Arc::downgrade(node), names));
            Ok(shown)
        }
    }
}

async fn by_cluster(node: &Node, names: &[String]) -> Outcome<Shown> {
    let failed = |why: String| {
        Failure::failed(format!("no certificate for browsers can be made: {why}"))
            .next("give one with --tls-cert and --tls-key, or do without: --plain-http")
    };
    let begun = tokio::time::Instant::now();
    loop {
        match node.server_certificate(names) {
            Ok(Some(own)) => {
                let shown = Shown::new(chain(node, &own.certificate).as_bytes(), own.key.as_bytes());
                return shown.map_err(|error| failed(error.to_string()));
            }
            Ok(None) if begun.elapsed() > AUTHORITY_WITHIN => {
                return Err(failed("this node has not heard of the cluster's authority".into()));
            }
            Ok(None) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

/// With the authority's: so that who does not know that yet can look at it, and compare it.
fn chain(node: &Node, own: &str) -> String {
    [own, &node.authority_certificate().unwrap_or_default()].concat()
}

async fn renew(shown: Shown, node: std::sync::Weak<Node>, names: Vec<String>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(node) = node.upgrade() else { return };
        match node.server_certificate(&names) {
            Ok(Some(own)) => {
                let chain = chain(&node, &own.certificate);
                if let Err(error) = shown.replace(chain.as_bytes(), own.key.as_bytes()) {
                    tracing::error!(%error, "the certificate for browsers cannot be renewed");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the certificate for browsers cannot be renewed"),
        }
    }
}

/// Shows what the files have become, once they can be used.
async fn follow(shown: Shown, certificate: PathBuf, key: PathBuf) {
    let mut seen = stamps(&certificate, &key);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamps(&certificate, &key);
        if now == seen {
            continue;
        }
        // While one of them is still being written they do not fit: the next look finds both.
        match (read_pem(&certificate), read_pem(&key)) {
            (Ok(chain), Ok(secret)) => match shown.replace(&chain, &secret) {
                Ok(()) => tracing::info!(fingerprint = shown.fingerprint(), "browsers are shown the new certificate"),
                Err(error) => tracing::error!(%error, "the new certificate cannot be used: the last one is shown on"),
            },
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "the certificate's files cannot be read: the last one is shown on");
            }
        }
        seen = now;
    }
}

type Stamp = Option<(SystemTime, u64)>;

fn stamps(certificate: &Path, key: &Path) -> (Stamp, Stamp) {
    let stamp =
        |path: &Path| std::fs::metadata(path).ok().and_then(|about| Some((about.modified().ok()?, about.len())));
    (stamp(certificate), stamp(key))
}
