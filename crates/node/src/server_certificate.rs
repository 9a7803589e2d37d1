//! The certificate that browsers see where the user gives none: by the cluster's authority, kept in
//! `web-certificate.json`, so that it is the same after a restart.

use crate::identity;
use crate::{Node, NodeError};
use control::controller::keys;
use rpc::tls::{Authority, Certified, Validity};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

const NAME: &str = "web-certificate.json";
/// Browsers take no longer one from an authority that was added by hand (825 days), nor clocks that are a little off.
const LIFE: Duration = Duration::from_secs(397 * 86_400);
/// Renewed when so much is left.
const RENEWED_AT: Duration = Duration::from_secs(60 * 86_400);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    names: Vec<String>,
    authority: String,
    own: Certified,
    ends: SystemTime,
}

impl Kept {
    /// For these names, by that authority, and for a while yet.
    fn serves(&self, names: &[String], authority: &Authority, now: SystemTime) -> bool {
        let left = self.ends.duration_since(now).unwrap_or_default();
        self.names == names && self.authority == authority.certificate() && left > RENEWED_AT && left <= LIFE
    }
}

impl Node {
    /// For browsers that come by these names and addresses: the certificate that was made last, or a new one when it is
    /// time. None while the authority is not known here.
    pub fn server_certificate(&self, names: &[String]) -> Result<Option<Certified>, NodeError> {
        let Some(authority) = self.authority() else { return Ok(None) };
        let now = SystemTime::now();
        // A damaged one is made anew like one that is missing: nobody else has to know it.
        let kept: Option<Kept> = identity::read(&self.inner.folder, NAME).unwrap_or_default();
        if let Some(kept) = kept.filter(|kept| kept.serves(names, &authority, now)) {
            return Ok(Some(kept.own));
        }
        let own = authority.issue_server(names, Validity::from_now(LIFE))?;
        let certificate = authority.certificate().to_string();
        let kept = Kept { names: names.to_vec(), authority: certificate, own, ends: now + LIFE };
        identity::write(&self.inner.folder, NAME, &kept)?;
        Ok(Some(kept.own))
    }

    /// The certificate of the cluster's authority, PEM: no secret.
    pub fn authority_certificate(&self) -> Option<String> {
        self.authority().map(|authority| authority.certificate().to_string())
    }

    fn authority(&self) -> Option<Authority> {
        keys::secrets(&self.inner.coordination.local_range(keys::SECRETS)).map(|secrets| secrets.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::ClusterId;

    #[test]
    fn a_kept_certificate_serves_until_its_end_is_near_or_a_name_or_the_authority_is_another() {
        let (one, other) = (Authority::new(ClusterId(1)).unwrap(), Authority::new(ClusterId(1)).unwrap());
        let now = SystemTime::now();
        let names = vec!["atoll.example".to_string(), "10.0.0.5".to_string()];
        let own = one.issue_server(&names, Validity::from_now(LIFE)).unwrap();
        let kept = Kept { names: names.clone(), authority: one.certificate().into(), own, ends: now + LIFE };
        assert!(kept.serves(&names, &one, now));
        assert!(!kept.serves(&names[..1], &one, now));
        assert!(!kept.serves(&names, &other, now));
        assert!(!kept.serves(&names, &one, now + LIFE - RENEWED_AT));
        assert!(!kept.serves(&names, &one, now - Duration::from_secs(1)), "made by a clock that was ahead");
    }
}
