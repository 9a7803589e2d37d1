//! What binds a node's folders to its identity. The log and the control plane's state are what this
//! node has promised to others; without one of them it would come back under its old number having
//! forgotten that: a second cluster beside the first, a voter that votes twice, an empty replica that
//! counts as a whole one. So both folders say whose they are, and a node whose folders do not, or say
//! otherwise, does not start. Node numbers are never used again (ruling 2): a machine that lost
//! something joins as a new one.

use crate::identity::{Identity, IdentityError};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use types::{ClusterId, NodeId};

/// What must not be lost.
const FOLDERS: [&str; 2] = ["control", "log"];
const MARKER: &str = "owner.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    cluster: ClusterId,
    node: NodeId,
}

/// Compares the folders with the identity. At a first start, even one that was cut short, what has no
/// owner yet is given one; from the first whole start on every folder must have its own.
pub(crate) fn tie(folder: &Path, identity: &mut Identity) -> Result<(), IdentityError> {
    let me = Owner { cluster: identity.cluster, node: identity.node };
    for name in FOLDERS {
        let path = folder.join(name).join(MARKER);
        let io = |error: std::io::Error| IdentityError::Io { path: path.clone(), error };
        let stranger = |why: String| IdentityError::Foreign { folder: folder.join(name), node: me.node, why };
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<Owner>(&text) {
                Ok(owner) if owner == me => {}
                Ok(owner) => {
                    return Err(stranger(format!("it belongs to node {} of cluster {}", owner.node, owner.cluster)));
                }
                Err(error) => return Err(stranger(format!("its {MARKER} cannot be read ({error})"))),
            },
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            Err(_) if identity.bound => return Err(stranger("it was lost, or emptied".into())),
            Err(_) => mark(&folder.join(name), &me).map_err(io)?,
        }
    }
    if !identity.bound {
        identity.bound = true;
        identity.save(folder)?;
    }
    Ok(())
}

/// A folder that has no identity must have no owner either.
pub(crate) fn unowned(folder: &Path) -> Result<(), IdentityError> {
    for name in FOLDERS {
        let text = fs::read(folder.join(name).join(MARKER)).unwrap_or_default();
        if let Ok(owner) = serde_json::from_slice::<Owner>(&text) {
            return Err(IdentityError::Missing { path: folder.join("identity.json"), node: owner.node });
        }
    }
    Ok(())
}

/// Durable on return, and whole or not there at all.
fn mark(folder: &Path, owner: &Owner) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let fresh = folder.join("owner.json.new");
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(owner)?)?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join(MARKER))?;
    File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_that_was_cut_short_goes_on_and_a_lost_folder_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        let mut identity = Identity::new_cluster(64).unwrap();
        identity.save(folder).unwrap();
        // Cut short after the first marker.
        mark(&folder.join("control"), &Owner { cluster: identity.cluster, node: identity.node }).unwrap();
        tie(folder, &mut identity).unwrap();
        let mut again = Identity::load(folder).unwrap().unwrap();
        assert!(again.bound);
        tie(folder, &mut again).unwrap();
        for name in FOLDERS {
            fs::rename(folder.join(name), folder.join("away")).unwrap();
            let error = tie(folder, &mut again).unwrap_err();
            assert!(matches!(&error, IdentityError::Foreign { folder, .. } if folder.ends_with(name)), "{error}");
            assert!(!folder.join(name).exists(), "nothing is made anew");
            fs::rename(folder.join("away"), folder.join(name)).unwrap();
        }
        // Another node's data under this identity.
        again.node = NodeId(7);
        assert!(matches!(tie(folder, &mut again), Err(IdentityError::Foreign { .. })));
    }
}
