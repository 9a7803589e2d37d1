//! Files and folders of the caller's drive.

use super::GrpcState;
use super::accounts::by;
use super::drive_acts::cursor;
use super::guard::place;
use super::problems::{Explain, invalid, status};
use apps::VersionId;
use apps::drive::{Entry, EntryKind, NewFile, Order, PutCondition, RecentAct, RenameCondition};
use bytes::Bytes;
use client::{BlockRef, Content, INLINE_BYTES_MAX, UploadId};
use rpc::grpc::limits::{FILE_BLOCKS_MAX, MISSING_HASHES_MAX, PATH_BYTES_MAX};
use rpc::grpc::v1::{self, drive_server::Drive, put_file_request};
use rpc::grpc::{Problem, block_hash, bytes16, kind};
use tonic::{Code, Request, Response, Status};
use types::limits::BLOCK_BYTES;
use types::{BlockHash, WallMillis};

pub(super) fn entry(entry: &Entry) -> v1::Entry {
    let common = v1::Entry {
        name: entry.name.clone(),
        created_ms: entry.created.0,
        modified_ms: entry.modified.0,
        ..v1::Entry::default()
    };
    match &entry.kind {
        EntryKind::Folder(folder) => {
            v1::Entry { kind: v1::EntryKind::Folder.into(), id: Bytes::copy_from_slice(&folder.id.0), ..common }
        }
        EntryKind::File(file) => v1::Entry {
            kind: v1::EntryKind::File.into(),
            id: Bytes::copy_from_slice(&file.id.0),
            size: file.size,
            modified_ms: file.mtime.0,
            hash: Bytes::copy_from_slice(&file.hash),
            version: Bytes::copy_from_slice(&file.version.0),
            media_type: file.media_type.clone(),
            composed: file.composed,
            ..common
        },
    }
}

/// What the paths mean is for the drive to say; only their length is judged here.
pub(super) fn path(path: &str) -> Result<&str, Status> {
    if path.len() > PATH_BYTES_MAX {
        return Err(invalid(format!("a path has at most {PATH_BYTES_MAX} bytes")));
    }
    Ok(path)
}

pub(super) fn upload_id(bytes: &[u8]) -> Result<UploadId, Status> {
    Ok(UploadId(u128::from_be_bytes(bytes16("an upload's id", bytes).map_err(status)?)))
}

