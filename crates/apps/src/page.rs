//! Listings in pages.

use crate::hex;

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Opaque and safe in URLs: hand it back as cursor to go on. None at the end.
    pub next: Option<String>,
}

/// The cursor that goes on after this name. It names no page but a place, so it
/// stays good when the item there goes away.
pub(crate) fn cursor_after(name: &[u8]) -> String {
    hex::encode(name)
}

/// The reverse of [`cursor_after`].
pub(crate) fn place_of(cursor: &str, bytes_max: usize) -> Option<Vec<u8>> {
    if cursor.len() > 2 * bytes_max { None } else { hex::decode(cursor) }
}
