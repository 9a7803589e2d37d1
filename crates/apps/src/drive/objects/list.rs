//! Pages of keys.

use super::Object;
use super::walk::{KeyWalk, Step, past};
use crate::DriveId;
use crate::drive::succession::Left;
use crate::drive::{DriveError, Drives};

/// Keys and common prefixes in one page.
pub const LIST_MAX: u32 = 1000;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that are the same up to where this occurs behind the prefix are told as one common prefix; empty: none are.
    pub delimiter: String,
    /// Only what comes after this text.
    pub after: String,
    /// Keys and common prefixes at most; beyond [`LIST_MAX`] it counts as that.
    pub limit: u32,
}

/// A page of keys, in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Objects.
    pub objects: Vec<Object>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// Goes to [`Listing::after`] for the next page; none at the end.
    pub next: Option<String>,
}

/// Something in a listing.
pub(super) enum Listed {
    Object(Object),
    Prefix(String),
    /// What was left at a key, after its object if there is one.
    Left(String, Left),
}

impl Drives {
    /// A page of a drive's keys.
    pub async fn list_objects(&self, drive: DriveId, asked: &Listing) -> Result<Objects, DriveError> {
        let (listed, next) = self.list_keys(drive, asked, false).await?;
        let mut found = Objects { next, ..Objects::default() };
        for one in listed {
            match one {
                Listed::Object(object) => found.objects.push(object),
                Listed::Prefix(prefix) => found.prefixes.push(prefix),
                Listed::Left(..) => {}
            }
        }
        Ok(found)
    }

    /// A page of keys, and where the next begins; with what was left at keys, or without it.
    pub(super) async fn list_keys(
        &self,
        drive: DriveId,
        asked: &Listing,
        left: bool,
    ) -> Result<(Vec<Listed>, Option<String>), DriveError> {
        let limit = asked.limit.min(LIST_MAX);
        let (mut found, mut count) = (Vec::new(), 0);
        if limit == 0 {
            return Ok((found, None));
        }
        let mut from = asked.after.as_bytes().max(asked.prefix.as_bytes()).to_vec();
        let mut walk = KeyWalk::start(self, drive, &asked.prefix, &from, limit + 1, left).await?;
        let mut last = String::new();
        while let Some(step) = walk.next().await? {
            let key = step.key();
            if !asked.overlaps(key) || is_before(&step, &from) {
                continue;
            }
            if let Some(common) = asked.common(key) {
                if *common > *asked.after && last != common {
                    if count == limit {
                        return Ok((found, Some(last)));
                    }
                    last = common.to_string();
                    found.push(Listed::Prefix(last.clone()));
                    count += 1;
                }
                // A folder that is not entered is past already.
                let passed = matches!(&step, Step::Folder(key, _) if key == common);
                if !passed {
                    let Some(past) = past(common) else { break };
                    walk = KeyWalk::start(self, drive, &asked.prefix, &past, limit + 1, left).await?;
                    from = past;
                }
                continue;
            }
            let (key, what) = match step {
                Step::Object(key, entry) => (key.clone(), Listed::Object(Object { key, entry })),
                Step::Left(key, left) => (key.clone(), Listed::Left(key, left)),
                Step::Folder(key, entry) => {
                    let Some(folder) = entry.folder().cloned() else { continue };
                    let has_entries = walk.enter(key.clone(), folder.id, &from).await?;
                    // What is there for others only is no key; from the middle of it on nobody can tell, and needs not.
                    let midway = from.len() > key.len() && from.starts_with(key.as_bytes());
                    if folder.implied && (has_entries || midway) {
                        continue;
                    }
                    (key.clone(), Listed::Object(Object { key, entry }))
                }
            };
            // A key with bytes that ends with a slash comes before the folder of that name.
            if !key.starts_with(&asked.prefix) || *key <= *asked.after {
                continue;
            }
            if key == last {
                if matches!(what, Listed::Left(..)) {
                    found.push(what);
                }
                continue;
            }
            if count == limit {
                return Ok((found, Some(last)));
            }
            last = key;
            found.push(what);
            count += 1;
        }
        Ok((found, None))
    }
}

/// It, and of a folder all that is in it, comes before that place.
fn is_before(step: &Step, from: &[u8]) -> bool {
    match step {
        Step::Object(key, _) | Step::Left(key, _) => key.as_bytes() < from,
        Step::Folder(key, _) => key.as_bytes() < from && !from.starts_with(key.as_bytes()),
    }
}

impl Listing {
    /// May this key, or one in the folder that it is, be asked for?
    fn overlaps(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) || (key.ends_with('/') && self.prefix.starts_with(key))
    }

    /// The common prefix that stands for the key.
    pub(super) fn common<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = key.strip_prefix(&*self.prefix)?;
        let end = self.prefix.len() + rest.find(&*self.delimiter)? + self.delimiter.len();
        key.get(..end)
    }
}
