//! Reading files: which blocks, from whom, and by what right.

use super::GrpcState;
use super::drive::{entry, path};
use super::guard::InDrive;
use super::problems::{invalid, status};
use super::tickets::Tickets;
use apps::drive::{EntryKind, RecentAct};
use apps::{DriveError, VersionId};
use bytes::Bytes;
use client::Body;
use rpc::grpc::limits::OPEN_BLOCKS_MAX;
use rpc::grpc::{Problem, block_hash, bytes16, kind, v1};
use std::collections::BTreeMap;
use tonic::{Code, Status};
use types::{Layout, PartitionId};

impl GrpcState {
    pub(super) async fn open(&self, place: &InDrive, asked: v1::OpenFileRequest) -> Result<v1::OpenFileReply, Status> {
        let path = path(&asked.path)?;
        let mut opened = match asked.version.as_ref() {
            [] => self.inner.drives.open(place.drive, path).await,
            version => {
                let version = VersionId(bytes16("a file's version", version).map_err(status)?);
                self.inner.drives.open_version(place.drive, path, version).await
            }
        }
        .map_err(status)?;
        opened.entry.kind = EntryKind::File(opened.file.clone());
        if !asked.expect.is_empty() && asked.expect != opened.file.version.0[..] {
            return Err(status(DriveError::Changed { path: path.to_string() }));
        }
        if asked.offset > opened.content.size {
            return Err(invalid(format!("{path} has {} bytes", opened.content.size)));
        }
        if asked.offset == 0 {
            self.inner.drives.note(place.user.id, place.drive, &opened.entry, RecentAct::Opened);
        }
        let expires = Tickets::expiry(self.inner.backend.now());
        let mut reply = v1::OpenFileReply {
            entry: Some(entry(&opened.entry)),
            first_offset: asked.offset,
            tickets_expire_ms: expires.0,
            ..v1::OpenFileReply::default()
        };
        if let Body::Inline(bytes) = &opened.content.body {
            reply.inline = Some(bytes.clone());
            return Ok(reply);
        }
        let found =
            self.inner.backend.blocks_of(&opened.content, asked.offset, OPEN_BLOCKS_MAX).await.map_err(status)?;
        let layout = self.inner.backend.layout();
        let mut sets: BTreeMap<PartitionId, u32> = BTreeMap::new();
        for placed in &found {
            let hash = placed.block.hash;
            let partition = hash.partition(layout.partition_count().max(1));
            let next = sets.len() as u32;
            let holders = *sets.entry(partition).or_insert_with(|| {
                reply.holder_sets.push(self.holders(&layout, partition));
                next
            });
            reply.blocks.push(v1::ReadableBlock {
                hash: Bytes::copy_from_slice(&hash.0),
                length: placed.block.length,
                ticket: self.inner.tickets.make(&place.user.id, place.shared_id(), &hash, expires),
                holders,
            });
        }
        if let (Some(first), Some(last)) = (found.first(), found.last()) {
            reply.first_offset = first.at;
            let end = last.at + u64::from(last.block.length);
            reply.next_offset = (end < opened.content.size).then_some(end);
        }
        Ok(reply)
    }

    /// The nodes that have a partition's blocks: this one first, then those that hold everything.
    fn holders(&self, layout: &Layout, partition: PartitionId) -> v1::HolderSet {
        let members = layout.chain(partition).map(|chain| chain.members.as_slice()).unwrap_or_default();
        let mut nodes: Vec<_> = members
            .iter()
            .filter(|member| member.state != types::MemberState::Syncing)
            .filter_map(|member| layout.nodes.get(&member.replica.node))
            .filter(|node| node.alive && !node.grpc.is_empty())
            .collect();
        nodes.sort_by_key(|node| Some(node.id) != self.inner.node);
        let holders = nodes.into_iter().map(|node| v1::Holder { node: node.id.0, address: node.grpc.clone() });
        v1::HolderSet { holders: holders.collect() }
    }

    pub(super) async fn read_block(
        &self,
        place: &InDrive,
        asked: v1::GetBlockRequest,
    ) -> Result<v1::GetBlockReply, Status> {
        let hash = block_hash(&asked.hash).map_err(status)?;
        if !self.inner.tickets.check(&asked.ticket, &place.user.id, place.shared_id(), &hash, self.inner.backend.now())
        {
            let text = "this ticket is not good for this block, or not any more: open the file again";
            return Err(status(Problem::rejected(Code::PermissionDenied, kind::DENIED, text)));
        }
        if let Some(local) = &self.inner.local_blocks
            && let Some(data) = local.get(hash).await
        {
            return Ok(v1::GetBlockReply { data });
        }
        let data = self.inner.backend.get_block(hash).await.map_err(status)?;
        Ok(v1::GetBlockReply { data })
    }
}
