//! The text of documents (HTML, PDF, office files, EPUB and RTF) and small pictures of images (JPEG, PNG, GIF and WebP).
//!
//! **Owns** what is read of which format ([`formats`]), what a small picture is ([`pictures`]), and the process that does it. Whoever has a document gives it to an
//! [`Extractor`], which runs this program again as a child ([`serve`]): that has little memory, little time, no files and
//! none of its parent's variables, and gives way to everybody else.
//! **Invariants.** (1) Whatever a document is, it costs its child and nothing else: the parent holds a bounded piece of it
//! and a bounded answer. (2) No child outlives its question, and each is waited for. (3) A text is told only of a child that
//! read to the end, or died of the document; when it is not known why none came, that is an error. (4) A picture is whole.
//! **Leaves to others**: which files are read, and what becomes of the text or picture (`apps`).
//! **Proved by** the tests beside the formats and, with real children and bombs, `tests/`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod child;
mod extractor;
mod formats;
mod pictures;
mod text;

pub use child::serve;
pub use extractor::{ExtractError, Extractor, Program};
pub use pictures::Kind;

/// Bytes of a document or an image; a larger one is not read.
pub const DOCUMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of text that are taken of one; the rest is not read.
pub const TEXT_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a picture, by far.
pub const PICTURE_BYTES_MAX: usize = 1024 * 1024;
