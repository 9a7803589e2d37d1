//! What keeps the cluster's metadata: chosen when a data folder is made, kept in it, and not to be
//! changed afterwards, for the other place would hold another cluster's past, or none.

use crate::identity::{self, Identity, IdentityError};
use crate::leader::Transport;
use crate::node::{NodeConfig, NodeError};
use control::controller::ControllerError;
use control::{Backend, Coordination, RaftNode, ZooKeeperNode, ZooKeeperOptions};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "coordination.json";

/// The choice, and whether the metadata was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What keeps the metadata.
    pub backend: Backend,
    founded: bool,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    coordination: String,
    founded: bool,
}

impl Choice {
    /// For a new cluster.
    pub fn new(asked: Option<&Backend>) -> Choice {
        Choice { backend: asked.cloned().unwrap_or_default(), founded: false }
    }

    /// For a machine that joins a cluster, which keeps its metadata where it says.
    pub fn joined(asked: Option<&Backend>, told: &str) -> Result<Choice, NodeError> {
        let theirs: Backend = told.parse().map_err(|why| {
            NodeError::Coordination(format!(
                "the cluster keeps its metadata in {told:?}, which is not known here: {why}"
            ))
        })?;
        let backend = match asked {
            Some(asked) if !asked.same_place(&theirs) => return Err(mismatch("the cluster", &theirs, asked)),
            // The ensemble's servers may have other names from here.
            Some(asked) => asked.clone(),
            None => theirs,
        };
        Ok(Choice { backend, founded: true })
    }

    /// Of a folder that has an identity, which is written after it.
    pub fn load(folder: &Path, asked: Option<&Backend>) -> Result<Choice, NodeError> {
        let path = folder.join(NAME);
        let unreadable = |why: String| IdentityError::Unreadable { path: path.clone(), why };
        let kept = identity::read::<Kept>(folder, NAME)?.ok_or_else(|| unreadable("it is missing".into()))?;
        let backend = kept.coordination.parse().map_err(unreadable)?;
        let kept = Choice { backend, founded: kept.founded };
        // In ZooKeeper, before anything is there, nothing is given up: it may be the wrong place that stopped
        // the first start.
        let settled = kept.founded || kept.backend == Backend::Raft;
        match asked {
            Some(asked) if settled && !asked.same_place(&kept.backend) => {
                Err(mismatch("this data folder's cluster", &kept.backend, asked))
            }
            Some(asked) if *asked != kept.backend => {
                let choice = Choice { backend: asked.clone(), ..kept };
                choice.save(folder)?;
                Ok(choice)
            }
            _ => Ok(kept),
        }
    }

    /// Durable on return, and whole.
    pub fn save(&self, folder: &Path) -> Result<(), NodeError> {
        let kept = Kept { coordination: self.backend.to_string(), founded: self.founded };
        Ok(identity::write(folder, NAME, &kept)?)
    }

    /// The metadata is there: from now on it is never made anew.
    pub fn founded(&mut self, folder: &Path) -> Result<(), NodeError> {
        if self.founded {
            return Ok(());
        }
        self.founded = true;
        self.save(folder)
    }

    /// Takes part.
    pub(crate) async fn open(
        &self,
        config: &NodeConfig,
        identity: &Identity,
        secret: [u8; 32],
        transport: Transport,
    ) -> Result<Arc<dyn Coordination>, NodeError> {
        match &self.backend {
            Backend::Raft => {
                let raft = RaftNode::open(&config.folder, identity.node, config.timing, Arc::new(transport)).await;
                Ok(Arc::new(raft.map_err(ControllerError::from)?))
            }
            Backend::ZooKeeper(address) => {
                let (address, cluster) = (address.clone(), identity.cluster);
                let options = ZooKeeperOptions { address, cluster, secret, founded: self.founded };
                Ok(Arc::new(ZooKeeperNode::open(identity.node, options)))
            }
        }
    }
}

/// What the cluster tells a machine that joins, unless that asks for something else.
pub(crate) fn admit(ours: &Backend, asked: Option<&str>) -> Result<String, String> {
    match asked.map(str::parse::<Backend>) {
        Some(Err(why)) => Err(format!("--coordination: {why}")),
        Some(Ok(asked)) if !asked.same_place(ours) => Err(mismatch("the cluster", ours, &asked).to_string()),
        _ => Ok(ours.to_string()),
    }
}

fn mismatch(whose: &str, kept: &Backend, asked: &Backend) -> NodeError {
    NodeError::Coordination(format!(
        "{whose} keeps its metadata in {kept}, not in {asked}: start without --coordination, which takes what the \
         cluster has"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> Backend {
        text.parse().unwrap()
    }

    #[test]
    fn the_choice_is_kept_and_another_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        let here = backend("zookeeper://a:1,b:2/x");
        let mut choice = Choice::new(Some(&here));
        choice.save(folder).unwrap();
        assert_eq!(Choice::load(folder, None).unwrap(), choice);
        assert!(!choice.founded);
        choice.founded(folder).unwrap();
        assert!(Choice::load(folder, Some(&here)).unwrap().founded);
        for other in ["raft", "zookeeper://a:1,b:2/y"] {
            let error = Choice::load(folder, Some(&backend(other))).unwrap_err().to_string();
            assert!(error.contains("zookeeper://a:1,b:2/x, not in") && error.contains(other), "{error}");
        }
        // Other servers of what must be the same ensemble.
        let moved = backend("zookeeper://c:3/x");
        assert_eq!(Choice::load(folder, Some(&moved)).unwrap().backend, moved);
        assert_eq!(Choice::load(folder, None).unwrap().backend, moved);
    }

    #[test]
    fn a_folder_that_has_lost_it_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        assert!(Choice::load(folder, None).unwrap_err().to_string().contains("it is missing"));
        Choice::new(None).save(folder).unwrap();
        let text = std::fs::read_to_string(folder.join(NAME)).unwrap();
        std::fs::write(folder.join(NAME), text.replace("raft", "rafu")).unwrap();
        assert!(Choice::load(folder, None).unwrap_err().to_string().contains("its checksum fails"));
    }

    #[test]
    fn who_joins_takes_what_the_cluster_has() {
        let told = "zookeeper://a:1/x";
        assert_eq!(Choice::joined(None, told).unwrap().backend, backend(told));
        assert_eq!(
            Choice::joined(Some(&backend("zookeeper://b/x")), told).unwrap().backend,
            backend("zookeeper://b/x")
        );
        assert!(Choice::joined(Some(&Backend::Raft), told).is_err());
        assert!(Choice::joined(None, "raft").unwrap().founded);
        assert_eq!(admit(&backend(told), None).unwrap(), told);
        assert!(admit(&backend(told), Some("zookeeper://z/x")).is_ok());
        assert!(admit(&backend(told), Some("raft")).unwrap_err().contains(told));
        assert!(admit(&Backend::Raft, Some("nonsense")).is_err());
    }
}
