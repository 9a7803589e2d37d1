//! Join tokens: what a machine needs in order to join.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use types::ClusterId;

/// Goes from a member to a joiner as one word of text. Until it is used or expires,
/// whoever has it can join: keep it secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Hash of the authority's certificate: by this the joiner knows the cluster.
    pub pin: [u8; 32],
    /// Used up by joining.
    pub secret: String,
    /// Members to ask.
    pub addresses: Vec<String>,
}

const PREFIX: &str = "atoll-join-2-";

impl std::fmt::Display for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(rpc::codec::encode(self)))
    }
}

impl std::str::FromStr for JoinToken {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<JoinToken, Self::Err> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|body| URL_SAFE_NO_PAD.decode(body).ok());
        bytes
            .and_then(|bytes| rpc::codec::decode(&bytes).ok())
            .ok_or("this is not a join token: it should be one word that begins with atoll-join-2-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        let token = JoinToken {
            cluster: ClusterId(7),
            pin: [9; 32],
            secret: "s".into(),
            addresses: vec!["127.0.0.1:7071".into()],
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert!("atoll-join-2-!!".parse::<JoinToken>().is_err());
        assert!(token.to_string()[3..].parse::<JoinToken>().is_err());
    }
}
