//! What one query page may hold: the same for every engine.

use bytes::Bytes;
use types::limits::QUERY_BYTES_MAX;
use types::{Item, ItemAt, Query, QueryPage, Seq};

/// Gathers a page until its bounds are reached. The first item always fits.
pub(crate) struct PageBuilder {
    items: Vec<ItemAt>,
    bytes: usize,
    items_max: usize,
}

impl PageBuilder {
    pub fn new(query: &Query) -> PageBuilder {
        PageBuilder { items: Vec::new(), bytes: 0, items_max: query.items_max() }
    }

    /// Whether an item with keys and value of this size still belongs on the page.
    pub fn fits(&self, sort_key: usize, value: usize) -> bool {
        self.items.is_empty() || (self.items.len() < self.items_max && self.bytes + sort_key + value <= QUERY_BYTES_MAX)
    }

    pub fn push(&mut self, sort_key: Bytes, item: Item) {
        self.bytes += sort_key.len() + item.value.len();
        self.items.push(ItemAt { sort_key, item });
    }

    /// The page; `more` says that the range goes on behind it.
    pub fn finish(self, more: bool, at: Seq) -> QueryPage {
        let next = if more { self.items.last().map(|last| last.sort_key.clone()) } else { None };
        QueryPage { items: self.items, next, at }
    }
}
