//! The rows of a drive as they are stored: protobuf, fields only ever added.

use super::{DriveError, Entry, EntryKind, FileInfo, FolderInfo};
use crate::{FileId, FolderId, UserId, VersionId};
use bytes::Bytes;
use prost::Message;
use types::WallMillis;

/// An entry in its parent folder.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryRow {
    #[prost(message, optional, tag = "1")]
    pub folder: Option<EntryFolder>,
    #[prost(message, optional, tag = "2")]
    pub file: Option<EntryFile>,
    #[prost(uint64, tag = "3")]
    pub created: u64,
    #[prost(uint64, tag = "4")]
    pub modified: u64,
    /// Which of the index's rows and whether a place were written with it: [`super::index::GENERATION`]. None by
    /// releases that had neither.
    #[prost(uint32, tag = "5")]
    pub indexed: u32,
    /// There is a row of properties.
    #[prost(bool, tag = "6")]
    pub properties: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryFolder {
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    #[prost(bool, tag = "2")]
    pub implied: bool,
    #[prost(uint32, optional, tag = "3")]
    pub height: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryFile {
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub version: Bytes,
    #[prost(uint64, tag = "3")]
    pub size: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub hash: Bytes,
    #[prost(uint64, tag = "5")]
    pub mtime: u64,
    #[prost(string, tag = "6")]
    pub etag: String,
    #[prost(string, tag = "7")]
    pub media_type: String,
    /// There are, or were, earlier versions.
    #[prost(bool, tag = "8")]
    pub history: bool,
    #[prost(bytes = "bytes", tag = "9")]
    pub by: Bytes,
    #[prost(bool, tag = "10")]
    pub composed: bool,
    #[prost(uint64, tag = "11")]
    pub order: u64,
    #[prost(bool, tag = "12")]
    pub named: bool,
}

/// Where a folder or file is: the reverse of its entry, written in the same transaction.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PlaceRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub parent: Bytes,
    #[prost(string, tag = "2")]
    pub name: String,
}

/// Work left for the sweeper. Its age is the commit time of its item.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WorkRow {
    #[prost(enumeration = "Work", tag = "1")]
    pub work: i32,
    /// Nobody can be reading what it is about: no need to wait.
    #[prost(bool, tag = "2")]
    pub at_once: bool,
}

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Work {
    /// From a newer release: left alone.
    Unknown = 0,
    /// A put under way: its content has, or may get, references and no entry yet.
    Put = 1,
    /// A content that no entry names: its references go.
    Release = 2,
    /// A folder taken out of the tree: its entries go.
    Dismantle = 3,
    /// A file that is gone for good: its earlier versions go.
    Forget = 4,
    /// An upload in parts that is under way: it is aborted when nobody touches it any more.
    Upload = 5,
    /// An upload that was aborted: its parts go.
    Parts = 6,
    /// An upload that was completed: its parts go, whose bytes are the object's.
    UsedParts = 7,
}

impl WorkRow {
    pub(super) fn encoded(work: Work, at_once: bool) -> Vec<u8> {
        WorkRow { work: work as i32, at_once }.encode_to_vec()
    }
}

/// Reads a row, or says which kind is damaged.
pub(super) fn decode<M: Message + Default>(what: &str, value: &[u8]) -> Result<M, DriveError> {
    M::decode(value).map_err(|error| DriveError::Damaged(format!("{what}: {error}")))
}

impl EntryFile {
    pub(super) fn from_info(file: &FileInfo) -> EntryFile {
        EntryFile {
            id: file.id.bytes(),
            version: file.version.bytes(),
            size: file.size,
            hash: Bytes::copy_from_slice(&file.hash),
            mtime: file.mtime.0,
            etag: file.etag.clone(),
            media_type: file.media_type.clone().unwrap_or_default(),
            history: file.history,
            by: file.by.map(|by| by.bytes()).unwrap_or_default(),
            composed: file.composed,
            order: file.order,
            named: file.named,
        }
    }

