//! Paths and the rules of names: NFC, any Unicode but `/` and NUL, never `.`,
//! `..` or nothing, bounded in length and depth. Names that differ in case only
//! are different names.

use super::DriveError;
use crate::accounts::names::deceives;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Bytes in a name.
pub const NAME_BYTES_MAX: usize = 255;
/// Names in a path.
pub const DEPTH_MAX: usize = 100;
/// Bytes in a path as it is given, before anything is made of it.
pub const PATH_BYTES_MAX: usize = 32 * 1024;

/// A path within a drive: the names from the root down, all valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrivePath {
    names: Vec<String>,
}

impl DrivePath {
    /// The drive itself.
    pub const fn root() -> DrivePath {
        DrivePath { names: Vec::new() }
    }

    /// Reads `/a/b/c`. A slash at the beginning or end is optional; empty names
    /// elsewhere, and paths that climb, are refused.
    pub fn parse(text: &str) -> Result<DrivePath, DriveError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(DriveError::BadPath { why: "it is longer than 32 KiB" });
        }
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(DrivePath::root());
        }
        text.split('/').try_fold(DrivePath::root(), |path, name| path.join(name))
    }

    /// The entry of that name in this folder.
    pub fn join(&self, name: &str) -> Result<DrivePath, DriveError> {
        if self.names.len() == DEPTH_MAX {
            return Err(DriveError::BadPath { why: "it is more than 100 folders deep" });
        }
        let mut names = self.names.clone();
        names.push(valid_name(name)?);
        Ok(DrivePath { names })
    }

    /// The folder that it is in; none for the root.
    pub fn parent(&self) -> Option<DrivePath> {
        let (_, parents) = self.names.split_last()?;
        Some(DrivePath { names: parents.to_vec() })
    }

    /// The last name; none for the root.
    pub fn name(&self) -> Option<&str> {
        self.names.last().map(String::as_str)
    }

    /// As objects have it: without the slash before it.
    pub(super) fn key(&self) -> String {
        self.names.join("/")
    }

    /// From the root down.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The first `depth` names.
    pub fn ancestor(&self, depth: usize) -> DrivePath {
        DrivePath { names: self.names[..depth.min(self.names.len())].to_vec() }
    }

    /// Is it the root?
    pub fn is_root(&self) -> bool {
        self.names.is_empty()
    }
}

impl std::fmt::Display for DrivePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.names.is_empty() {
            return f.write_str("/");
        }
        self.names.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

impl std::str::FromStr for DrivePath {
    type Err = DriveError;

    fn from_str(text: &str) -> Result<DrivePath, DriveError> {
        DrivePath::parse(text)
    }
}

/// The name as it is stored, or why it cannot be one.
pub fn valid_name(name: &str) -> Result<String, DriveError> {
    let bad = |why| Err(DriveError::BadName { name: name.chars().take(80).collect(), why });
    if name.len() > 4 * NAME_BYTES_MAX {
        // Not worth normalizing: composing never shrinks a name that far.
        return bad("it is longer than 255 bytes");
    }
    let name = if is_nfc(name) { name.to_string() } else { name.nfc().collect() };
    match &name[..] {
        "" => bad("it is empty"),
        "." | ".." => bad("it means a place relative to another"),
        _ if name.len() > NAME_BYTES_MAX => bad("it is longer than 255 bytes"),
        _ if name.contains('/') => bad("it has a slash in it"),
        _ if name.contains('\0') => bad("it has a NUL character in it"),
        _ => Ok(name),
    }
}

