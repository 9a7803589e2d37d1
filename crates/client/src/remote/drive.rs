//! Files and folders of the signed-in person's drive: names, not contents.

use super::call::Safety;
use super::{Remote, RemoteError};
use rpc::grpc::limits::MESSAGE_BYTES_MAX;
use rpc::grpc::v1::{self, drive_client::DriveClient};
use rpc::grpc::{Malformed, block_hash, bytes16};
use std::fmt;
use tonic::transport::Channel;
use types::{BlockHash, WallMillis};

/// Names one version of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileVersion(pub [u8; 16]);

impl FileVersion {
    /// A new one.
    pub(super) fn random() -> FileVersion {
        FileVersion(rand::random())
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for FileVersion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<FileVersion, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("a file's version is 32 hexadecimal digits");
        }
        u128::from_str_radix(text, 16)
            .map(|number| FileVersion(number.to_be_bytes()))
            .map_err(|_| "a file's version is 32 hexadecimal digits")
    }
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its own number; survives renaming.
    pub id: [u8; 16],
    /// Its name within its folder; empty for the root.
    pub name: String,
    /// When it was made.
    pub created: WallMillis,
    /// When its content was last changed.
    pub modified: WallMillis,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File(FileInfo),
}

/// A file's content, from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole; of one that was put together from parts, of its blocks' names.
    pub hash: BlockHash,
    /// It was put together from parts.
    pub composed: bool,
    /// Names this version of the content.
    pub version: FileVersion,
    /// As in `text/plain`, when known.
    pub media_type: Option<String>,
}

impl Entry {
    /// True for a folder.
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, EntryKind::Folder)
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&FileInfo> {
        match &self.kind {
            EntryKind::File(file) => Some(file),
            EntryKind::Folder => None,
        }
    }

    /// Bytes; 0 for a folder.
    pub fn size(&self) -> u64 {
        self.file().map_or(0, |file| file.size)
    }

    pub(super) fn from_wire(entry: v1::Entry) -> Result<Entry, Malformed> {
        let kind = match entry.kind() {
            v1::EntryKind::Folder => EntryKind::Folder,
            v1::EntryKind::File => EntryKind::File(FileInfo {
                size: entry.size,
                hash: block_hash(&entry.hash)?,
                composed: entry.composed,
                version: FileVersion(bytes16("a file's version", &entry.version)?),
                media_type: entry.media_type,
            }),
            v1::EntryKind::Unspecified => return Err(Malformed(format!("no entry is of kind {}", entry.kind))),
        };
        Ok(Entry {
            id: bytes16("an entry's number", &entry.id)?,
            name: entry.name,
            created: WallMillis(entry.created_ms),
            modified: WallMillis(entry.modified_ms),
            kind,
        })
    }
}

/// What must be true of the path that a file is put at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileCondition {
    /// Nothing: a file there is replaced.
    #[default]
    Any,
    /// Nothing is there.
    Absent,
    /// A file of this version is there.
    Replaces(FileVersion),
}

/// What a folder is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The names' bytes; files and folders mixed.
    #[default]
    Name,
    /// Folders, then files by size.
    Size,
    /// Folders, then files, each by date.
    Modified,
}

/// A page of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderPage {
    /// By name.
    pub entries: Vec<Entry>,
    /// For the next page; none at the end.
    pub next: Option<String>,
}

pub(super) fn service(channel: Channel) -> DriveClient<Channel> {
    DriveClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

impl Remote {
    /// A folder's entries, by name, page by page. A limit of 0 is as many as allowed.
    pub async fn list_folder(&self, path: &str, page: Option<&str>, limit: u32) -> Result<FolderPage, RemoteError> {
        self.list_folder_by(path, Order::Name, false, page, limit).await
    }

    /// The same in another order, or from the end.
    pub async fn list_folder_by(
        &self,
        path: &str,
        order: Order,
        reverse: bool,
        page: Option<&str>,
        limit: u32,
    ) -> Result<FolderPage, RemoteError> {
        let page_token = page.unwrap_or_default().to_string();
        let order = match order {
            Order::Name => v1::Order::Unspecified,
            Order::Size => v1::Order::Size,
            Order::Modified => v1::Order::Modified,
        };
        let message = v1::ListFolderRequest { path: path.to_string(), page_token, limit, order: order.into(), reverse };
        let reply = self.read(message, |channel, request| async move { service(channel).list_folder(request).await });
        let reply = reply.await?;
        let entries = reply.entries.into_iter().map(Entry::from_wire).collect::<Result<_, _>>()?;
        Ok(FolderPage { entries, next: Some(reply.next_page_token).filter(|token| !token.is_empty()) })
    }

    /// One file or folder.
    pub async fn stat(&self, path: &str) -> Result<Entry, RemoteError> {
        let message = v1::StatRequest { path: path.to_string() };
        let reply = self.read(message, |channel, request| async move { service(channel).stat(request).await });
        Ok(Entry::from_wire(reply.await?)?)
    }

    /// Makes a folder; with `parents` also those above it, and one that is there already is fine.
    pub async fn make_folder(&self, path: &str, parents: bool) -> Result<Entry, RemoteError> {
        let message = v1::MakeFolderRequest { path: path.to_string(), parents };
        let safety = if parents { Safety::Write } else { Safety::Once };
        let send = |channel, request| async move { service(channel).make_folder(request).await };
        Ok(Entry::from_wire(self.call(safety, message, send).await?)?)
    }

    /// Removes a file, or a folder; one with entries only when `recursive`.
    pub async fn remove(&self, path: &str, recursive: bool) -> Result<(), RemoteError> {
        let message = v1::RemoveRequest { path: path.to_string(), recursive };
        let send = |channel, request| async move { service(channel).remove(request).await };
        self.call(Safety::Once, message, send).await?;
        Ok(())
    }

    /// Renames or moves; atomic, whatever a folder's size.
    pub async fn rename(&self, from: &str, to: &str, replace_file: bool) -> Result<Entry, RemoteError> {
        let message = v1::RenameRequest { from: from.to_string(), to: to.to_string(), replace_file };
        let send = |channel, request| async move { service(channel).rename(request).await };
        Ok(Entry::from_wire(self.call(Safety::Once, message, send).await?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_back() {
        let version = FileVersion([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(version.to_string().parse(), Ok(version));
        for wrong in ["", "12", "+1234567890123456789012345678901", "zz345678901234567890123456789012"] {
            assert!(wrong.parse::<FileVersion>().is_err(), "{wrong:?}");
        }
    }
}
