//! Sixteen random bytes as names that never collide and tell nothing.

use crate::hex;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A fresh one.
            pub fn random() -> $name {
                $name(rand::random())
            }

            /// From exactly sixteen bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<$name> {
                bytes.try_into().ok().map($name)
            }

            /// The bytes, as part of a key.
            pub fn bytes(&self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }

        impl std::str::FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<$name, Self::Err> {
                hex::decode(text).and_then(|bytes| $name::from_slice(&bytes)).ok_or("an id is 32 hexadecimal digits")
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<$name, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

random_id! {
    /// A person. Stays when the name changes.
    UserId
}
random_id! {
    /// A drive: the partition key of everything in it.
    DriveId
}
random_id! {
    /// A folder within its drive. Stays when it is renamed or moved.
    FolderId
}
random_id! {
    /// A file within its drive. Stays when it is renamed, moved or given new content.
    FileId
}
random_id! {
    /// One content of a file. Chosen by whoever puts it, so that a retry is harmless.
    VersionId
}
random_id! {
    /// Something in the trash; sorts by when it was thrown away.
    TrashId
}
random_id! {
    /// An upload in parts within its drive.
    PartsId
}
random_id! {
    /// What a guest hands in together. Chosen by them.
    BatchId
}

/// That of those who name none.
impl Default for BatchId {
    fn default() -> BatchId {
        BatchId([0; 16])
    }
}

random_id! {
    /// A job of many steps within its drive.
    JobId
}

random_id! {
    /// A link to something in a drive: tells it apart, and opens nothing.
    LinkId
}

impl FolderId {
    /// Every drive's root. Never stored, never moved, never removed.
    pub const ROOT: FolderId = FolderId([0; 16]);
    /// Where the places of what is in the trash lead. Holds no entries.
    pub const TRASH: FolderId = FolderId([0xff; 16]);
    /// Where the places of objects lead that cannot be in the tree. Its count is that of the flat list.
    pub const FLAT: FolderId = FolderId([0xfd; 16]);
    /// Its count is that of the histories whose keys have no object. Nothing's place leads there.
    pub const GONE: FolderId = FolderId([0xfc; 16]);
    /// Where the places of what a job is still making lead. Holds no entries.
    pub const JOBS: FolderId = FolderId([0xfe; 16]);
}

impl From<FolderId> for [u8; 16] {
    fn from(id: FolderId) -> [u8; 16] {
        id.0
    }
}

impl From<FileId> for [u8; 16] {
    fn from(id: FileId) -> [u8; 16] {
        id.0
    }
}

impl TrashId {
    /// A fresh one, sorted by that time.
    pub(crate) fn at(time: types::WallMillis) -> TrashId {
        let mut id = TrashId::random();
        id.0[..8].copy_from_slice(&time.0.to_be_bytes());
        id
    }

    /// When it was thrown away.
    pub fn time(&self) -> types::WallMillis {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        types::WallMillis(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let id = DriveId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("".parse::<DriveId>().is_err());
        assert!("00".parse::<DriveId>().is_err());
        assert_ne!(FolderId::random(), FolderId::ROOT);
    }
}
