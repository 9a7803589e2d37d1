//! What keeps the metadata, as people write it: `raft`, or `zookeeper://host:port,…/path`. Pure.

use std::fmt;
use std::str::FromStr;

/// Servers in an address at most.
const HOSTS_MAX: usize = 16;
/// Bytes of a path at most: what is kept below it must still fit.
const PATH_BYTES_MAX: usize = 200;
const SCHEME: &str = "zookeeper://";
const PORT: u16 = 2181;

/// What keeps a cluster's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The embedded Raft group, of the cluster's own nodes.
    #[default]
    Raft,
    /// A ZooKeeper ensemble that is already there.
    ZooKeeper(ZooKeeperAddress),
}

/// Where in which ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeperAddress {
    /// `host:port` of its servers.
    pub hosts: Vec<String>,
    /// What is the cluster's own, below which it keeps everything.
    pub path: String,
}

impl Backend {
    /// Whether the two mean the same metadata, by what can be told from how they are written: an
    /// ensemble's servers may have been replaced, or have other names elsewhere.
    pub fn same_place(&self, other: &Backend) -> bool {
        match (self, other) {
            (Backend::Raft, Backend::Raft) => true,
            (Backend::ZooKeeper(one), Backend::ZooKeeper(another)) => one.path == another.path,
            _ => false,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Raft => f.write_str("raft"),
            Backend::ZooKeeper(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for ZooKeeperAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.hosts.join(","), self.path)
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        match text {
            "raft" => Ok(Backend::Raft),
            _ => text.parse().map(Backend::ZooKeeper),
        }
    }
}

impl FromStr for ZooKeeperAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ZooKeeperAddress, String> {
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| format!("it is raft, or {SCHEME}host:port,host:port,host:port/path"))?;
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Vec<String> = hosts.split(',').map(host).collect::<Result<_, _>>()?;
        if hosts.len() > HOSTS_MAX {
            return Err(format!("{HOSTS_MAX} servers at most"));
        }
        let path = match path.trim_end_matches('/') {
            "" => "/atoll".to_string(),
            path => format!("/{path}"),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
        if path.len() > PATH_BYTES_MAX || !path[1..].split('/').all(name) {
            return Err(format!(
                "the path has names of letters, digits, dots, dashes and underscores, and {PATH_BYTES_MAX} bytes at most"
            ));
        }
        if path == "/zookeeper" || path.starts_with("/zookeeper/") {
            return Err("/zookeeper is ZooKeeper's own: choose another path".to_string());
        }
        Ok(ZooKeeperAddress { hosts, path })
    }
}

fn host(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is not host:port");
    // An IPv6 address is in brackets.
    let (name, port) = match text.rfind(']') {
        Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Ok(PORT), str::parse::<u16>).map_err(|_| bad())?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    if name.is_empty() || name == "[]" || port == 0 || !name.chars().all(allowed) {
        return Err(bad());
    }
    Ok(format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("raft", "raft"),
            ("zookeeper://a:2181,b:2182,10.0.0.1:3/atoll/one", "zookeeper://a:2181,b:2182,10.0.0.1:3/atoll/one"),
            ("zookeeper://a", "zookeeper://a:2181/atoll"),
            ("zookeeper://[::1]:5,[fe80::1]/x/", "zookeeper://[::1]:5,[fe80::1]:2181/x"),
        ] {
            let backend: Backend = text.parse().unwrap();
            assert_eq!(backend.to_string(), written);
            assert_eq!(written.parse::<Backend>().unwrap(), backend);
        }
        for text in [
            "",
            "etcd",
            "zookeeper:",
            "zookeeper:///x",
            "zookeeper://a:0",
            "zookeeper://a:x/",
            "zookeeper://a//b",
            "zookeeper://a/../b",
            "zookeeper://a,,b/x",
            "zookeeper://a/zookeeper",
            "zookeeper://a b/x",
        ] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
        let many = vec!["h:1"; HOSTS_MAX + 1].join(",");
        assert!(format!("{SCHEME}{many}/x").parse::<Backend>().is_err());
    }

    #[test]
    fn servers_may_change_and_the_path_may_not() {
        let backend = |text: &str| text.parse::<Backend>().unwrap();
        assert!(backend("zookeeper://a/x").same_place(&backend("zookeeper://b:7,c/x")));
        assert!(!backend("zookeeper://a/x").same_place(&backend("zookeeper://a/y")));
        assert!(!backend("zookeeper://a/x").same_place(&Backend::Raft));
    }
}
