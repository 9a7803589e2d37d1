//! Histories as JSON lines: one operation a line, readable by a person and by other checkers.

use super::Operation;
use std::io::{self, BufRead, Write};

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source failed.
    #[error("reading a history: {0}")]
    Io(#[from] io::Error),
    /// A line is not an operation.
    #[error("line {line} is not an operation: {source}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// Writes one operation a line.
pub fn write_json_lines(mut to: impl Write, history: &[Operation]) -> io::Result<()> {
    for operation in history {
        serde_json::to_writer(&mut to, operation)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// Reads what [`write_json_lines`] wrote; blank lines are passed over.
pub fn read_json_lines(from: impl BufRead) -> Result<Vec<Operation>, ReadError> {
    let mut history = Vec::new();
    for (index, line) in from.lines().enumerate() {
        let line = line?;
        if !line.trim().is_empty() {
            let parsed = serde_json::from_str(&line);
            history.push(parsed.map_err(|source| ReadError::Line { line: index + 1, source })?);
        }
    }
    Ok(history)
}
