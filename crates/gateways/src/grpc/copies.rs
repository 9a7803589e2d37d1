//! How many intact copies there are of a file.

use super::GrpcState;
use super::drive::path;
use super::guard::InDrive;
use super::problems::status;
use crate::copies::{Asked, look};
use apps::VersionId;
use bytes::Bytes;
use rpc::grpc::{bytes16, v1};
use tonic::Status;

impl GrpcState {
    pub(super) async fn copies(
        &self,
        place: &InDrive,
        asked: v1::CountCopiesRequest,
    ) -> Result<v1::CountCopiesReply, Status> {
        let expect = match asked.expect.as_ref() {
            [] => None,
            version => Some(VersionId(bytes16("a file's version", version).map_err(status)?)),
        };
        let part = Asked { who: place.user.id, path: path(&asked.path)?, from: asked.offset, expect, read: asked.read };
        let inner = &self.inner;
        let (open, copies) = look(&*inner.backend, &inner.drives, place.drive, part).await.map_err(status)?;
        let node = |(node, said): (&types::NodeId, &client::NodeCopies)| v1::NodeCopies {
            node: node.0,
            intact: said.intact,
            damaged: said.damaged,
            absent: said.absent,
            unknown: said.unknown,
        };
        Ok(v1::CountCopiesReply {
            version: Bytes::copy_from_slice(&open.file.version.0),
            size: open.content.size,
            intact: copies.intact,
            wanted: copies.wanted,
            looked: copies.looked,
            blocks: copies.blocks,
            upto: copies.upto,
            verified_ms: copies.verified.map_or(0, |at| at.0),
            nodes: copies.nodes.iter().map(node).collect(),
            next_offset: copies.next,
        })
    }
}
