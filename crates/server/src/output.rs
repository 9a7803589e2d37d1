//! Writing results: text, JSON, sizes, dates.
//!
//! **Invariants**: results go to standard output, everything else to standard
//! error; a reader that goes away (`atoll ls | head`) ends the command quietly;
//! bytes that are not text are shown without harming a terminal.

use crate::failure::{Failure, Outcome};
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal, Write};
use types::WallMillis;

pub use apps::accounts::said_size as size;

/// Writes to standard output.
pub fn print(bytes: impl AsRef<[u8]>) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes.as_ref()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::io("cannot write the result", &error),
    })
}

/// Writes a line to standard output.
pub fn line(text: impl AsRef<str>) -> Outcome {
    print(format!("{}\n", text.as_ref()))
}

/// Writes a value as one line of JSON.
pub fn json(value: &impl Serialize) -> Outcome {
    line(serde_json::to_string(value).map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?)
}

/// True when a person watches standard error: progress bars and prompts make sense.
pub fn watched() -> bool {
    io::stderr().is_terminal()
}

/// Bytes as JSON: `name` holds text; what is not text goes to `name_hex`.
pub fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_string(), json!(text)),
        Err(_) => object.insert(format!("{name}_hex"), json!(hex(bytes))),
    };
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as text on one line; controls and what is not text become `\x..`.
pub fn printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                // They change how the text around them reads.
                '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
                    out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out
}

/// A table without lines, as `ls -l` prints them.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// Its text.
pub fn table_text(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end())).collect()
}

/// A count with its noun: `1 file`, `2 files`.
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `node 3`, `nodes 1, 2 and 3`.
pub fn nodes(all: impl IntoIterator<Item = types::NodeId>) -> String {
    let mut all: Vec<String> = all.into_iter().map(|node| node.to_string()).collect();
    match (all.pop(), all.is_empty()) {
        (None, _) => "no node".into(),
        (Some(last), true) => format!("node {last}"),
        (Some(last), false) => format!("nodes {} and {last}", all.join(", ")),
    }
}

/// A date for people and scripts, in UTC: `2026-11-21T03:27:15Z`.
pub fn date(at: WallMillis) -> String {
    let seconds = at.0 / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Days since 1970-01-01 to a date of the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    let every = |years: u64, year: u64| year.is_multiple_of(years);
    let leap = |year: u64| (every(4, year) && !every(100, year)) || every(400, year);
    // Whole cycles of 400 years have 146 097 days; the rest is walked.
    let (mut year, mut left) = (1970 + days / 146_097 * 400, days % 146_097);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(WallMillis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(date(WallMillis(951_782_400_000)), "2000-02-29T00:00:00Z");
        assert_eq!(date(WallMillis(1_795_231_635_123)), "2026-11-21T03:27:15Z");
        assert_eq!(date(WallMillis(4_102_444_799_000)), "2099-12-31T23:59:59Z");
    }

    #[test]
    fn bytes_cannot_harm_a_terminal() {
        assert_eq!(printable(b"a\x1b[2J\n\xff\\"), "a\\x1b[2J\\n\\xff\\\\");
        assert_eq!(printable("Zoë \u{202e}gpj.exe".as_bytes()), "Zoë \\u{202e}gpj.exe");
        let mut object = Map::new();
        put_bytes(&mut object, "value", &[0xff, 0]);
        put_bytes(&mut object, "key", b"k");
        assert_eq!(Value::Object(object), json!({"value_hex": "ff00", "key": "k"}));
    }
}
