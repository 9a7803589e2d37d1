//! Who talks to which cluster: stored sessions, and the connection that a command uses.
//!
//! **Owns** `credentials.json` and the choice between it, flags and variables.
//! **Invariant**: a stored token is sent only to addresses that it was stored
//! with, or that its cluster told, and only to that cluster: no configuration file,
//! variable or stranger on a port that was left can lead it elsewhere. No certificate is believed because it is shown: an
//! authority is trusted at the login, by who compares its fingerprint or names its file, and kept with the session.
//! **Leaves to others**: retries and failover (`client::remote`).

mod credentials;
mod discovery;
pub mod login;

pub use credentials::{Credentials, Session};

use crate::cli::{DriveArgs, ServerArgs};
use crate::demo::state;
use crate::failure::{Failure, Outcome};
use client::remote::shared::DriveInfo;
use client::remote::{GatewayAddress, Options, Remote, RemoteError, SharedDriveId, Trust};
use types::ClusterId;

/// The address when nothing says otherwise.
const DEFAULT_SERVER: &str = "127.0.0.1:7070";
/// Bytes in a file of certificates.
const CA_BYTES_MAX: u64 = 1 << 20;
/// Addresses remembered of a cluster.
const ADDRESSES_MAX: usize = 32;

/// The address of a page on a node whose web pages are at `web`: host:port, or with what stands before that for HTTPS.
pub fn page(web: &str, path: &str) -> String {
    let scheme = if web.contains("://") { "" } else { "http://" };
    format!("{scheme}{web}{path}")
}

/// A connection for a command of a signed-in person.
pub async fn connect(args: &ServerArgs) -> Outcome<Remote> {
    let mut stored = Credentials::load()?;
    let chosen = choose(args, &stored)?;
    let token = chosen.token.clone();
    let remote = chosen.connect().await?;
    // The next command begins with whoever answered this one, and knows all that this one heard of.
    let mut addresses: Vec<String> = remote.addresses().iter().filter_map(|address| normal(address).ok()).collect();
    addresses.truncate(ADDRESSES_MAX);
    let learned = remote.learned_authority().is_some_and(|pem| stored.learned(&token, &pem));
    if args.server.is_empty() && (stored.moved(&token, &addresses) || learned) {
        // Only a convenience: a folder that cannot be written stops nobody.
        if let Err(error) = stored.save() {
            tracing::debug!("addresses were not remembered: {error}");
        }
    }
    Ok(remote)
}

/// The same, for the files of the drive that is named.
pub async fn connect_in(args: &DriveArgs) -> Outcome<Remote> {
    let remote = connect(&args.server).await?;
    match &args.drive {
        None => Ok(remote),
        Some(named) => {
            let drive = find_drive(&remote, named).await?;
            Ok(remote.in_drive(Some(drive)))
        }
    }
}

/// A drive by its name or its id, among those that the person is in; by its id among all.
pub async fn find_drive(remote: &Remote, named: &str) -> Outcome<SharedDriveId> {
    // Asked in any case: a gateway that knows no shared drives would take what follows for one's own.
    let all = remote.drives().await?;
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let named = named.trim();
    one_of(&all, named)
}

