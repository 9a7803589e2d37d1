//! Who a data folder is: kept in `identity.json`, written whole, synced, then named.

use rpc::ClusterKey;
use rpc::tls::{Authority, TlsError};
use rpc::wire::JoinReply;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use types::{ClusterId, Incarnation, NodeId};

/// A node's identity, for as long as its data folder lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of this format: 2.
    pub format: u32,
    /// Which cluster.
    pub cluster: ClusterId,
    /// What the cluster's gateways share.
    pub gateways: ClusterKey,
    /// Number in the cluster.
    pub node: NodeId,
    /// Partitions of the cluster, fixed for ever.
    pub partitions: u16,
    /// The last life begun.
    pub incarnation: Incarnation,
    /// Where this node and the members that were last known are reached, to find the cluster again.
    pub contacts: Vec<String>,
    /// Its folders are marked as its own: from then on none may be missing.
    #[serde(default)]
    pub bound: bool,
    /// On the first node, until the cluster is made: the authority to make it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founding: Option<Authority>,
}

/// Why an identity could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A folder is not the one that this identity left behind.
    #[error(
        "{folder} is not what node {node} left there: {why}. This node does not start, lest it forget what it promised; \
         the other machines' copies are safe. If the folder cannot be put back as it was: on a member, \
         `atoll cluster drain {node}` has what was here copied anew, and `atoll cluster remove {node}` takes this number \
         out. To use the machine again, remove the whole data folder here and join as a new machine: \
         `atoll cluster join-token` on a member, then `atoll up --join TOKEN` here"
    )]
    Foreign {
        /// Which folder.
        folder: PathBuf,
        /// Whose it should be.
        node: NodeId,
        /// What is wrong.
        why: String,
    },
    /// It is gone, and what else is in the folder is not.
    #[error(
        "{path} is missing, and the folder is node {node}'s. Nothing was made anew in its place, lest this become \
         another cluster; the other machines' copies are safe. Restore the file from a copy; without one, on a \
         member, `atoll cluster drain {node}` and then `atoll cluster remove {node}` take this number out. To use the \
         machine again, remove the whole data folder here and join as a new machine: `atoll cluster join-token` on a \
         member, then `atoll up --join TOKEN` here"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
        /// Whose folder it is.
        node: NodeId,
    },
    /// It cannot be understood.
    #[error("{path} is damaged or of another release: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

const FORMAT: u32 = 2;
const NAME: &str = "identity.json";
/// Addresses kept to find the cluster again.
const CONTACTS_MAX: usize = 64;

impl Identity {
    /// The first node of a new cluster.
    pub fn new_cluster(partitions: u16) -> Result<Identity, TlsError> {
        let cluster = ClusterId(rand::random());
        Ok(Identity {
            format: FORMAT,
            cluster,
            gateways: ClusterKey(rand::random()),
            node: NodeId(1),
            partitions,
            incarnation: Incarnation(0),
            contacts: Vec::new(),
            bound: false,
            founding: Some(Authority::new(cluster)?),
        })
    }

    /// A node that has just joined.
    pub fn joined(token: &crate::JoinToken, reply: &JoinReply) -> Identity {
        Identity {
            format: FORMAT,
            cluster: token.cluster,
            gateways: reply.gateways.clone(),
            node: reply.node,
            partitions: reply.partitions,
            incarnation: Incarnation(0),
            contacts: token.addresses.clone(),
            bound: false,
            founding: None,
        }
    }

    /// Reads it; none in a new folder.
    pub fn load(folder: &Path) -> Result<Option<Identity>, IdentityError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Some(Format { format }) = read(folder, NAME)? else { return Ok(None) };
        if format < FORMAT {
            let why = "it was made before nodes had certificates, and this release cannot take it over; \
                       start with an empty data folder, and leave this one as it is for the release that made it";
            return Err(IdentityError::Unreadable { path: folder.join(NAME), why: why.into() });
        }
        if format > FORMAT {
            let why = format!("format {format} where {FORMAT} is known");
            return Err(IdentityError::Unreadable { path: folder.join(NAME), why });
        }
        read(folder, NAME)
    }

    /// Members are reached there, this one at `own`; none: the others where they were. True when that is news.
    pub(crate) fn meets(&mut self, own: &str, members: Option<Vec<String>>) -> bool {
        let others = members.unwrap_or_else(|| self.contacts.clone()).into_iter();
        let others = others.filter(|other| other != own && !other.is_empty()).take(CONTACTS_MAX - 1);
        let known: Vec<String> = [own.to_string()].into_iter().chain(others).collect();
        let news = known != self.contacts;
        self.contacts = known;
        news
    }

    /// Writes it durably, readable by its owner alone.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        write(folder, NAME, self)
    }
}

