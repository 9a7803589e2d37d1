//! What callers see of a drive, and what they say when they change it.

use crate::{FileId, FolderId, UserId, VersionId};
use client::Content;
use types::WallMillis;

/// A file or folder, as its parent lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Empty for the root.
    pub name: String,
    /// When it was first made.
    pub created: WallMillis,
    /// When its content (of a file) or its name or place (of a folder) last changed here.
    pub modified: WallMillis,
    /// Clients keep properties of their own with it.
    pub properties: bool,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder(FolderInfo),
    /// A file.
    File(FileInfo),
}

/// Of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderInfo {
    /// Stays when it moves.
    pub id: FolderId,
    /// It was made for the sake of an object in it, and goes with the last: see [`super::objects`].
    pub implied: bool,
    /// Levels of folders that there have been below it, at most; none: not known. See [`super::height`].
    pub height: Option<u32>,
}

impl FolderInfo {
    /// A new one that holds nothing yet.
    pub fn new(id: FolderId) -> FolderInfo {
        FolderInfo { id, implied: false, height: Some(0) }
    }
}

/// Of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Stays when it moves or gets new content.
    pub id: FileId,
    /// Names this content.
    pub version: VersionId,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the content.
    pub hash: [u8; 32],
    /// As the person's own machine said.
    pub mtime: WallMillis,
    /// For HTTP, without quotes.
    pub etag: String,
    /// MIME type, if the uploader said one.
    pub media_type: Option<String>,
    /// There are, or were, earlier versions of it.
    pub history: bool,
    /// Who put this content, if they had an account and it is known.
    pub by: Option<UserId>,
    /// It was put together from parts: its hash is that of their blocks' names, not of its bytes.
    pub composed: bool,
    /// Its place among the versions of its key, in a drive that numbers them: milliseconds since 1970, later than any
    /// before it. 0: it was put without; see [`super::succession`].
    pub order: u64,
    /// It came while versions were kept: it has a name of its own, otherwise it is the one that S3 calls `null`.
    pub named: bool,
}

impl Entry {
    /// The file's or folder's own id: stays when it moves.
    pub fn id(&self) -> [u8; 16] {
        match &self.kind {
            EntryKind::Folder(folder) => folder.id.0,
            EntryKind::File(file) => file.id.0,
        }
    }

    /// Is it a folder?
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, EntryKind::Folder(_))
    }

    /// If it is a file.
    pub fn file(&self) -> Option<&FileInfo> {
        if let EntryKind::File(file) = &self.kind { Some(file) } else { None }
    }

    /// If it is a folder.
    pub fn folder(&self) -> Option<&FolderInfo> {
        if let EntryKind::Folder(folder) = &self.kind { Some(folder) } else { None }
    }

    /// Of a folder: so many levels are below it.
    pub(super) fn know_height(&mut self, known: Option<u32>) {
        if let EntryKind::Folder(folder) = &mut self.kind {
            folder.height = known;
        }
    }

    /// Bytes; 0 for a folder.
    pub fn size(&self) -> u64 {
        self.file().map_or(0, |file| file.size)
    }
}

/// A file ready to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// As listed.
    pub entry: Entry,
    /// The same, known to be a file.
    pub file: FileInfo,
    /// Goes to [`super::Drives::read`]. Stays readable for the settings' grace
    /// after the file has been replaced or removed.
    pub content: Content,
}

/// What an uploader says of a file beside its content.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Modification time on the person's machine; none is now.
    pub mtime: Option<WallMillis>,
    /// MIME type.
    pub media_type: Option<String>,
    /// For HTTP; none is the beginning of the content's hash.
    pub etag: Option<String>,
    /// Fresh for each put; the same again makes a retry harmless.
    pub version: VersionId,
    /// Who puts it.
    pub by: Option<UserId>,
}

impl Default for NewFile {
    fn default() -> NewFile {
        NewFile { mtime: None, media_type: None, etag: None, version: VersionId::random(), by: None }
    }
}

/// When a put may take place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PutCondition {
    /// Whether or not a file is there.
    #[default]
    Replace,
    /// Only if nothing is there.
    CreateNew,
    /// Only if a file is there.
    ReplaceExisting,
    /// Only if that version is there.
    ReplaceIfVersion(VersionId),
    /// Only if a file with that etag is there.
    ReplaceIfEtag(String),
}

/// When a rename may take place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenameCondition {
    /// Only if nothing is at the new place.
    #[default]
    MustNotExist,
    /// A file may replace a file.
    ReplaceFile,
    /// Whatever is at the new place goes, folders with all that is in them.
    ReplaceAny,
    /// The same, if it is this: by its id, or the version of its content.
    ReplaceOnly([u8; 16]),
}

/// What to do with a name that is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clash {
    /// Nothing: it is an error.
    #[default]
    Fail,
    /// The newcomer gets another name: `report (2).pdf`.
    KeepBoth,
    /// A file that is there makes room: it goes to the trash, or becomes an earlier version of what is put.
    /// Folders are never replaced.
    Replace,
    /// The newcomer stays where it is.
    Skip,
}

/// How full a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all files, their earlier versions and the trash. What was removed
    /// for good counts until it has been swept.
    pub bytes: u64,
    /// Bytes that may be added; none when there is no quota.
    pub room: Option<u64>,
}

/// What a round of sweeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents whose blocks were released.
    pub released: u64,
    /// Entries taken out of removed folders.
    pub dismantled: u64,
    /// Pieces of work that wait: not old enough, or more than one round does.
    pub waiting: u64,
}
