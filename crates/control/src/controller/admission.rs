//! Who is let in: join tokens, new members, and who is a member still.
//!
//! A token is good for one machine. Which machine has used it is remembered until it expires, so
//! that a joiner which lost the answer asks again, with the same nonce, and gets the same number.

use super::keys::{self, Token, TokenUse};
use super::leading;
use super::service::{Controller, ControllerError, TRIES, number};
use crate::store::{Batch, Expect, MetadataError};
use rpc::tls::{Subject, Validity};
use rpc::wire::{JoinReply, JoinRequest};
use std::time::Duration;
use types::{NodeId, NodeInfo, WallMillis};

/// Tokens that may be outstanding.
const TOKENS_MAX: usize = 1000;

impl Controller {
    /// Remembers a join token, by the hash of its secret; forgets those that have expired.
    pub async fn remember_token(&self, secret: &str, valid: Duration) -> Result<(), ControllerError> {
        let now = self.clock.wall();
        let expires = WallMillis(now.0 + valid.as_millis() as u64);
        let known = self.store.local_range("tokens/").pairs;
        let stale: Vec<_> =
            known.iter().filter(|pair| keys::decode::<Token>(pair).is_none_or(|token| token.expires < now)).collect();
        if known.len() - stale.len() >= TOKENS_MAX {
            return Err(ControllerError::Invalid(format!(
                "there are {TOKENS_MAX} join tokens: wait until some expire"
            )));
        }
        let token = keys::encode(&Token { expires, used: None });
        let batch = Batch::new().put(keys::token(&hash(secret.as_bytes())), token);
        let batch = stale.into_iter().fold(batch, |batch, pair| batch.delete(&pair.key));
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Admits a new node, with a certificate for so long.
    pub async fn join(&self, request: JoinRequest, life: Duration) -> Result<JoinReply, ControllerError> {
        leading::bounded(&request.presence)?;
        // Strangers may ask; what each asks costs a round among the voters, which leases need too.
        let _turn = self.joins.acquire().await.map_err(|_| ControllerError::Busy)?;
        let token_key = keys::token(&hash(request.secret.as_bytes()));
        let nonce = hash(&request.nonce.to_be_bytes());
        for _ in 0..TRIES {
            let Some(pair) = self.store.get(&token_key).await? else {
                return Err(denied("is not known here, or expired long ago"));
            };
            let token: Token = keys::decode(&pair).ok_or(ControllerError::Busy)?;
            if token.expires < self.clock.wall() {
                return Err(denied("has expired"));
            }
            if let Some(used) = token.used {
                if used.nonce != nonce {
                    return Err(denied("was used by another machine"));
                }
                return match self.store.get(&keys::node(used.node)).await?.and_then(|pair| keys::decode(&pair)) {
                    // Whoever has begun a life has its certificate.
                    Some(NodeInfo { incarnation, .. }) if incarnation.0 == 0 => {
                        self.admitted(used.node, &request, life).await
                    }
                    _ => Err(denied("was used up")),
                };
            }
            let next = self.store.get(keys::NEXT_NODE).await?.ok_or(ControllerError::Busy)?;
            let id = number(&next.value)?;
            let node = NodeId(id);
            // A request that makes no sense must not use the token up.
            let reply = self.admitted(node, &request, life).await?;
            let used = Some(TokenUse { nonce: nonce.clone(), node });
            let info = NodeInfo { address: request.presence.address.clone(), ..NodeInfo::unborn(node) };
            let batch = Batch::new()
                .expect(&token_key, Expect::Revision(pair.revision))
                .expect(keys::NEXT_NODE, Expect::Revision(next.revision))
                .put(&token_key, keys::encode(&Token { used, ..token }))
                .put(keys::NEXT_NODE, (id + 1).to_string())
                .put(keys::node(node), keys::encode(&info));
            match self.store.commit(batch).await {
                Ok(_) => return Ok(reply),
                Err(MetadataError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControllerError::Busy)
    }

    async fn admitted(
        &self,
        node: NodeId,
        request: &JoinRequest,
        life: Duration,
    ) -> Result<JoinReply, ControllerError> {
        let pair = self.store.get(keys::SECRETS).await?.ok_or(ControllerError::Busy)?;
        let keys::Secrets { authority, gateways } = keys::decode(&pair).ok_or(ControllerError::Busy)?;
        let certificate = authority
            .certify(Subject::Node(node), &request.request, Validity::from_now(life))
            .map_err(|error| ControllerError::Invalid(error.to_string()))?;
        let partitions = self.store.local_range("chains/").pairs.len() as u16;
        Ok(JoinReply {
            node,
            partitions,
            authority: authority.certificate().into(),
            certificate,
            gateways,
            coordination: String::new(),
        })
    }

    /// Whether that node is a member still. Numbers are never used again.
    pub async fn is_member(&self, node: NodeId) -> Result<bool, ControllerError> {
        let listed = self.store.get(&keys::node(node)).await?.is_some();
        Ok(listed && self.store.get(&keys::removed(node)).await?.is_none())
    }
}

fn denied(why: &str) -> ControllerError {
    ControllerError::Denied(format!("this join token {why}: make a new one with `atoll cluster join-token`"))
}

/// What the metadata keeps of a secret.
fn hash(secret: &[u8]) -> String {
    types::BlockHash::of(secret).to_string()
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
