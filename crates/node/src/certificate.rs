//! A node's certificate: kept in `certificate.json`, made anew by the node itself long before it runs out.
//!
//! Every member has the authority in its copy of the metadata, so that renewal needs nobody: a
//! cluster that was switched off for a year starts as if it had been a day.

use crate::identity::{self, IdentityError};
use crate::node::Inner;
use control::controller::keys;
use rpc::tls::{Authority, Certified, Keyring, Subject, TlsError, Validity};
use rpc::{Credentials, Peer};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use types::{ClusterId, NodeId};

const NAME: &str = "certificate.json";
/// The longest pause between two looks at the clock: it may jump, when a machine wakes or learns the time.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A certificate that lasts longer than one made now would, by more than this, was made by a clock that was ahead, and
/// is not valid yet for others.
const AHEAD: Duration = Duration::from_secs(600);

/// What a data folder holds to show to other nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Papers {
    /// Certificate of the cluster's authority.
    pub authority: String,
    /// The node's own, with its key.
    pub own: Certified,
}

impl Papers {
    /// Fresh from the authority.
    pub fn issued(authority: &Authority, node: NodeId, life: Duration) -> Result<Papers, TlsError> {
        let own = authority.issue(Subject::Node(node), Validity::from_now(life))?;
        Ok(Papers { authority: authority.certificate().into(), own })
    }

    /// Those of a data folder, if it has any.
    pub fn load(folder: &Path) -> Result<Option<Papers>, IdentityError> {
        identity::read(folder, NAME)
    }

    /// Kept, readable by its owner alone.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        identity::write(folder, NAME, self)
    }

    /// As the transport wants them.
    pub fn keyring(&self, cluster: ClusterId) -> Result<Keyring, TlsError> {
        Keyring::new(cluster, &self.authority, &self.own)
    }
}

/// Credentials of a gateway on the machine of this data folder: whoever can read that may ask what a gateway may. None
/// when it belongs to no cluster yet.
pub fn gateway_credentials(folder: &Path, address: &str) -> Result<Option<Credentials>, crate::NodeError> {
    let (Some(identity), Some(papers)) = (crate::Identity::load(folder)?, Papers::load(folder)?) else {
        return Ok(None);
    };
    Ok(Some(Credentials::new(papers.keyring(identity.cluster)?, Peer::gateway(address))))
}

/// Whether it is time for a new certificate, of so long a life, where the present one has so much left.
fn is_due(left: Duration, life: Duration) -> bool {
    left < life / 3 || left > life + AHEAD
}

/// Renews the certificate whenever two thirds of its life are over.
pub(crate) async fn keep(inner: Arc<Inner>) {
    let life = inner.certificate_life;
    loop {
        let left = inner.credentials.keys.expires().duration_since(SystemTime::now()).unwrap_or_default();
        if is_due(left, life) {
            match renew(&inner) {
                Ok(true) => tracing::info!(days = life.as_secs() / 86_400, "this node's certificate was renewed"),
                Ok(false) => tracing::debug!("the cluster's authority is not known here yet"),
                Err(error) => tracing::error!(%error, left = ?left, "this node's certificate cannot be renewed"),
            }
        }
        tokio::time::sleep((life / 12).min(LOOK_EVERY)).await;
    }
}

/// False when this node has not heard of the authority yet.
fn renew(inner: &Inner) -> Result<bool, crate::NodeError> {
    let all = inner.coordination.local_range(keys::SECRETS);
    let Some(keys::Secrets { authority, .. }) = keys::secrets(&all) else { return Ok(false) };
    let papers = Papers::issued(&authority, inner.id(), inner.certificate_life)?;
    papers.save(&inner.folder)?;
    inner.credentials.keys.renew(&papers.own)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_time_and_after_a_clock_that_was_ahead() {
        let day = Duration::from_secs(86_400);
        for (left, due) in
            [(day * 30, false), (day * 11, false), (day * 9, true), (Duration::ZERO, true), (day * 31, true)]
        {
            assert_eq!(is_due(left, day * 30), due, "{left:?}");
        }
    }
}
