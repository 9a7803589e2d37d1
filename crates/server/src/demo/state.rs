//! `demo.json`: what a demo must remember to come back as it was.

use crate::failure::{Failure, Outcome};
use crate::ports;
use node::Backend;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use types::ClusterId;

/// Name of the file in the demo's folder.
pub const FILE: &str = "demo.json";
/// The form of the file that this release writes, and the only one that it reads.
const FORMAT: u32 = 1;
/// S3 of the first node, where it is free.
pub const S3_PORT: u16 = 9000;
/// The administrator that a demo comes with.
const USER: &str = "demo";

/// What `demo.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoState {
    /// The file's form.
    pub format: u32,
    /// Where everything listens.
    pub listen: IpAddr,
    /// The web address that outlives any node.
    pub web_port: u16,
    /// Who may sign in.
    pub user: String,
    /// And with what. The reason why the file is its owner's alone.
    pub password: String,
    /// What keeps the cluster's metadata; none: Raft.
    #[serde(default)]
    pub coordination: Option<String>,
    /// In order of their numbers, from 1.
    pub nodes: Vec<DemoNode>,
}

/// A node of the demo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoNode {
    /// 1, 2, 3 …
    pub number: u16,
    /// Its port for browsers.
    pub web_port: u16,
    /// Its port for gRPC.
    pub grpc_port: u16,
    /// Its port for other nodes.
    pub node_port: u16,
    /// Its port for S3; 0: none was chosen yet.
    #[serde(default)]
    pub s3_port: u16,
    /// It is a member of the cluster.
    pub joined: bool,
}

impl DemoState {
    /// A new demo of `count` nodes, on free ports near the defaults.
    pub fn new(listen: IpAddr, count: u16) -> Outcome<DemoState> {
        let mut state = DemoState {
            format: FORMAT,
            listen,
            web_port: 0,
            user: USER.to_string(),
            password: password(),
            coordination: None,
            nodes: Vec::new(),
        };
        let mut taken = BTreeSet::new();
        state.web_port = ports::find_free(listen, 8080, &mut taken)?;
        state.grow(count, &mut taken)?;
        Ok(state)
    }

    /// Takes other names of the ensemble's servers; not another place.
    pub fn coordinate(&mut self, asked: &Backend) -> Outcome {
        let kept = self.coordination.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
        if !asked.same_place(&kept) {
            return Err(Failure::failed(format!("this demo keeps its metadata in {kept}, not in {asked}"))
                .safe("nothing was changed")
                .next("leave out --coordination, or begin again with --fresh, or elsewhere with --data DIR"));
        }
        self.coordination = Some(asked.to_string());
        Ok(())
    }

    /// Adds nodes until there are `count`.
    pub fn grow(&mut self, count: u16, taken: &mut BTreeSet<u16>) -> Outcome {
        taken.extend(self.ports());
        while self.nodes.len() < usize::from(count) {
            let number = self.nodes.len() as u16 + 1;
            let before = 10 * (number - 1);
            self.nodes.push(DemoNode {
                number,
                web_port: ports::find_free(self.listen, 8080 + number, taken)?,
                grpc_port: ports::find_free(self.listen, 7070 + before, taken)?,
                node_port: ports::find_free(self.listen, 7071 + before, taken)?,
                s3_port: ports::find_free(self.listen, S3_PORT + number - 1, taken)?,
                joined: false,
            });
        }
        Ok(())
    }

    fn ports(&self) -> Vec<u16> {
        let nodes = self.nodes.iter().flat_map(|node| [node.web_port, node.grpc_port, node.node_port, node.s3_port]);
        nodes.chain([self.web_port]).collect()
    }

