//! A member's data folder as the way into its cluster, past gateways and sessions.
//!
//! **Owns** what is read of the folder, and the words for a folder that is of no use. **Invariants**: nothing is
//! written, so that it may be done beside the node that runs on it; what the folder holds goes to members of its
//! cluster alone. **Leaves to others**: who may read the folder (the operating system), and what its certificate
//! allows (`node`'s gate).

use crate::failure::{Failure, Outcome};
use crate::{demo, lock, output, up};
use client::{Client, ClientConfig, ClientError, Timeouts};
use nix::unistd::{Uid, User};
use node::{Identity, IdentityError, NodeError};
use rpc::Credentials;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use types::{NodeId, WallMillis};

const UNCHANGED: &str = "nothing was changed";

/// A member's data folder, and what it knows of its cluster.
pub struct Folder {
    path: PathBuf,
    node: NodeId,
    addresses: Vec<String>,
    credentials: Credentials,
}

impl Folder {
    /// Reads who the folder is, and what it has to show.
    pub fn open(path: &Path) -> Outcome<Folder> {
        if let Err(error) = std::fs::metadata(path) {
            return Err(match error.kind() {
                ErrorKind::NotFound => stranger(path, "there is no such folder"),
                _ => unreadable(path, &error),
            });
        }
        let identity = Identity::load(path).map_err(|error| explain(path, error.into()))?;
        let identity = identity.ok_or_else(|| stranger(path, "it holds no identity.json"))?;
        let credentials = node::gateway_credentials(path, "").map_err(|error| explain(path, error))?;
        let credentials = credentials.ok_or_else(|| explain(path, NodeError::NoCertificate(path.to_path_buf())))?;
        let expires = credentials.keys.expires();
        if expires < SystemTime::now() {
            let since = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let date = output::date(WallMillis(since.as_millis() as u64));
            return Err(Failure::failed(format!("the certificate in {} ran out on {date}", path.display()))
                .safe(UNCHANGED)
                .next(format!(
                    "start its node, which renews it: atoll up --data {}; or use a member's that runs",
                    shell(path)
                )));
        }
        Ok(Folder { path: path.to_path_buf(), node: identity.node, addresses: identity.contacts, credentials })
    }

    /// Whose folder it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// A connection to whichever member answers.
    pub async fn connect(&self) -> Outcome<Client> {
        self.connect_with(Timeouts::default()).await
    }

    /// The same, with that patience.
    pub async fn connect_with(&self, timeouts: Timeouts) -> Outcome<Client> {
        if self.addresses.is_empty() {
            return Err(Failure::failed(format!(
                "{} does not say where any member is: an earlier release wrote it",
                self.path.display()
            ))
            .safe(UNCHANGED)
            .next(format!("start its node once: atoll up --data {}; or use another member's", shell(&self.path))));
        }
        let config = ClientConfig::new(self.addresses.clone(), self.credentials.clone()).timeouts(timeouts);
        Client::connect(config).await.map_err(|error| self.explain(error))
    }

    /// What came of a request, in the words of whoever goes by this folder.
    pub fn explain(&self, error: ClientError) -> Failure {
        let what = error.to_string();
        match error {
            ClientError::Unknown { .. } | ClientError::Uncertain { .. } => {
                Failure::Unknown { what, next: Some(format!("atoll cluster status --data {}", shell(&self.path))) }
            }
            ClientError::Denied(_) => Failure::failed(format!("the cluster does not take node {}: {what}", self.node))
                .safe(UNCHANGED)
                .next("name the data folder of a machine that is a member still"),
            ClientError::Unreachable { tried, why } => {
                let next = match lock::is_held(&self.path, up::LOCK) {
                    true => {
                        format!("node {}'s process has the folder open: look at its log, or start others", self.node)
                    }
                    false => format!(
                        "start this member (atoll up --data {}) or another; if others run, do the same on one of them",
                        shell(&self.path)
                    ),
                };
                Failure::failed(format!("no member of the cluster answers (asked {}): {why}", tried.join(", ")))
                    .safe(UNCHANGED)
                    .next(next)
            }
            ClientError::NoLeader(_) => Failure::failed(what).next(
                "try again in a moment; if it stays so, most of the machines that decide (or of ZooKeeper's servers) \
                 are away: bring them back",
            ),
            _ => Failure::failed(what),
        }
    }
}

/// The folder is no member's.
fn stranger(path: &Path, why: &str) -> Failure {
    let next = match demo::state::DemoState::load(path) {
        Ok(Some(_)) => format!("it is a demo's; each node has a folder in it: --data {}", shell(&path.join("node-1"))),
        _ => "name the folder that the node on this machine was started with (atoll up --data DIR)".into(),
    };
    Failure::failed(format!("{} is not a member's data folder: {why}", path.display())).safe(UNCHANGED).next(next)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::failed(format!("{} cannot be read: {error}", path.display())).safe(UNCHANGED);
    if error.kind() != ErrorKind::PermissionDenied {
        return failure.next("look at the disk, or use another member's data folder");
    }
    // Who may not look into the folder's parent is not told whose it is.
    let owner = std::fs::metadata(path).ok().and_then(|about| User::from_uid(Uid::from_raw(about.uid())).ok()?);
    failure.next(match owner {
        Some(owner) => format!("run it as the folder's owner: sudo -u {} atoll cluster …", owner.name),
        None => "run it as the user that the node runs as".into(),
    })
}

fn explain(path: &Path, error: NodeError) -> Failure {
    match error {
        NodeError::Identity(IdentityError::Io { path: file, error }) => match error.kind() {
            ErrorKind::PermissionDenied => unreadable(path, &error),
            // A file, or a folder in a file's place.
            ErrorKind::NotADirectory => stranger(path, "it is not a folder"),
            _ => unreadable(&file, &error),
        },
        error => Failure::failed(error.to_string()).safe(UNCHANGED).next("use another member's data folder"),
    }
}

/// As it is typed at a prompt.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let failure = Folder::open(path).err().expect("it is refused");
        assert_eq!(failure.code(), 1);
        format!("{failure:?}")
    }

    #[test]
    fn a_folder_of_no_use_says_what_to_do() {
        let temp = tempfile::tempdir().expect("folder");
        let folder = temp.path();
        assert!(refused(&folder.join("none")).contains("no such folder"));
        assert!(refused(folder).contains("no identity.json"));
        std::fs::write(folder.join("file"), "").expect("write");
        assert!(refused(&folder.join("file")).contains("is not a folder"));
        let identity = Identity::new_cluster(8).expect("identity");
        identity.save(folder).expect("save");
        assert!(refused(folder).contains("certificate.json is missing"));
        std::fs::write(folder.join("identity.json"), "{").expect("write");
        assert!(refused(folder).contains("damaged"));
        std::fs::remove_file(folder.join("identity.json")).expect("remove");
        std::fs::create_dir(folder.join("identity.json")).expect("in its place");
        assert!(refused(folder).contains("cannot be read"));
    }

    #[test]
    fn a_path_is_shown_as_it_is_typed() {
        for (path, typed) in [("/srv/atoll-1", "/srv/atoll-1"), ("my data", "'my data'"), ("it's", r"'it'\''s'")] {
            assert_eq!(shell(Path::new(path)), typed);
        }
    }
}
