//! How a new machine becomes a member: by its token, once, however often it has to ask.

use crate::certificate::Papers;
use crate::coordination::Choice;
use crate::identity::{self, Identity};
use crate::node::NodeError;
use crate::token::JoinToken;
use control::Backend;
use rpc::tls::{Keyring, PendingKey};
use rpc::wire::{Fault, JoinReply, JoinRequest, Presence, method};
use rpc::{ClientConfig, Credentials, HandshakeError, Peer, Pool, RpcError};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

const NAME: &str = "joining.json";
const PATIENCE: Duration = Duration::from_secs(8);

/// What a joiner keeps before it asks, so that asking again gets the same answer.
#[derive(Serialize, Deserialize)]
struct Joining {
    nonce: u128,
    key: PendingKey,
}

/// Asks the members that the token names to be admitted; keeps what they answer.
pub(crate) async fn join(
    folder: &Path,
    token: &JoinToken,
    presence: &Presence,
    asked: Option<&Backend>,
) -> Result<(Identity, Choice), NodeError> {
    let joining = match identity::read::<Joining>(folder, NAME)? {
        Some(joining) => joining,
        None => {
            let joining = Joining { nonce: rand::random(), key: PendingKey::new()? };
            identity::write(folder, NAME, &joining)?;
            joining
        }
    };
    let reply = ask(token, &joining, presence, asked).await?;
    let choice = Choice::joined(asked, &reply.coordination)?;
    let own = joining.key.certified(reply.certificate.clone());
    let papers = Papers { authority: reply.authority.clone(), own };
    papers.keyring(token.cluster)?;
    papers.save(folder)?;
    let identity = Identity::joined(token, &reply);
    choice.save(folder)?;
    // From here on it is a member; before, it asks again.
    identity.save(folder)?;
    if let Err(error) = std::fs::remove_file(folder.join(NAME)) {
        tracing::debug!(%error, "{NAME} stays: it is of no use any more");
    }
    Ok((identity, choice))
}

async fn ask(
    token: &JoinToken,
    joining: &Joining,
    presence: &Presence,
    asked: Option<&Backend>,
) -> Result<JoinReply, NodeError> {
    let keys = Keyring::joining(token.cluster, token.pin)?;
    let me = Peer::joining(presence.address.clone());
    let pool = Pool::new(ClientConfig::new(Credentials::new(keys, me)));
    let request = JoinRequest {
        secret: token.secret.clone(),
        nonce: joining.nonce,
        request: joining.key.request.clone().into(),
        presence: presence.clone(),
        coordination: asked.map(Backend::to_string),
    };
    let request = rpc::codec::encode(&request);
    let mut tried = Vec::new();
    for address in &token.addresses {
        let reply = pool.call(address, method::JOIN, request.clone(), PATIENCE).await;
        match reply.and_then(|reply| rpc::codec::decode::<Result<JoinReply, Fault>>(&reply)) {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(Fault::Denied(why))) => return Err(NodeError::Join(why)),
            Ok(Err(fault)) => tried.push(format!("{address}: {fault}")),
            Err(RpcError::Handshake(HandshakeError::Stranger(why))) => {
                tried.push(format!("{address}: this token is for another cluster than the one found there ({why})"));
            }
            Err(RpcError::Handshake(HandshakeError::Clocks(why))) => {
                tried.push(format!(
                    "{address}: the clocks differ: {why}. The token is still good: set this machine's clock"
                ));
            }
            Err(error) => tried.push(format!("{address}: {error}")),
        }
    }
    Err(NodeError::Join(tried.join("; ")))
}
