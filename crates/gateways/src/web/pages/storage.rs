//! How full a drive is, as its pages tell: in words, and as a bar where there is a bound. Scripts tell it anew (`usage.js`).

use crate::web::format;
use crate::web::text::{fill, words};

/// Of a hundred parts, from where on a drive is nearly full.
const NEARLY: u64 = 90;

pub(super) struct Storage {
    pub words: String,
    /// Of a hundred, where there is a bound.
    pub part: Option<u64>,
    /// `nearly`, `full`, or nothing.
    pub state: &'static str,
    /// What is to be said of that; nothing while there is room.
    pub remark: &'static str,
}

impl Storage {
    /// `used` and `quota` are bytes.
    pub fn of(used: u64, quota: Option<u64>) -> Storage {
        let text = words();
        let storage = match quota {
            Some(quota) => fill(text.storage_of, &[("used", &format::size(used)), ("quota", &format::size(quota))]),
            None => fill(text.storage_used, &[("used", &format::size(used))]),
        };
        let part = quota.map(|quota| match quota {
            0 => 100,
            quota => (u128::from(used) * 100 / u128::from(quota)).min(100) as u64,
        });
        let (state, remark) = match part {
            Some(100) => ("full", text.storage_full),
            Some(NEARLY..) => ("nearly", text.storage_nearly),
            _ => ("", ""),
        };
        Storage { words: storage, part, state, remark }
    }
}

#[cfg(test)]
mod tests {
    use super::Storage;

    #[test]
    fn full_is_said_when_nothing_more_goes_in() {
        let of = |used, quota| {
            let storage = Storage::of(used, quota);
            (storage.words, storage.part, storage.state)
        };
        let gb = 1_000_000_000;
        assert_eq!(of(3 * gb / 2, None), ("1.5 GB used".into(), None, ""));
        assert_eq!(of(0, Some(2 * gb)), ("0 B of 2.0 GB used".into(), Some(0), ""));
        assert_eq!(of(2 * gb - 1, Some(2 * gb)).1, Some(99));
        assert_eq!((of(89, Some(100)).2, of(90, Some(100)).2, of(99, Some(100)).2), ("", "nearly", "nearly"));
        for (used, quota) in [(100, 100), (101, 100), (u64::MAX, 1), (0, 0)] {
            assert_eq!(of(used, Some(quota)).2, "full");
        }
    }
}
