//! The files before and after a file, in an order of its folder: one query each, however long the folder is.

use super::change::{entry_key, name_in};
use super::index::{self, ORDERED_BYTES};
use super::walk::Walk;
use super::{DriveError, DrivePath, Drives, Entry, Order};
use crate::DriveId;
use types::{Consistency, Query, QueryPage};

/// Entries looked at on each side: by name, folders may stand between two files.
const LOOKED_AT_MAX: u32 = 200;

impl Drives {
    /// Names of the files before and after the one at the path; none where there is none, or only beyond many folders.
    pub async fn beside(
        &self,
        drive: DriveId,
        path: &str,
        order: Order,
        reverse: bool,
    ) -> Result<(Option<String>, Option<String>), DriveError> {
        let path = DrivePath::parse(path)?;
        if path.is_root() {
            return Ok((None, None));
        }
        self.beside_at(drive, &self.walk(drive, &path).await?, order, reverse).await
    }

    /// The same where a walk has led to.
    pub(super) async fn beside_at(
        &self,
        drive: DriveId,
        walk: &Walk,
        order: Order,
        reverse: bool,
    ) -> Result<(Option<String>, Option<String>), DriveError> {
        let entry = &walk.required()?.entry;
        let (parent, _) = walk.parent()?;
        let tables = self.inner.tables;
        let (table, prefix, key) = match (order, order.prefix(parent, !entry.is_folder())) {
            (Order::Name, _) | (_, None) => (tables.entries, parent.0.to_vec(), entry_key(parent, &entry.name)),
            (by, Some(prefix)) => {
                self.prepare(drive).await?;
                let [size, modified, _] = index::keys(parent, entry);
                (tables.index, prefix, if by == Order::Size { size } else { modified })
            }
        };
        let before = if table == tables.entries { 16 } else { ORDERED_BYTES };
        let limit = if table == tables.entries { LOOKED_AT_MAX } else { 1 };
        let side = |reverse| {
            let query = Query { reverse, limit, ..Query::prefix(table, drive.bytes(), &prefix) }.after(key.clone());
            async move { first_file(&self.inner.store.query(&query, Consistency::Strong).await?, before) }
        };
        futures::try_join!(side(!reverse), side(reverse))
    }
}

fn first_file(page: &QueryPage, before: usize) -> Result<Option<String>, DriveError> {
    for at in &page.items {
        let key = at.sort_key.get(before.saturating_sub(16)..).unwrap_or_default();
        let entry = Entry::decode(name_in(key)?, &at.item.value)?;
        if !entry.is_folder() {
            return Ok(Some(entry.name));
        }
    }
    Ok(None)
}