/// Reads a file of a data folder; none when it is not there.
pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, IdentityError> {
    let path = folder.join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IdentityError::Io { path, error }),
    };
    let unreadable = |why: String| IdentityError::Unreadable { path: path.clone(), why };
    let text = String::from_utf8(text).map_err(|error| unreadable(error.to_string()))?;
    if let Some((content, kept)) = text.rsplit_once(CHECKSUM)
        && !kept.starts_with(&checksum(content))
    {
        return Err(unreadable("its checksum fails".into()));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| unreadable(error.to_string()))
}

/// What stands before the checksum, in a line of its own at the end, of all that is before it. A file that has
/// none was written by an earlier release, or its flipped bit is in this very line.
const CHECKSUM: &str = ",\n  \"checksum\": \"";

fn checksum(content: &str) -> String {
    blake3::hash(content.as_bytes()).to_hex()[..32].to_string()
}

/// The text of a small file, with its checksum.
fn sealed<T: Serialize>(value: &T) -> std::io::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let content = text.strip_suffix("\n}").ok_or_else(|| std::io::Error::other("not an object of several fields"))?;
    Ok(format!("{content}{CHECKSUM}{}\"\n}}\n", checksum(content)))
}

/// Makes a folder, for its owner alone: the metadata holds the authority's key.
pub(crate) fn private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// Writes a file whole, durably, readable by its owner alone.
pub(crate) fn write<T: Serialize>(folder: &Path, name: &str, value: &T) -> Result<(), IdentityError> {
    let write = || -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let fresh = folder.join(format!("{name}.new"));
        let text = sealed(value)?;
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, folder.join(name))?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| IdentityError::Io { path: folder.join(name), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_from_before_certificates_is_refused_in_clear_words() {
        let folder = tempfile::tempdir().unwrap();
        let old = r#"{"format":1,"cluster":7,"key":[1,2],"node":1,"partitions":64,"incarnation":5,"contacts":[]}"#;
        std::fs::write(folder.path().join(NAME), old).unwrap();
        let error = Identity::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("before nodes had certificates") && error.contains("empty data folder"), "{error}");
    }

    #[test]
    fn whatever_bit_flips_the_identity_is_as_it_was_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::new_cluster(8).unwrap();
        identity.save(folder.path()).unwrap();
        let path = folder.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                std::fs::write(&path, bad).unwrap();
                let read = Identity::load(folder.path());
                assert!(read.is_err() || read.unwrap().as_ref() == Some(&identity), "byte {at}, bit {bit}");
            }
            std::fs::write(&path, &good[..at]).unwrap();
            // Without the last line's end it is whole.
            let read = Identity::load(folder.path());
            assert!(read.is_err() || at + 1 == good.len() && read.unwrap().as_ref() == Some(&identity), "cut at {at}");
        }
    }

    #[test]
    fn members_are_known_by_the_last_map_and_before_one_by_the_token() {
        let mut identity = Identity::new_cluster(8).unwrap();
        identity.contacts = vec!["token:1".into()];
        assert!(identity.meets("own:1", None));
        assert_eq!(identity.contacts, ["own:1", "token:1"]);
        let map = ["a:1", "own:1", "", "b:1"].map(String::from).to_vec();
        assert!(identity.meets("own:1", Some(map.clone())));
        assert!(!identity.meets("own:1", Some(map)));
        assert_eq!(identity.contacts, ["own:1", "a:1", "b:1"]);
        assert!(identity.meets("own:1", Some((0..1000).map(|port| format!("c:{port}")).collect())));
        assert_eq!(identity.contacts.len(), CONTACTS_MAX);
        assert!(identity.meets("own:1", Some(vec![])), "all others were removed");
        assert_eq!(identity.contacts, ["own:1"]);
    }

    #[test]
    fn what_is_saved_reads_back_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Identity::load(folder.path()).unwrap(), None);
        let identity = Identity::new_cluster(8).unwrap();
        identity.save(folder.path()).unwrap();
        assert_eq!(Identity::load(folder.path()).unwrap(), Some(identity));
        let mode = std::fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
