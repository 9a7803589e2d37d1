//! RTF (version 1.9.1): the text between its control words.

use crate::text::{Stop, Text};
use encoding_rs::{Encoding, WINDOWS_1252};

/// Groups whose content is not text.
const HIDDEN: [&str; 13] = [
    "colortbl",
    "datastore",
    "fonttbl",
    "generator",
    "info",
    "latentstyles",
    "listtable",
    "object",
    "pict",
    "rsidtbl",
    "stylesheet",
    "themedata",
    "xmlnstbl",
];
/// Groups within groups; what is deeper is none.
const DEPTH_MAX: usize = 1000;

/// What holds until the group ends.
#[derive(Clone, Copy)]
struct Group {
    hidden: bool,
    /// Characters that stand after one in Unicode, for readers that know none.
    instead: usize,
}

struct State {
    groups: Vec<Group>,
    now: Group,
    encoding: &'static Encoding,
    /// Characters to pass over.
    pass: usize,
    /// The first half of a character that takes two.
    half: Option<u16>,
}

pub(super) fn read(bytes: &[u8], text: &mut Text<'_>) -> Result<(), Stop> {
    let now = Group { hidden: false, instead: 1 };
    let mut state = State { groups: Vec::new(), now, encoding: WINDOWS_1252, pass: 0, half: None };
    let mut rest = bytes;
    while let [first, others @ ..] = rest {
        rest = others;
        match first {
            b'{' => {
                if state.groups.len() >= DEPTH_MAX {
                    return Err(Stop::Unreadable);
                }
                state.groups.push(state.now);
            }
            b'}' => {
                (state.now, state.pass) = (state.groups.pop().ok_or(Stop::Unreadable)?, 0);
                if state.groups.is_empty() {
                    return Ok(());
                }
            }
            b'\\' => rest = state.control(rest, text)?,
            b'\r' | b'\n' => {}
            byte => state.byte(*byte, text)?,
        }
    }
    Ok(())
}

impl State {
    /// What stands behind a backslash; what is left behind that.
    fn control<'a>(&mut self, rest: &'a [u8], text: &mut Text<'_>) -> Result<&'a [u8], Stop> {
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if letters == 0 {
            let Some((symbol, rest)) = rest.split_first() else { return Ok(rest) };
            match symbol {
                b'\'' => {
                    let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                    let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or(Stop::Unreadable)?;
                    self.byte(byte, text)?;
                    return Ok(&rest[2..]);
                }
                // A group that only those read who know it.
                b'*' => self.now.hidden = true,
                b'~' => text.space(),
                b'\\' | b'{' | b'}' => self.byte(*symbol, text)?,
                _ => {}
            }
            return Ok(rest);
        }
        let (word, rest) = rest.split_at(letters);
        let digits =
            rest.iter().enumerate().take_while(|(n, byte)| byte.is_ascii_digit() || (*n == 0 && **byte == b'-'));
        let (number, mut rest) = rest.split_at(digits.count().min(12));
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i64>().ok());
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let word = std::str::from_utf8(word).unwrap_or_default();
        match (word, number) {
            ("par" | "line" | "row" | "sect" | "page", _) => text.line(),
            ("tab" | "cell" | "emspace" | "enspace", _) => text.space(),
            ("uc", Some(count)) => self.now.instead = usize::try_from(count).unwrap_or(1),
            ("u", Some(unit)) => self.unit(unit as u16, text)?,
            // Bytes that are none of the text.
            ("bin", Some(count)) => rest = rest.get(usize::try_from(count).unwrap_or(0)..).unwrap_or_default(),
            ("ansicpg", Some(page)) => {
                let named = Encoding::for_label(format!("windows-{page}").as_bytes());
                self.encoding = named.unwrap_or(WINDOWS_1252);
            }
            (word, _) if HIDDEN.contains(&word) => self.now.hidden = true,
            _ => {}
        }
        Ok(rest)
    }

    fn byte(&mut self, byte: u8, text: &mut Text<'_>) -> Result<(), Stop> {
        if self.pass > 0 {
            self.pass -= 1;
            return Ok(());
        }
        if self.now.hidden {
            return Ok(());
        }
        text.push(&self.encoding.decode_without_bom_handling(&[byte]).0)
    }

    /// A unit of UTF-16.
    fn unit(&mut self, unit: u16, text: &mut Text<'_>) -> Result<(), Stop> {
        self.pass = self.now.instead;
        if self.now.hidden {
            return Ok(());
        }
        let units = [self.half.take().unwrap_or(unit), unit];
        let alone = usize::from(units[0] == unit);
        match char::decode_utf16(units[alone..].iter().copied()).next() {
            Some(Ok(c)) => text.push(c.encode_utf8(&mut [0; 4])),
            _ => {
                self.half = Some(unit);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::text_of;

    #[test]
    fn text_is_told_from_control_words() {
        let written = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator X;}\uc1
\pard Gr\'fc\'dfe \b bold\b0  \u322?\u-10179?\u-8704? \{x\}\par next\tab col{\pict 00ff}\bin3 {{{end}";
        assert_eq!(text_of(written), ("Grüße bold ł😀 {x}\nnext colend".into(), true));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [&b"{\\rtf1 before"[..], &b"{".repeat(1_000_000)].concat();
        assert_eq!(text_of(&deep), ("before".into(), false));
    }
}
