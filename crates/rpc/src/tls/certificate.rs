//! What a certificate says of its holder.

use super::TlsError;
use std::fmt;
use std::time::{Duration, SystemTime};
use types::{ClusterId, NodeId};
use x509_parser::extensions::GeneralName;

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A member.
    Node(NodeId),
    /// Holds nothing, serves people.
    Gateway,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Node(node) => write!(f, "node {node}"),
            Subject::Gateway => f.write_str("gateway"),
        }
    }
}

impl Subject {
    /// As a certificate carries it.
    pub(super) fn uri(self, cluster: ClusterId) -> String {
        match self {
            Subject::Node(node) => format!("atoll://{:032x}/node/{}", cluster.0, node.0),
            Subject::Gateway => format!("atoll://{:032x}/gateway", cluster.0),
        }
    }

    fn from_uri(uri: &str, cluster: ClusterId) -> Option<Subject> {
        let rest = uri.strip_prefix(&format!("atoll://{:032x}/", cluster.0))?;
        match rest.strip_prefix("node/") {
            Some(number) => number.parse().ok().map(|number| Subject::Node(NodeId(number))),
            None => (rest == "gateway").then_some(Subject::Gateway),
        }
    }
}

/// A certificate, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub subject: Subject,
    pub expires: SystemTime,
}

/// Reads a certificate whose signature has been checked.
pub(crate) fn read(der: &[u8], cluster: ClusterId) -> Result<Shown, TlsError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|error| TlsError(error.to_string()))?;
    let names = certificate.subject_alternative_name().map_err(|error| TlsError(error.to_string()))?;
    let mut subjects = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Subject::from_uri(uri, cluster),
        _ => None,
    });
    let (Some(subject), None) = (subjects.next(), subjects.next()) else {
        return Err(TlsError("the certificate names no member of this cluster".into()));
    };
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Ok(Shown { subject, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_read_back_in_their_own_cluster_only() {
        for subject in [Subject::Node(NodeId(3)), Subject::Gateway] {
            let uri = subject.uri(ClusterId(7));
            assert_eq!(Subject::from_uri(&uri, ClusterId(7)), Some(subject));
            assert_eq!(Subject::from_uri(&uri, ClusterId(8)), None);
        }
        let odd = format!("atoll://{:032x}/node/3/4", 7);
        assert_eq!(Subject::from_uri(&odd, ClusterId(7)), None);
    }
}
