//! Words, as they are looked for: in any case, without accents. What this says of a text must stay: rows are found by it.

use std::collections::BTreeSet;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Bytes of a folded word; the rest of a longer one does not count.
const BYTES_MAX: usize = 32;
/// Different words of one file that lead to it.
const DIFFERENT_MAX: usize = 5000;

/// The words of a text, folded, each with where it stands.
pub(super) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, String)> + '_ {
    let part = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let begin = at + text[at..].find(part)?;
            let end = text[begin..].find(|c| !part(c)).map_or(text.len(), |length| begin + length);
            at = end;
            let folded = fold(&text[begin..end]);
            // Marks alone are no word.
            if !folded.is_empty() {
                return Some((begin..end, folded));
            }
        }
    })
}

fn fold(word: &str) -> String {
    let mut folded = String::new();
    for c in word.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        if folded.len() + c.len_utf8() > BYTES_MAX {
            break;
        }
        // Lower case may bring a mark of its own.
        if c.is_alphanumeric() {
            folded.push(c);
        }
    }
    folded
}

/// The different words of a text: as many as are kept, those that come first.
pub(super) fn set(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, word) in words(text) {
        found.insert(word);
        if found.len() >= DIFFERENT_MAX {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_accents_and_forms_do_not_count() {
        let all: Vec<String> = words("Crème BRÛLÉE — ﬁne, Straße_2: cafe\u{301}!").map(|(_, word)| word).collect();
        assert_eq!(all, ["creme", "brulee", "fine", "straße", "2", "cafe"]);
        assert_eq!(set("Ä ä a\u{308} A").len(), 1);
        assert_eq!(set(&"x".repeat(100)).iter().next().unwrap().len(), BYTES_MAX);
        assert_eq!(set(" \u{301} .,").len(), 0);
    }

    proptest! {
        #[test]
        fn any_text_has_words_where_it_says(text in any::<String>()) {
            let mut last = 0;
            for (at, word) in words(&text) {
                prop_assert!(at.start >= last && at.end <= text.len() && at.start < at.end);
                last = at.end;
                prop_assert!(!word.is_empty() && word.len() <= BYTES_MAX && !word.contains('\0'));
                // A word is found as it is shown: folding again changes nothing.
                prop_assert_eq!(fold(&text[at]), word);
            }
        }
    }
}