/// A name as it may be shown to people: what would change how text around it
/// reads, or is not seen, is spelt out. Not a name: `\` stands for itself too.
/// What joins letters and pictures, or keeps them apart, stays between those that
/// know it. The pages' scripts do the same: `shown` in `format.js`.
pub fn shown(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut before = None;
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let beyond = |c: Option<char>| c.is_some_and(|c| !c.is_ascii());
        let treacherous = match c {
            '\u{200c}' | '\u{200d}' => !beyond(before) || !beyond(rest.peek().copied()),
            c => deceives(c),
        };
        before = Some(c);
        if treacherous {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Other names that are tried when one is taken.
pub const NAMES_MAX: usize = 1000;

/// `report.pdf`, `report (2).pdf`, …; shortened where it would be too long.
pub fn numbered(name: &str, number: usize) -> String {
    if number <= 1 {
        return name.to_string();
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ending.len() < 32 => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let tail = format!(" ({number}){ending}");
    let mut keep = stem.len().min(NAME_BYTES_MAX.saturating_sub(tail.len()));
    while !stem.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{tail}", &stem[..keep])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slashes_at_the_ends_do_not_matter() {
        for text in ["/a/b", "a/b", "/a/b/", "a/b/"] {
            assert_eq!(DrivePath::parse(text).unwrap().to_string(), "/a/b");
        }
        for text in ["", "/", "//"] {
            assert_eq!(DrivePath::parse(text).is_ok(), text != "//x");
        }
        assert!(DrivePath::parse("/").unwrap().is_root());
    }

    #[test]
    fn treacherous_names_are_spelt_out() {
        for fine in ["Übung 日本 🏝.txt", "👩\u{200d}🚀 میخواهم\u{200c}ها"] {
            assert_eq!(shown(fine), fine);
        }
        assert_eq!(shown("pay\u{200d}roll\u{200c}"), "pay\\u{200d}roll\\u{200c}");
        assert_eq!(
            shown("pay\u{ad}roll\u{180e}.pdf\u{e0041}\u{fffa}"),
            "pay\\u{ad}roll\\u{180e}.pdf\\u{e0041}\\u{fffa}"
        );
        assert_eq!(shown("gpj.\u{202e}exe\n\u{1b}[2J"), "gpj.\\u{202e}exe\\u{a}\\u{1b}[2J");
    }

    #[test]
    fn numbers_stand_before_the_ending() {
        for (name, second) in
            [("a.txt", "a (2).txt"), ("a.tar.gz", "a.tar (2).gz"), (".profile", ".profile (2)"), ("a", "a (2)")]
        {
            assert_eq!(numbered(name, 1), name);
            assert_eq!(numbered(name, 2), second);
        }
        assert!(valid_name(&numbered(&format!("{}.txt", "é".repeat(125)), 1000)).unwrap().ends_with(" (1000).txt"));
    }

    #[test]
    fn what_climbs_is_refused() {
        for text in ["..", "/..", "/a/../b", "/a/./b", "/a//b", "/a/\0", "///"] {
            assert!(DrivePath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_composed() {
        let decomposed = "e\u{301}";
        assert_eq!(valid_name(decomposed).unwrap(), "é");
        assert_eq!(DrivePath::parse("/e\u{301}").unwrap(), DrivePath::parse("/é").unwrap());
        assert_ne!(valid_name("A").unwrap(), valid_name("a").unwrap());
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(valid_name(&"x".repeat(255)).is_ok());
        assert!(valid_name(&"x".repeat(256)).is_err());
        assert!(valid_name(&"é".repeat(128)).is_err());
        assert!(DrivePath::parse(&"/a".repeat(100)).is_ok());
        assert!(DrivePath::parse(&"/a".repeat(101)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_reads_back(text in "\\PC{0,40}|[/.a\\x00]{0,12}") {
            if let Ok(path) = DrivePath::parse(&text) {
                prop_assert_eq!(DrivePath::parse(&path.to_string()).unwrap(), path.clone());
                for name in path.names() {
                    prop_assert!(is_nfc(name) && !name.contains('/') && name != ".." && !name.is_empty());
                }
                if let (Some(parent), Some(name)) = (path.parent(), path.name()) {
                    prop_assert_eq!(parent.join(name).unwrap(), path);
                }
            }
        }
    }
}
