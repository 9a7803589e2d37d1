//! Walking a table, partition after partition, resumably.

use crate::router::Role;
use crate::{Client, ClientError};
use rpc::wire::{ScanReply, ScanRequest, method};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use types::limits::{KEY_BYTES_MAX, QUERY_BYTES_MAX, QUERY_ITEMS_MAX};
use types::{Item, ItemKey, PartitionId, TableId};

/// Items in a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 1000;
/// The text form's version.
const VERSION: &str = "s1-";
/// Longest text form: two keys and some numbers, in hexadecimal.
const TEXT_MAX: usize = 2 * (2 * KEY_BYTES_MAX + 64);

/// Where a scan goes on. Opaque; its text form outlives the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanCursor {
    table: TableId,
    partition: PartitionId,
    /// The last item given, if the partition has been entered.
    after: Option<ItemKey>,
}

impl fmt::Display for ScanCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        let bytes = postcard::to_stdvec(self).map_err(|_| fmt::Error)?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ScanCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ScanCursor, Self::Err> {
        const STRANGE: &str = "this is not a cursor of a scan, or one of another release: begin the scan again";
        let digits = text.strip_prefix(VERSION).ok_or(STRANGE)?.as_bytes();
        if digits.len() > TEXT_MAX {
            return Err(STRANGE);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let bytes = digits
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
                _ => None,
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or(STRANGE)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((cursor, [])) => Ok(cursor),
            _ => Err(STRANGE),
        }
    }
}

impl Client {
    /// The next items of a table and where to go on, none at its end. Partitions are walked in
    /// order; pages together are not a snapshot. `limit` 0 is a page of the usual size.
    pub async fn scan(
        &self,
        table: TableId,
        cursor: Option<ScanCursor>,
        limit: u32,
    ) -> Result<(Vec<(ItemKey, Item)>, Option<ScanCursor>), ClientError> {
        let mut at = cursor.unwrap_or(ScanCursor { table, partition: PartitionId(0), after: None });
        if at.table != table {
            return Err(ClientError::Invalid("this cursor belongs to a scan of another table".into()));
        }
        let limit = if limit == 0 { LIMIT_DEFAULT } else { limit.min(QUERY_ITEMS_MAX) } as usize;
        let count = self.layout().partition_count();
        let mut found: Vec<(ItemKey, Item)> = Vec::new();
        let mut bytes = 0;
        while at.partition.0 < count && found.len() < limit && bytes < QUERY_BYTES_MAX {
            let request = ScanRequest {
                partition: at.partition,
                table,
                after: at.after.clone(),
                limit: (limit - found.len()) as u32,
            };
            let ScanReply { items, end } =
                self.router.read(at.partition, Role::Serving, method::SCAN, &request).await?;
            at.after = items.last().map(|(key, _)| key.clone());
            // A short page alone is no end: its items may have been long.
            if end || items.is_empty() {
                at = ScanCursor { table, partition: PartitionId(at.partition.0 + 1), after: None };
            }
            bytes += items.iter().map(weight).sum::<usize>();
            found.extend(items);
        }
        let more = at.partition.0 < count;
        Ok((found, more.then_some(at)))
    }
}

fn weight((key, item): &(ItemKey, Item)) -> usize {
    key.partition_key.len() + key.sort_key.len() + item.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_read_back(table: u32, partition: u16, after in proptest::option::of((any::<Vec<u8>>(), any::<Vec<u8>>()))) {
            let after = after.map(|(partition_key, sort_key)| ItemKey::new(TableId(table), partition_key, sort_key));
            let cursor = ScanCursor { table: TableId(table), partition: PartitionId(partition), after };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn strange_text_is_refused_or_read(text: String, hex in "s1-[0-9a-f]{0,60}") {
            let _ = text.parse::<ScanCursor>();
            let _ = hex.parse::<ScanCursor>();
        }
    }

    #[test]
    fn the_longest_keys_fit() {
        let key = ItemKey::new(TableId(u32::MAX), vec![1; KEY_BYTES_MAX], vec![2; KEY_BYTES_MAX]);
        let cursor = ScanCursor { table: key.table, partition: PartitionId(u16::MAX), after: Some(key) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
