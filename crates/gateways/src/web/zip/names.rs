//! Names as every system can unpack them.
//!
//! Names in a drive have no slash and are never `..`, so nothing leads out of an archive. What means something on Windows is
//! shown by a character that looks like it and means nothing; what deceives the eye, by an underscore.

use apps::drive::path::{NAME_BYTES_MAX, numbered};
use std::collections::HashSet;

/// Names that Windows takes for devices, whatever their ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
/// Changed names of one folder that are kept to tell them apart.
const CHANGED_MAX: usize = 10_000;
/// Other names that are looked at.
const OTHERS_MAX: usize = 1000;

/// The name, or one that is safe.
pub(super) fn safe(name: &str) -> String {
    let mut out: String = name.chars().map(shown).collect();
    if let Some(last) = out.pop() {
        // Windows drops these from an end.
        out.push(match last {
            '.' => '．',
            ' ' => '␠',
            other => other,
        });
    }
    // Characters that look alike are longer than those that they stand for.
    while out.len() > NAME_BYTES_MAX {
        out.pop();
    }
    let stem = out.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered_device = |kind: &str| {
        let rest = stem
            .strip_prefix(kind)
            .and_then(|rest| rest.chars().next().filter(|c| rest.chars().count() == 1 && *c != '0'));
        rest.is_some_and(|c| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'))
    };
    if DEVICES.contains(&stem.as_str()) || numbered_device("com") || numbered_device("lpt") {
        out.insert(0, '_');
    }
    out
}

fn shown(c: char) -> char {
    match c {
        '\\' => '＼',
        ':' => '：',
        '*' => '＊',
        '?' => '？',
        '"' => '＂',
        '<' => '＜',
        '>' => '＞',
        '|' => '｜',
        '/'
        | '\u{7f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => '_',
        c if c.is_control() => '_',
        c => c,
    }
}

/// The names of one folder, told apart.
#[derive(Default)]
pub(super) struct Names {
    given: HashSet<String>,
}

impl Names {
    /// The very name, if it is safe, and no other was given it.
    pub fn plain(&self, name: &str) -> Option<String> {
        (!self.given.contains(name) && safe(name) == name).then(|| name.to_string())
    }

    /// Safe names in its place that were not given yet.
    pub fn others(&self, name: &str) -> Vec<String> {
        let first = safe(name);
        let numbered = (1..=OTHERS_MAX).map(|number| numbered(&first, number));
        numbered.filter(|other| other != name && !self.given.contains(other)).collect()
    }

    /// Nothing else is called so.
    pub fn give(&mut self, name: &str) {
        if self.given.len() < CHANGED_MAX {
            self.given.insert(name.to_string());
        }
    }

    /// A name that no other has, where all of them go through here.
    pub fn unique(&mut self, name: &str) -> String {
        let other = || self.others(name).into_iter().next().unwrap_or_else(|| safe(name));
        let name = self.plain(name).unwrap_or_else(other);
        self.give(&name);
        name
    }
}

/// Bytes in a path within an archive: its length has 16 bits.
pub(super) const PATH_BYTES_MAX: usize = u16::MAX as usize - 2 * NAME_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_windows_would_take_for_something_else_is_shown() {
        for (name, shown) in [
            ("Übung 日本 🏝.txt", "Übung 日本 🏝.txt"),
            ("a\\..\\b", "a＼..＼b"),
            ("c:x", "c：x"),
            ("ends.", "ends．"),
            ("ends ", "ends␠"),
            ("NUL.tar.gz", "_NUL.tar.gz"),
            ("com1", "_com1"),
            ("com10", "com10"),
            ("con", "_con"),
            ("console", "console"),
            ("gpj.\u{202e}exe\n", "gpj._exe_"),
        ] {
            assert_eq!(safe(name), shown, "{name:?}");
        }
    }

    #[test]
    fn changed_names_stay_different() {
        let mut names = Names::default();
        assert_eq!(
            ["a", "a", "a (2)", "a\n", "a\r"].map(|name| names.unique(name)),
            ["a", "a (2)", "a (2) (2)", "a_", "a_ (2)"]
        );
        assert_eq!(names.plain("b").as_deref(), Some("b"));
        assert_eq!(names.plain("b:"), None);
        assert_eq!(names.others("b:")[..2], ["b：", "b： (2)"]);
    }

    proptest! {
        #[test]
        fn nothing_leads_out_and_nothing_is_changed_twice(name in "\\PC{1,40}|[.\\\\/: a]{1,12}") {
            let safe_name = safe(&name);
            prop_assert!(!safe_name.contains(['/', '\\', ':', '\0']) && safe_name != ".." && safe_name != ".");
            prop_assert_eq!(safe(&safe_name), safe_name.clone());
        }
    }
}