    /// Reads it; none when there is no demo in the folder.
    pub fn load(folder: &Path) -> Outcome<Option<DemoState>> {
        let path = folder.join(FILE);
        let damaged = |why: String| {
            Failure::failed(format!("{} cannot be used: {why}", path.display())).next("begin again: atoll demo --fresh")
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io(format!("cannot read {}", path.display()), &error)),
        };
        let state: DemoState = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if state.format != FORMAT {
            return Err(damaged(format!("it has format {}, this release reads {FORMAT}", state.format)));
        }
        let numbered = state.nodes.iter().enumerate().all(|(i, node)| usize::from(node.number) == i + 1);
        if state.nodes.is_empty() || !numbered {
            return Err(damaged("its nodes are not numbered 1, 2, 3 …".into()));
        }
        Ok(Some(state))
    }

    /// Writes it, for its owner's eyes only, all or nothing.
    pub fn save(&self, folder: &Path) -> Outcome {
        let path = folder.join(FILE);
        let draft = folder.join(format!("{FILE}.new"));
        let write = || -> std::io::Result<()> {
            match std::fs::remove_file(&draft) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)
        };
        write().map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
    }

    /// A node, by its number.
    pub fn node(&self, number: u16) -> Option<&DemoNode> {
        self.nodes.get(usize::from(number).checked_sub(1)?)
    }

    /// The address that a port has on this machine.
    pub fn address(&self, port: u16) -> SocketAddr {
        let ip = match self.listen {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ip => ip,
        };
        SocketAddr::new(ip, port)
    }

    /// gRPC addresses of all nodes.
    pub fn grpc_addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| self.address(node.grpc_port).to_string()).collect()
    }

    /// Is this an address of the demo, for gRPC or the web?
    pub fn is_at(&self, address: &str) -> bool {
        let address = address.replace("localhost:", "127.0.0.1:");
        let nodes = self.nodes.iter().flat_map(|node| [node.grpc_port, node.web_port]);
        nodes.chain([self.web_port]).any(|port| self.address(port).to_string() == address)
    }
}

/// A demo and its folder.
pub struct Here {
    /// What it remembers.
    pub state: DemoState,
    folder: PathBuf,
}

impl Here {
    /// Its cluster, as its nodes know it.
    pub fn cluster(&self) -> Option<ClusterId> {
        super::child::cluster(&self.folder)
    }
}

/// The demo that `ATOLL_DEMO_DATA` names, else that of the folder that one stands in, else of the one
/// that `atoll demo` makes there.
pub fn here() -> Option<Here> {
    let named = std::env::var_os("ATOLL_DEMO_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    let places = named.into_iter().chain([PathBuf::from("."), PathBuf::from("atoll-demo")]);
    let places: Vec<PathBuf> = places.collect();
    let found = |folder: PathBuf| Some(Here { state: DemoState::load(&folder).ok().flatten()?, folder });
    places.into_iter().find_map(found)
}

/// Makes the demo's folder, closed to others.
pub fn make_folder(folder: &Path) -> Outcome {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::io(format!("cannot make the folder {}", folder.display()), &error))
}

/// 96 random bits in letters and digits that are hard to confuse, in groups.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    let mut group = || -> String { (0..5).map(|_| char::from(LETTERS[random.random_range(0..32)])).collect() };
    [group(), group(), group(), group()].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_comes_back_as_it_was_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(DemoState::load(folder.path()).expect("nothing there"), None);
        let mut state = DemoState::new(IpAddr::from([127, 0, 0, 1]), 3).expect("ports");
        state.nodes[1].joined = true;
        state.save(folder.path()).expect("save");
        state.save(folder.path()).expect("save again");
        assert_eq!(DemoState::load(folder.path()).expect("load"), Some(state.clone()));
        let mode = std::fs::metadata(folder.path().join(FILE)).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut ports = state.ports();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 1 + 3 * 4, "no port is given out twice");
        state.grow(4, &mut BTreeSet::new()).expect("ports");
        assert_eq!(state.nodes.len(), 4);
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let folder = tempfile::tempdir().expect("folder");
        for text in ["", "{}", "[1]"] {
            std::fs::write(folder.path().join(FILE), text).expect("write");
            assert!(DemoState::load(folder.path()).is_err(), "{text}");
        }
        let mut state = DemoState::new(IpAddr::from([127, 0, 0, 1]), 1).expect("ports");
        state.format = 99;
        state.save(folder.path()).expect("save");
        assert!(DemoState::load(folder.path()).is_err());
    }

    #[test]
    fn passwords_differ() {
        assert_ne!(password(), password());
        assert_eq!(password().len(), 23);
    }
}
