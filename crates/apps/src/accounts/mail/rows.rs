//! Rows of mail as they are stored: protobuf, fields only ever added.

use bytes::Bytes;
use prost::Message;

/// How mail is sent.
#[derive(Clone, PartialEq, Message)]
pub struct RelayRow {
    #[prost(string, tag = "1")]
    pub host: String,
    #[prost(uint32, tag = "2")]
    pub port: u32,
    #[prost(enumeration = "TlsRow", tag = "3")]
    pub tls: i32,
    /// Empty: the relay asks for none.
    #[prost(string, tag = "4")]
    pub user: String,
    /// Nonce ‖ what it seals.
    #[prost(bytes = "bytes", tag = "5")]
    pub password: Bytes,
    #[prost(string, tag = "6")]
    pub from: String,
    #[prost(string, tag = "7")]
    pub from_name: String,
    #[prost(string, tag = "8")]
    pub site: String,
}

/// Zero, and what a newer release may add, is as strict as any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TlsRow {
    Implicit = 0,
    StartTls = 1,
    Plain = 2,
}

/// When the relay last took a mail, or did not.
#[derive(Clone, PartialEq, Message)]
pub struct HeardRow {
    #[prost(uint64, tag = "1")]
    pub at: u64,
    /// Empty: it took it.
    #[prost(string, tag = "2")]
    pub why: String,
}

/// Somebody's address, under their id.
#[derive(Clone, PartialEq, Message)]
pub struct RecoveryRow {
    /// Confirmed; empty: none is.
    #[prost(string, tag = "1")]
    pub address: String,
    #[prost(uint64, tag = "2")]
    pub confirmed: u64,
    /// Waits to be confirmed.
    #[prost(string, tag = "3")]
    pub pending: String,
    #[prost(uint64, tag = "4")]
    pub pending_until: u64,
    /// Key of the link that confirms it, the newest.
    #[prost(bytes = "bytes", tag = "5")]
    pub pending_link: Bytes,
    /// Keys of the links for the password, the newest last. Some may have run out.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub reset_links: Vec<Bytes>,
    /// When links for the password were mailed lately.
    #[prost(uint64, repeated, tag = "7")]
    pub mailed: Vec<u64>,
}

/// A mail to be sent.
#[derive(Clone, PartialEq, Message)]
pub struct OrderRow {
    #[prost(enumeration = "OrderKind", tag = "1")]
    pub kind: i32,
    /// What was typed: a name or an address.
    #[prost(string, tag = "2")]
    pub who: String,
    /// Whom it is about, where that is known.
    #[prost(bytes = "bytes", tag = "3")]
    pub user: Bytes,
    /// To where, where that is not the address that holds.
    #[prost(string, tag = "4")]
    pub to: String,
    /// A code (RFC 5646).
    #[prost(string, tag = "5")]
    pub language: String,
    #[prost(uint64, tag = "6")]
    pub made: u64,
    /// When it is to be taken up, at the earliest.
    #[prost(uint64, tag = "7")]
    pub due: u64,
    #[prost(uint32, tag = "8")]
    pub tries: u32,
    /// Of who asked, for the log.
    #[prost(string, tag = "9")]
    pub address: String,
    #[prost(string, tag = "10")]
    pub device: String,
}

/// What is mailed. Zero, and what a newer release may add, is left to that release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum OrderKind {
    Unknown = 0,
    /// Somebody forgot the password of what they typed.
    Forgotten = 1,
    /// A link for that user's password.
    Reset = 2,
    /// A link that confirms that user's address.
    Confirm = 3,
    /// To the address that was: it is not used any more.
    Changed = 4,
}