#[tonic::async_trait]
impl Drive for GrpcState {
    async fn list_folder(
        &self,
        request: Request<v1::ListFolderRequest>,
    ) -> Result<Response<v1::ListFolderReply>, Status> {
        let drive = place(&request)?.drive;
        let asked = request.into_inner();
        let from = cursor(&asked.page_token)?;
        let order = match asked.order() {
            v1::Order::Unspecified => Order::Name,
            v1::Order::Size => Order::Size,
            v1::Order::Modified => Order::Modified,
        };
        let drives = &self.inner.drives;
        let page = drives.list_by(drive, path(&asked.path)?, order, asked.reverse, from, asked.limit).await;
        let page = page.map_err(status)?;
        Ok(Response::new(v1::ListFolderReply {
            entries: page.items.iter().map(entry).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn stat(&self, request: Request<v1::StatRequest>) -> Result<Response<v1::Entry>, Status> {
        let drive = place(&request)?.drive;
        let found = self.inner.drives.stat(drive, path(&request.into_inner().path)?).await.map_err(status)?;
        Ok(Response::new(entry(&found)))
    }

    async fn make_folder(&self, request: Request<v1::MakeFolderRequest>) -> Result<Response<v1::Entry>, Status> {
        let drive = place(&request)?.drive;
        let asked = request.into_inner();
        let path = path(&asked.path)?;
        let made = match asked.parents {
            true => self.inner.drives.make_folders(drive, path).await,
            false => self.inner.drives.make_folder(drive, path).await,
        };
        Ok(Response::new(entry(&made.map_err(status)?)))
    }

    async fn remove(&self, request: Request<v1::RemoveRequest>) -> Result<Response<v1::Empty>, Status> {
        let place = place(&request)?;
        let asked = request.into_inner();
        self.drives_of(&place).remove(place.drive, path(&asked.path)?, asked.recursive).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn rename(&self, request: Request<v1::RenameRequest>) -> Result<Response<v1::Entry>, Status> {
        let place = place(&request)?;
        let asked = request.into_inner();
        let condition = match asked.replace_file {
            true => RenameCondition::ReplaceFile,
            false => RenameCondition::MustNotExist,
        };
        let renamed = self.drives_of(&place).rename(place.drive, path(&asked.from)?, path(&asked.to)?, condition).await;
        Ok(Response::new(entry(&renamed.map_err(status)?)))
    }

    async fn missing(&self, request: Request<v1::MissingRequest>) -> Result<Response<v1::MissingReply>, Status> {
        place(&request)?;
        let asked = request.into_inner();
        if asked.hashes.len() > MISSING_HASHES_MAX {
            return Err(invalid(format!("at most {MISSING_HASHES_MAX} blocks can be asked about at once")));
        }
        let hashes = asked.hashes.iter().map(|hash| block_hash(hash)).collect::<Result<Vec<_>, _>>().map_err(status)?;
        let missing = self.inner.backend.missing_blocks(upload_id(&asked.upload)?, &hashes).await.map_err(status)?;
        let hashes = missing.iter().map(|hash| Bytes::copy_from_slice(&hash.0)).collect();
        Ok(Response::new(v1::MissingReply { hashes }))
    }

    async fn put_block(&self, request: Request<v1::PutBlockRequest>) -> Result<Response<v1::Empty>, Status> {
        place(&request)?;
        let asked = request.into_inner();
        let hash = block_hash(&asked.hash).map_err(status)?;
        if asked.data.is_empty() || asked.data.len() > BLOCK_BYTES {
            return Err(invalid(format!("a block has 1 to {BLOCK_BYTES} bytes")));
        }
        // The client checks that the bytes have that hash.
        self.inner.backend.put_block(upload_id(&asked.upload)?, hash, asked.data).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn put_file(&self, request: Request<v1::PutFileRequest>) -> Result<Response<v1::Entry>, Status> {
        let place = place(&request)?;
        let asked = request.into_inner();
        let condition = match &asked.condition {
            None => PutCondition::Replace,
            Some(put_file_request::Condition::Absent(_)) => PutCondition::CreateNew,
            Some(put_file_request::Condition::Replaces(version)) => {
                PutCondition::ReplaceIfVersion(VersionId(bytes16("a file's version", version).map_err(status)?))
            }
        };
        let version = match asked.version.as_ref() {
            [] => VersionId::random(),
            bytes => VersionId(bytes16("a file's version", bytes).map_err(status)?),
        };
        let new = NewFile {
            mtime: Some(WallMillis(asked.modified_ms)).filter(|at| at.0 > 0),
            media_type: asked.media_type.clone(),
            etag: None,
            version,
            by: Some(place.user.id),
        };
        let to = path(&asked.path)?.to_string();
        let content = self.content(asked).await?;
        let drives = self.drives_for(&place).await?;
        let put = drives.put_file(place.drive, &to, content, new, condition).await.map_err(status)?;
        drives.thumbnail_soon(place.drive, &put);
        drives.note(place.user.id, place.drive, &put, RecentAct::Uploaded);
        Ok(Response::new(entry(&put)))
    }

    async fn open_file(&self, request: Request<v1::OpenFileRequest>) -> Result<Response<v1::OpenFileReply>, Status> {
        let place = place(&request)?;
        self.open(&place, request.into_inner()).await.map(Response::new)
    }

    async fn get_block(&self, request: Request<v1::GetBlockRequest>) -> Result<Response<v1::GetBlockReply>, Status> {
        let place = place(&request)?;
        self.read_block(&place, request.into_inner()).await.map(Response::new)
    }

    async fn r#do(&self, request: Request<v1::DoRequest>) -> Result<Response<v1::DoReply>, Status> {
        let place = place(&request)?;
        self.do_acts(&place, request.into_inner()).await.map(Response::new)
    }

    async fn list_trash(&self, request: Request<v1::ListTrashRequest>) -> Result<Response<v1::ListTrashReply>, Status> {
        let place = place(&request)?;
        self.trash_page(&place, request.into_inner()).await.map(Response::new)
    }

    async fn empty_trash(
        &self,
        request: Request<v1::EmptyTrashRequest>,
    ) -> Result<Response<v1::EmptyTrashReply>, Status> {
        let place = place(&request)?;
        self.empty_the_trash(&place).await.map(Response::new)
    }

    async fn list_held(&self, request: Request<v1::ListHeldRequest>) -> Result<Response<v1::ListHeldReply>, Status> {
        let place = place(&request)?;
        self.all_held(&place).await.map(Response::new)
    }

    async fn let_go(&self, request: Request<v1::LetGoRequest>) -> Result<Response<v1::Empty>, Status> {
        let (place, by) = (place(&request)?, by(&request)?);
        let id = request.into_inner().id;
        let label = self.inner.drives.held_program(place.drive, &id).await.map_err(status)?.program.label;
        let shared = place.shared.as_ref().map(|it| it.name.as_str());
        // Written before it is done, for it may then remove what it likes.
        self.note_link(&by, shared, "held program let go", &label).await?;
        self.inner.drives.let_go(place.drive, &id).await.map_err(status)?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn put_back(&self, request: Request<v1::PutBackRequest>) -> Result<Response<v1::PutBackReply>, Status> {
        let place = place(&request)?;
        let by = Some(place.user.id);
        let done = self.inner.drives.put_back(place.drive, &request.into_inner().id, by).await.map_err(status)?;
        Ok(Response::new(v1::PutBackReply { restored: done.restored, left: done.left, more: done.more }))
    }

    async fn list_links(&self, request: Request<v1::ListLinksRequest>) -> Result<Response<v1::ListLinksReply>, Status> {
        self.all_links(request).await.map(Response::new)
    }

    async fn make_link(&self, request: Request<v1::MakeLinkRequest>) -> Result<Response<v1::MakeLinkReply>, Status> {
        self.new_link(request).await.map(Response::new)
    }

    async fn revoke_link(&self, request: Request<v1::RevokeLinkRequest>) -> Result<Response<v1::Empty>, Status> {
        self.take_link_back(request).await.map(Response::new)
    }

    async fn list_versions(
        &self,
        request: Request<v1::ListVersionsRequest>,
    ) -> Result<Response<v1::ListVersionsReply>, Status> {
        let place = place(&request)?;
        self.versions_of(&place, &request.into_inner().path).await.map(Response::new)
    }

    async fn remove_version(&self, request: Request<v1::RemoveVersionRequest>) -> Result<Response<v1::Empty>, Status> {
        let place = place(&request)?;
        self.drop_version(&place, request.into_inner()).await.map(Response::new)
    }

    async fn list_jobs(&self, request: Request<v1::ListJobsRequest>) -> Result<Response<v1::ListJobsReply>, Status> {
        let place = place(&request)?;
        self.all_jobs(&place).await.map(Response::new)
    }

    async fn get_job(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let place = place(&request)?;
        self.one_job(&place, &request.into_inner().id, false).await.map(Response::new)
    }

    async fn cancel_job(&self, request: Request<v1::CancelJobRequest>) -> Result<Response<v1::Job>, Status> {
        let place = place(&request)?;
        self.one_job(&place, &request.into_inner().id, true).await.map(Response::new)
    }

    async fn search(&self, request: Request<v1::SearchRequest>) -> Result<Response<v1::SearchReply>, Status> {
        let place = place(&request)?;
        self.find(&place, request.into_inner()).await.map(Response::new)
    }

    async fn star(&self, request: Request<v1::StarRequest>) -> Result<Response<v1::Entry>, Status> {
        let place = place(&request)?;
        let asked = request.into_inner();
        let drives = &self.inner.drives;
        let found = drives.star(place.user.id, place.drive, path(&asked.path)?, asked.starred).await.map_err(status)?;
        Ok(Response::new(entry(&found)))
    }

    async fn list_starred(
        &self,
        request: Request<v1::ListStarredRequest>,
    ) -> Result<Response<v1::PlacedReply>, Status> {
        self.starred(&place(&request)?.user).await.map(Response::new)
    }

    async fn list_recent(&self, request: Request<v1::ListRecentRequest>) -> Result<Response<v1::PlacedReply>, Status> {
        self.recent(&place(&request)?.user).await.map(Response::new)
    }

    async fn find_text(&self, request: Request<v1::FindTextRequest>) -> Result<Response<v1::SearchReply>, Status> {
        let place = place(&request)?;
        self.find_words(&place, request.into_inner()).await.map(Response::new)
    }

    async fn count_copies(
        &self,
        request: Request<v1::CountCopiesRequest>,
    ) -> Result<Response<v1::CountCopiesReply>, Status> {
        let place = place(&request)?;
        self.copies(&place, request.into_inner()).await.map(Response::new)
    }
}

impl GrpcState {
    /// What a file shall hold; all of its blocks are in the cluster and stay there while it is put together.
    async fn content(&self, asked: v1::PutFileRequest) -> Result<Content, Status> {
        let hash = block_hash(&asked.hash).map_err(status)?;
        let content = match asked.body {
            None => return Err(invalid("a file needs its content: inline, or as blocks")),
            Some(put_file_request::Body::Inline(bytes)) => {
                if bytes.len() > INLINE_BYTES_MAX {
                    return Err(invalid(format!("at most {INLINE_BYTES_MAX} bytes can be put inline: send blocks")));
                }
                let content = Content::inline(bytes).map_err(status)?;
                if content.hash != hash.0 {
                    return Err(invalid("these bytes have another hash"));
                }
                content
            }
            Some(put_file_request::Body::Blocks(list)) => {
                let upload = upload_id(&asked.upload)?;
                let blocks = listed(&list.blocks)?;
                self.require_blocks(upload, &blocks).await?;
                self.inner.backend.content_of_blocks(upload, hash.0, blocks).await.map_err(status)?
            }
        };
        if content.size != asked.size {
            return Err(invalid(format!("{} bytes were announced, and {} came", asked.size, content.size)));
        }
        Ok(content)
    }

    /// Blocks that were never sent, or were collected since, must not get into a file.
    async fn require_blocks(&self, upload: UploadId, blocks: &[BlockRef]) -> Result<(), Status> {
        for part in blocks.chunks(MISSING_HASHES_MAX) {
            let hashes: Vec<BlockHash> = part.iter().map(|block| block.hash).collect();
            let missing =
                self.inner.backend.missing_blocks(upload, &hashes).await.map_err(|error| status(error.problem()))?;
            if let Some(first) = missing.first() {
                let text = format!(
                    "{} blocks of this file are not in the cluster, {first} among them; nothing was put: send them again",
                    missing.len()
                );
                return Err(status(Problem::rejected(Code::FailedPrecondition, kind::BLOCKS_MISSING, text)));
            }
        }
        Ok(())
    }
}

/// Blocks as they are said, which must be all of full size but the last.
fn listed(blocks: &[v1::BlockRef]) -> Result<Vec<BlockRef>, Status> {
    if blocks.is_empty() || blocks.len() > FILE_BLOCKS_MAX {
        return Err(invalid(format!("a file has 1 to {FILE_BLOCKS_MAX} blocks")));
    }
    let last = blocks.len() - 1;
    let read = blocks.iter().enumerate().map(|(n, block)| {
        let length = block.length as usize;
        if length == 0 || length > BLOCK_BYTES || (n < last && length != BLOCK_BYTES) {
            return Err(invalid(format!("every block but the last has {BLOCK_BYTES} bytes, and the last 1 or more")));
        }
        Ok(BlockRef { hash: block_hash(&block.hash).map_err(status)?, length: block.length })
    });
    read.collect()
}
