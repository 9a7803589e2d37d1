//! Keys, and where they belong.

use crate::drive::path::{DEPTH_MAX, valid_name};
use crate::drive::{DriveError, DrivePath};

/// Bytes in a key.
pub const KEY_BYTES_MAX: usize = 1024;

/// An object's key: 1 to 1024 bytes of UTF-8, exact to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKey {
    text: String,
    path: Option<DrivePath>,
}

impl ObjectKey {
    /// Any text that is not empty and not too long.
    pub fn parse(text: &str) -> Result<ObjectKey, DriveError> {
        if text.is_empty() || text.len() > KEY_BYTES_MAX {
            return Err(DriveError::Invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes")));
        }
        Ok(ObjectKey { text: text.to_string(), path: tree_path(text) })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it would be in the tree; none when it cannot be there.
    pub(super) fn path(&self) -> Option<&DrivePath> {
        self.path.as_ref()
    }

    /// Does it end with a slash, as folders do?
    pub fn is_folder(&self) -> bool {
        self.text.ends_with('/')
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn tree_path(text: &str) -> Option<DrivePath> {
    let inner = text.strip_suffix('/').unwrap_or(text);
    if inner.split('/').count() > DEPTH_MAX {
        return None;
    }
    // A name that would be stored in another form is not this key's.
    inner.split('/').all(|name| valid_name(name).is_ok_and(|valid| valid == name)).then_some(())?;
    DrivePath::parse(&format!("/{inner}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_be_names_is_in_the_tree() {
        for text in ["a", "a/b", "a/", "é/ü.txt", "a b/%", &"x/".repeat(100)] {
            assert!(ObjectKey::parse(text).unwrap().path().is_some(), "{text:?}");
        }
        for text in ["/", "/a", "a//b", "a//", "./a", "a/..", "e\u{301}", "a\0", &"x".repeat(256), &"x/".repeat(101)] {
            assert!(ObjectKey::parse(text).unwrap().path().is_none(), "{text:?}");
        }
        assert!(ObjectKey::parse("").is_err());
        assert!(ObjectKey::parse(&"x".repeat(1025)).is_err());
    }

    proptest! {
        #[test]
        fn a_place_in_the_tree_is_the_key(text in "[a/.é\u{301}]{1,12}") {
            let key = ObjectKey::parse(&text).unwrap();
            if let Some(path) = key.path() {
                let slash = if key.is_folder() { "/" } else { "" };
                prop_assert_eq!(format!("{path}{slash}"), format!("/{text}"));
            }
        }
    }
}
