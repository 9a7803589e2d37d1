//! How many intact copies there are of a file.

use super::drive::{FileVersion, service};
use super::{Remote, RemoteError};
use crate::{Copies, NodeCopies};
use bytes::Bytes;
use rpc::grpc::{bytes16, v1};
use types::{NodeId, WallMillis};

impl Remote {
    /// Of a part of the file that begins at `offset`: `Copies::next` says where the next one does, which must be of the
    /// version that comes with it. With `read`, its holders read it first.
    pub async fn count_copies(
        &self,
        path: &str,
        offset: u64,
        expect: Option<FileVersion>,
        read: bool,
    ) -> Result<(FileVersion, Copies), RemoteError> {
        let expect = expect.map_or_else(Bytes::new, |version| Bytes::copy_from_slice(&version.0));
        let message = v1::CountCopiesRequest { path: path.to_string(), offset, expect, read };
        let reply = self.read(message, |channel, request| async move { service(channel).count_copies(request).await });
        let reply = reply.await?;
        let node = |it: v1::NodeCopies| {
            let said = NodeCopies { intact: it.intact, damaged: it.damaged, absent: it.absent, unknown: it.unknown };
            (NodeId(it.node), said)
        };
        let copies = Copies {
            intact: reply.intact,
            wanted: reply.wanted,
            looked: reply.looked,
            blocks: reply.blocks,
            upto: reply.upto,
            verified: Some(WallMillis(reply.verified_ms)).filter(|at| at.0 > 0),
            nodes: reply.nodes.into_iter().map(node).collect(),
            next: reply.next_offset,
        };
        Ok((FileVersion(bytes16("a file's version", &reply.version)?), copies))
    }
}
