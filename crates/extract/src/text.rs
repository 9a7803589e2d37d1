//! Text as it is found, passed on piece by piece until enough has come.

use std::io::Write;

/// Bytes that are passed on together.
const PIECE: usize = 8 * 1024;

/// Why no more is read.
#[derive(Debug)]
pub(crate) enum Stop {
    /// There is as much as is wanted.
    Enough,
    /// The document is not what it seems to be, or too large unpacked.
    Unreadable,
}

/// What stands between what came last and what comes next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

/// Where the text of a document goes: white space is one space or one end of a line.
pub(crate) struct Text<'a> {
    out: &'a mut dyn Write,
    piece: String,
    /// Bytes that are still wanted.
    left: usize,
    gap: Gap,
    begun: bool,
}

impl<'a> Text<'a> {
    pub fn new(out: &'a mut dyn Write, max: usize) -> Text<'a> {
        Text { out, piece: String::with_capacity(PIECE + 8), left: max, gap: Gap::None, begun: false }
    }

    pub fn push(&mut self, text: &str) -> Result<(), Stop> {
        for c in text.chars() {
            match c {
                // A word goes on across what only says where it may be divided.
                '\u{ad}' | '\u{200b}' | '\u{feff}' => {}
                c if c.is_whitespace() || c.is_control() => self.space(),
                c => self.put(c)?,
            }
        }
        Ok(())
    }

    fn put(&mut self, c: char) -> Result<(), Stop> {
        let between = match self.gap {
            _ if !self.begun => "",
            Gap::None => "",
            Gap::Space => " ",
            Gap::Line => "\n",
        };
        let bytes = between.len() + c.len_utf8();
        if bytes > self.left {
            self.left = 0;
            return Err(Stop::Enough);
        }
        self.left -= bytes;
        self.piece.push_str(between);
        self.piece.push(c);
        (self.gap, self.begun) = (Gap::None, true);
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// What comes next is another word.
    pub fn space(&mut self) {
        self.gap = self.gap.max(Gap::Space);
    }

    /// What comes next stands on another line.
    pub fn line(&mut self) {
        self.gap = Gap::Line;
    }

    /// Passes on what there is. Nobody there any more: it is enough.
    pub fn flush(&mut self) -> Result<(), Stop> {
        let passed = self.out.write_all(self.piece.as_bytes()).and_then(|()| self.out.flush());
        self.piece.clear();
        passed.map_err(|_| Stop::Enough)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(pieces: &[&str], max: usize) -> String {
        let mut out = Vec::new();
        let mut text = Text::new(&mut out, max);
        for piece in pieces {
            if text.push(piece).is_err() {
                break;
            }
            text.line();
        }
        text.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn white_space_is_one() {
        assert_eq!(pushed(&[" \n a\t b\0c ", "", "d\u{ad}e "], 100), "a b c\nde");
    }

    proptest! {
        #[test]
        fn there_is_never_more_than_wanted(pieces in prop::collection::vec(any::<String>(), 0..20), max in 0usize..200) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let text = pushed(&pieces, max);
            prop_assert!(text.len() <= max);
            prop_assert!(!text.starts_with(char::is_whitespace) && !text.contains("  ") && !text.contains('\0'));
        }
    }
}
