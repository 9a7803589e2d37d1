//! What happened, line by line: always hashed, kept only on demand.

use std::fmt;

/// A run's trace. Two runs of one seed have the same hash.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    lines: u64,
    keep: bool,
    /// Printed as they come, so that a run that never ends can be watched.
    kept: Vec<String>,
    buffer: String,
}

impl Trace {
    /// `keep`: the lines too, not only their hash.
    pub fn new(keep: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, keep, ..Trace::default() }
    }

    /// Adds a line.
    pub fn line(&mut self, at: u64, what: fmt::Arguments<'_>) {
        use fmt::Write;
        self.buffer.clear();
        // Writing to a string does not fail.
        let _ = write!(self.buffer, "{:>10}.{:06} ", at / 1_000_000, at % 1_000_000);
        let _ = self.buffer.write_fmt(what);
        for chunk in self.buffer.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash = (self.hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        }
        self.lines += 1;
        if self.keep {
            self.kept.push(self.buffer.clone());
        }
    }

    /// Of all lines.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.lines
    }

    /// True before the first.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        &self.kept
    }
}