    pub(super) fn into_info(self) -> Result<FileInfo, DriveError> {
        let damaged = || DriveError::Damaged("a file's ids or hash".into());
        Ok(FileInfo {
            id: FileId::from_slice(&self.id).ok_or_else(damaged)?,
            version: VersionId::from_slice(&self.version).ok_or_else(damaged)?,
            size: self.size,
            hash: self.hash[..].try_into().map_err(|_| damaged())?,
            mtime: WallMillis(self.mtime),
            etag: self.etag,
            media_type: Some(self.media_type).filter(|text| !text.is_empty()),
            history: self.history,
            by: UserId::from_slice(&self.by),
            composed: self.composed,
            order: self.order,
            named: self.named,
        })
    }
}

impl EntryRow {
    pub(super) fn from_entry(entry: &Entry) -> EntryRow {
        let (folder, file) = match &entry.kind {
            EntryKind::Folder(folder) => {
                let (id, implied, height) = (folder.id.bytes(), folder.implied, folder.height);
                (Some(EntryFolder { id, implied, height }), None)
            }
            EntryKind::File(file) => (None, Some(EntryFile::from_info(file))),
        };
        EntryRow {
            folder,
            file,
            created: entry.created.0,
            modified: entry.modified.0,
            indexed: super::index::GENERATION,
            properties: entry.properties,
        }
    }

    pub(super) fn into_entry(self, name: &str) -> Result<Entry, DriveError> {
        let damaged = || DriveError::Damaged(format!("the entry {name:?} is neither a file nor a folder"));
        let kind = match (self.folder, self.file) {
            (Some(folder), None) => {
                let id = FolderId::from_slice(&folder.id).ok_or_else(damaged)?;
                EntryKind::Folder(FolderInfo { id, implied: folder.implied, height: folder.height })
            }
            (None, Some(file)) => {
                let mut info = file.into_info()?;
                // A release that did not know of versions says nothing of them when it moves a file.
                info.history |= self.indexed == 0;
                EntryKind::File(info)
            }
            _ => return Err(damaged()),
        };
        Ok(Entry {
            name: name.to_string(),
            created: WallMillis(self.created),
            modified: WallMillis(self.modified),
            properties: self.properties,
            kind,
        })
    }
}

impl Entry {
    pub(super) fn encode(&self) -> Vec<u8> {
        EntryRow::from_entry(self).encode_to_vec()
    }

    pub(super) fn decode(name: &str, value: &[u8]) -> Result<Entry, DriveError> {
        decode::<EntryRow>("an entry", value)?.into_entry(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_read_back(ids: [u8; 16], hash: [u8; 32], size: u64, times: [u64; 3], folder: bool, etag: String) {
            let kind = if folder {
                EntryKind::Folder(FolderInfo { id: FolderId(ids), implied: size % 5 == 0, height: (size % 3 == 0).then_some(size as u32) })
            } else {
                let (mtime, media_type) = (WallMillis(times[0]), Some("text/plain".to_string()));
                EntryKind::File(FileInfo {
                    id: FileId(ids), version: VersionId(ids), size, hash, mtime, etag, media_type, history: size % 2 == 0,
                    by: (size % 5 == 0).then_some(UserId(ids)),
                    composed: size % 7 == 0,
                    order: times[1],
                    named: size % 11 == 0,
                })
            };
            let entry = Entry {
                name: "n".into(), created: WallMillis(times[1]), modified: WallMillis(times[2]),
                properties: size % 3 == 0, kind,
            };
            prop_assert_eq!(Entry::decode("n", &entry.encode()).unwrap(), entry);
        }

        #[test]
        fn any_bytes_are_read_or_called_damaged(bytes: Vec<u8>) {
            let _ = Entry::decode("n", &bytes);
        }
    }

    #[test]
    fn fields_of_a_newer_release_are_passed_over() {
        let entry = Entry {
            name: "n".into(),
            created: WallMillis(1),
            modified: WallMillis(2),
            properties: true,
            kind: EntryKind::Folder(FolderInfo::new(FolderId([7; 16]))),
        };
        let mut bytes = entry.encode();
        prost::encoding::string::encode(900, &"new".to_string(), &mut bytes);
        assert_eq!(Entry::decode("n", &bytes).unwrap(), entry);
    }
}
