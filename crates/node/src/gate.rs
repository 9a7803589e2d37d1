//! Who may call what: decided by the caller's certificate, not by what it says.

use crate::leader::FORWARDED;
use replication::chain::Message;
use rpc::wire::method;
use rpc::{Code, Peer, PeerKind, Status};
use types::NodeId;

/// Whether that peer may call that method with that body.
pub(crate) fn may_call(from: &Peer, number: u16, body: &[u8]) -> Result<(), Status> {
    let refuse = |why: &str| Err(Status::new(Code::Refused, why));
    match from.kind {
        PeerKind::Joining if number != method::JOIN => refuse("a machine that has not joined yet may only join"),
        PeerKind::Joining => Ok(()),
        PeerKind::Gateway if number & FORWARDED != 0 => refuse("only a node passes calls on"),
        // A list of what it may: a method that is new is the nodes' own until somebody thinks of it.
        PeerKind::Gateway => match number {
            method::TRANSACT
            | method::READ
            | method::VERIFY
            | method::WATCH
            | method::SCAN
            | method::COUNT
            | method::LAYOUT
            | method::CHANGE_LAYOUT
            | method::CREATE_TABLE
            | method::DELETE_TABLE
            | method::PUT_BLOCK
            | method::GET_BLOCK
            | method::HAVE_BLOCKS
            | method::REPAIR_BLOCK
            | method::BLOCK_COPIES
            | method::SCRUB
            | method::STATUS
            | method::MAKE_TOKEN => Ok(()),
            _ => refuse("only a node may call this"),
        },
        PeerKind::Node => match number & !FORWARDED {
            // These begin with whom they are for.
            method::REGISTER | method::LEASE | method::SURRENDER | method::DIED | method::REPORT => {
                match postcard::take_from_bytes::<NodeId>(body) {
                    Ok((node, _)) if Some(node) == from.certified => Ok(()),
                    _ => refuse("a node may speak only for itself"),
                }
            }
            _ => Ok(()),
        },
    }
}

/// Whether a chain message is from the node that it says it is from.
pub(crate) fn may_send(from: &Peer, message: &Message) -> bool {
    from.kind == PeerKind::Node && from.certified == Some(message.from.node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::wire::LeaseRequest;
    use types::{Incarnation, ReplicaId};

    fn lease_of(node: u64) -> Vec<u8> {
        let request = LeaseRequest { node: NodeId(node), incarnation: Incarnation(1), date: types::WallMillis(0) };
        rpc::codec::encode(&request).to_vec()
    }

    #[test]
    fn a_node_speaks_for_itself_and_others_not_at_all() {
        let replica = ReplicaId { node: NodeId(3), incarnation: Incarnation(1) };
        let node = Peer { certified: Some(NodeId(3)), ..Peer::node(replica, "n") };
        // Even when it runs on a node, and shows the node's certificate.
        let gateway = Peer { certified: Some(NodeId(3)), ..Peer::gateway("g") };
        let joiner = Peer::joining("j");
        // A witness' word is the node's, and no other's.
        assert!(may_call(&node, method::DIED, &rpc::codec::encode(&replica)).is_ok());
        let other = ReplicaId { node: NodeId(4), ..replica };
        assert!(may_call(&node, method::DIED, &rpc::codec::encode(&other)).is_err());
        assert!(may_call(&gateway, method::DIED, &rpc::codec::encode(&replica)).is_err());
        for number in [method::LEASE, method::LEASE | FORWARDED, method::SURRENDER, method::SURRENDER | FORWARDED] {
            assert!(may_call(&node, number, &lease_of(3)).is_ok());
            assert!(may_call(&node, number, &lease_of(4)).is_err());
            assert!(may_call(&node, number, &[]).is_err());
            assert!(may_call(&gateway, number, &lease_of(3)).is_err());
            assert!(may_call(&joiner, number, &lease_of(3)).is_err());
        }
        for number in [method::RAFT, method::CHAIN] {
            assert!(may_call(&node, number, &[]).is_ok());
            assert!(may_call(&gateway, number, &[]).is_err());
            assert!(may_call(&joiner, number, &[]).is_err());
        }
        assert!(may_call(&gateway, method::READ, &[]).is_ok());
        assert!(may_call(&joiner, method::READ, &[]).is_err());
        assert!(may_call(&joiner, method::JOIN, &[]).is_ok());
        assert!(may_call(&joiner, method::JOIN | FORWARDED, &[]).is_err());
    }
}