fn one_of(all: &[DriveInfo], named: &str) -> Outcome<SharedDriveId> {
    let same = |drive: &&DriveInfo| drive.name == named;
    let alike = |drive: &&DriveInfo| drive.name.to_lowercase() == named.to_lowercase();
    let exact: Vec<_> = all.iter().filter(same).collect();
    let found = if exact.is_empty() { all.iter().filter(alike).collect() } else { exact };
    match &found[..] {
        [] => Err(Failure::failed(format!("you are in no shared drive named {named:?}"))
            .safe("nothing was changed")
            .next("atoll drive list")),
        [drive] => drive.id.parse().map_err(|why: &str| Failure::failed(why)),
        several => {
            let ids: Vec<&str> = several.iter().map(|drive| drive.id.as_str()).collect();
            Err(Failure::failed(format!("{} drives are named {named:?}", several.len()))
                .safe("nothing was changed")
                .next(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

/// Where a command goes, and with what.
#[derive(Debug)]
pub struct Chosen {
    /// Where.
    pub addresses: Vec<String>,
    /// Which cluster it must be.
    pub cluster: Option<ClusterId>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The session's token.
    pub token: String,
}

impl Chosen {
    /// The connection.
    pub async fn connect(self) -> Result<Remote, RemoteError> {
        Remote::trusting(self.trust, self.addresses, self.cluster, Some(self.token), Options::default()).await
    }
}

/// As it is written down.
pub fn cluster_of(text: &str) -> Option<ClusterId> {
    u128::from_str_radix(text, 16).ok().map(ClusterId)
}

/// Addresses and token, from flags, variables and the stored sessions.
pub fn choose(args: &ServerArgs, stored: &Credentials) -> Outcome<Chosen> {
    let named: Vec<String> = args.server.iter().map(|address| normal(address)).collect::<Outcome<_>>()?;
    if let Some(token) = &args.token {
        let addresses = if named.is_empty() { vec![DEFAULT_SERVER.to_string()] } else { named };
        return Ok(Chosen { addresses, cluster: None, trust: trust(args, None)?, token: token.clone() });
    }
    let of = |session: &Session, addresses| {
        Ok(Chosen {
            addresses,
            cluster: session.cluster.as_deref().and_then(cluster_of),
            trust: {
                let trust = trust(args, session.authority.as_deref())?;
                session.learned.iter().for_each(|pem| trust.learn(pem));
                trust
            },
            token: session.token.clone(),
        })
    };
    if named.is_empty() {
        let session = stored.current().ok_or_else(|| {
            let hint = if state::here().is_some() {
                "atoll login   (this is a demo's folder: no address or password needed)"
            } else {
                "atoll login HOST:7070"
            };
            Failure::failed("you are not logged in").next(hint)
        })?;
        return of(session, session.addresses.clone());
    }
    let session = stored.of(&named).ok_or_else(|| {
        Failure::failed(format!("you are not logged in at {}", named.join(", ")))
            .safe("no stored session was sent there")
            .next(format!("atoll login {}", named[0]))
    })?;
    // The named ones first; the others of the same session stay in reserve.
    let mut addresses: Vec<String> = named.into_iter().filter(|address| session.addresses.contains(address)).collect();
    let others: Vec<String> = session.addresses.iter().filter(|other| !addresses.contains(other)).cloned().collect();
    addresses.extend(others);
    of(session, addresses)
}

/// Whose certificates are believed: those that a file names, else those of the authority that was trusted at the login,
/// else those that this machine's system trusts.
pub fn trust(args: &ServerArgs, trusted: Option<&str>) -> Outcome<Trust> {
    Ok(match authority(args)?.as_deref().or(trusted) {
        Some(pem) => Trust::authority(pem)?,
        None => Trust::system()?,
    })
}

/// What the file with authorities' certificates says, where one is named.
pub fn authority(args: &ServerArgs) -> Outcome<Option<String>> {
    let Some(path) = &args.ca else { return Ok(None) };
    let read = || -> std::io::Result<String> {
        match std::fs::metadata(path)?.len() {
            0..=CA_BYTES_MAX => std::fs::read_to_string(path),
            _ => Err(std::io::Error::other("it is too large for certificates")),
        }
    };
    let pem = read().map_err(|error| Failure::io(format!("cannot read {}", path.display()), &error))?;
    Trust::authority(&pem)?;
    Ok(Some(pem))
}

/// One spelling per address, see [`GatewayAddress`], the default port added. Of an address that browsers use the host
/// counts: what this program speaks is on its own port there.
pub fn normal(address: &str) -> Outcome<String> {
    let text = address.trim().trim_end_matches('/');
    let (scheme, text) = match text.split_once("://") {
        Some(("https", text)) => ("https://", text),
        Some(("http", text)) => ("http://", text),
        _ => ("", text),
    };
    let bad = || {
        Failure::usage(format!("{address:?} is not an address"))
            .next("write it as HOST or HOST:PORT, such as localhost:7070")
    };
    if text.is_empty() || text.contains(['/', '@', ' ', '?', '#']) {
        return Err(bad());
    }
    let port_at = match text.rfind(']') {
        Some(bracket) => text[bracket..].find(':').map(|colon| bracket + colon),
        None => text.find(':'),
    };
    let (host, port) = match port_at {
        None => (text, None),
        Some(colon) => (&text[..colon], Some(text[colon + 1..].parse::<u16>().map_err(|_| bad())?)),
    };
    let browsers = scheme == "https://" && matches!(port, None | Some(443 | 8443));
    match port {
        Some(0) => Err(bad()),
        _ if host.is_empty() => Err(bad()),
        _ if browsers => Ok(format!("{host}:7070")),
        _ => Ok(format!("{scheme}{host}:{}", port.unwrap_or(7070)).parse::<GatewayAddress>()?.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(address: &str, token: &str) -> Session {
        let addresses = vec![address.into(), "other:7070".into()];
        let cluster = Some("0a".into());
        Session {
            addresses,
            given: vec![],
            cluster,
            authority: None,
            learned: None,
            user: "u".into(),
            token: token.into(),
        }
    }

    fn args(server: &[&str]) -> ServerArgs {
        ServerArgs { server: server.iter().map(|text| text.to_string()).collect(), ..ServerArgs::default() }
    }

    #[test]
    fn a_token_goes_only_where_it_came_from() {
        let mut stored = Credentials::default();
        stored.remember(session("a:7070", "A"));
        stored.remember(Session { cluster: Some("0b".into()), ..session("b:7070", "B") });
        assert_eq!(choose(&args(&[]), &stored).expect("current").token, "B");
        let chosen = choose(&args(&["a"]), &stored).expect("named");
        assert_eq!((chosen.addresses[0].as_str(), chosen.token.as_str()), ("a:7070", "A"));
        assert_eq!(chosen.cluster, Some(ClusterId(10)));
        assert_eq!(choose(&args(&["evil:7070"]), &stored).expect_err("stranger").code(), 1);
        let chosen = choose(&args(&["evil:7070", "a:7070"]), &stored).expect("one is known");
        assert!(!chosen.addresses.contains(&"evil:7070".to_string()));
        let with_token = ServerArgs { server: vec!["evil:1".into()], token: Some("T".into()), ca: None };
        assert_eq!(choose(&with_token, &stored).expect("explicit").token, "T");
    }

    #[test]
    fn a_drive_is_named_by_its_name_while_one_alone_has_it() {
        let drive =
            |name: &str, id: u8| DriveInfo { id: format!("{id:032x}"), name: name.into(), ..DriveInfo::default() };
        let all = [drive("Tea", 1), drive("tea", 2), drive("Coffee", 3), drive("x", 4), drive("x", 5)];
        let id = |n: u8| SharedDriveId(u128::from(n).to_be_bytes());
        assert_eq!(one_of(&all, "Tea").expect("exactly"), id(1));
        assert_eq!(one_of(&all, "coffee").expect("in any case"), id(3));
        assert!(one_of(&all, "TEA").is_err() && one_of(&all, "x").is_err() && one_of(&all, "").is_err());
    }

    #[test]
    fn addresses_have_one_spelling() {
        for (text, want) in [
            ("a", "a:7070"),
            ("http://a:1/", "http://a:1"),
            ("http://localhost:1", "localhost:1"),
            ("https://a:1", "a:1"),
            ("https://a", "a:7070"),
            ("https://localhost:7070", "https://localhost:7070"),
            ("https://a:8443/", "a:7070"),
            ("https://[::1]:8443", "[::1]:7070"),
            ("[::1]", "[::1]:7070"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(normal(text).expect("good"), want);
        }
        for bad in ["", "a:", "a:0", "a:99999", "a:1/x", "u@a:1", ":1"] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }
}
