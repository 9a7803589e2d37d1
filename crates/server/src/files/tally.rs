//! What became of many files: lines on the way, a summary, the exit code.

use super::progress::Progress;
use crate::failure::{Failure, Outcome};
use crate::output;
use serde_json::{Value, json};

/// What became of one.
#[derive(Debug)]
pub enum Fate {
    /// Sent or fetched; so many of its bytes were there before, from an earlier try.
    Done { bytes: u64, before: u64 },
    /// There already, the same.
    Same { bytes: u64 },
    /// Not a file or folder: left out, with why.
    LeftOut(String),
    /// Failed.
    Failed(Failure),
}

/// What became of all.
#[derive(Debug, Default)]
pub struct Tally {
    items: Vec<Value>,
    keep_items: bool,
    done: u64,
    bytes: u64,
    before: u64,
    same: u64,
    same_bytes: u64,
    failed: u64,
    unknown: u64,
    first: Option<Failure>,
    /// The first failure's line: said only when there is a second, since the first of one is the command's own.
    held: Option<String>,
}

impl Tally {
    /// `json`: keep every item for the result.
    pub fn new(json: bool) -> Tally {
        Tally { keep_items: json, ..Tally::default() }
    }

    /// Counts one, and says what a person should know.
    pub fn add(&mut self, name: &str, fate: Fate, progress: &Progress) {
        let item = match &fate {
            Fate::Done { bytes, before } => {
                json!({"path": name, "result": "done", "bytes": bytes, "bytes_before": before})
            }
            Fate::Same { bytes } => json!({"path": name, "result": "same", "bytes": bytes}),
            Fate::LeftOut(why) => json!({"path": name, "result": "left_out", "why": why}),
            Fate::Failed(why) => {
                let result = if why.code() == 3 { "unknown" } else { "failed" };
                json!({"path": name, "result": result, "why": why.to_string()})
            }
        };
        if self.keep_items {
            self.items.push(item);
        }
        match fate {
            Fate::Done { bytes, before } => {
                self.done += 1;
                self.bytes += bytes;
                self.before += before;
            }
            Fate::Same { bytes } => {
                self.same += 1;
                self.same_bytes += bytes;
            }
            Fate::LeftOut(why) => progress.say(&format!("left out: {name}: {why}")),
            Fate::Failed(why) => {
                let said = why.to_string();
                // Most say themselves what they are about.
                let line =
                    if said.contains(name) { format!("failed: {said}") } else { format!("failed: {name}: {said}") };
                if self.first.is_none() {
                    self.held = Some(line);
                } else {
                    self.held.take().into_iter().chain([line]).for_each(|line| progress.say(&line));
                }
                if why.code() == 3 {
                    self.unknown += 1;
                } else {
                    self.failed += 1;
                }
                // An unknown outcome weighs more than a failure: somebody must look.
                if self.first.as_ref().is_none_or(|first| first.code() != 3 && why.code() == 3) {
                    self.first = Some(why);
                }
            }
        }
    }

    /// Ctrl-C: says how far it came. `total`: files in all, when they were counted.
    pub fn stopped(self, total: Option<u64>) -> Failure {
        let whole = self.done + self.same;
        if self.keep_items {
            let result = self.json(true);
            if let Err(error) = output::json(&result) {
                return error;
            }
        }
        self.held.iter().for_each(|line| eprintln!("{line}"));
        Failure::Stopped(match total {
            None => "stopped before anything was done; run the same command again".to_string(),
            Some(total) => {
                format!(
                    "stopped: {whole} of {} are there whole; run the same command again to go on",
                    output::count(total, "file")
                )
            }
        })
    }

    fn json(&self, stopped: bool) -> Value {
        json!({
            "done": self.done, "bytes": self.bytes, "bytes_before": self.before,
            "same": self.same, "same_bytes": self.same_bytes,
            "failed": self.failed, "unknown": self.unknown, "stopped": stopped, "items": self.items,
        })
    }

    /// Prints the result; fails when anything did.
    pub fn finish(self, verb: &str) -> Outcome {
        if self.keep_items {
            output::json(&self.json(false))?;
        } else {
            let mut text = format!("{verb} {}, {}", output::count(self.done, "file"), output::size(self.bytes));
            if self.before > 0 {
                text += &format!(", of which {} were there from before", output::size(self.before));
            }
            if self.same > 0 {
                let were = if self.same == 1 { "was" } else { "were" };
                let (files, bytes) = (output::count(self.same, "file"), output::size(self.same_bytes));
                text += &format!("; {files} ({bytes}) {were} already there");
            }
            if self.failed > 0 {
                text += &format!("; {} failed", self.failed);
            }
            if self.unknown > 0 {
                text += &format!("; {} unknown", self.unknown);
            }
            output::line(text)?;
        }
        let count = self.failed + self.unknown;
        match self.first {
            None => Ok(()),
            Some(only) if count == 1 => Err(only),
            Some(first) => {
                let what = format!("{count} of {} files failed: see above", self.done + self.same + count);
                let again = "run the same command again: what is there already is skipped";
                Err(match first.code() {
                    3 => Failure::Unknown { what, next: Some(again.into()) },
                    _ => Failure::failed(what).safe("what was done stays done").next(again),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_fate_decides_the_exit_code() {
        let progress = Progress::new("", false);
        let unknown = || Fate::Failed(Failure::Unknown { what: "x".into(), next: None });
        let failed = || Fate::Failed(Failure::failed("x"));
        let code = |fates: Vec<Fate>| {
            let mut tally = Tally::new(true);
            fates.into_iter().for_each(|fate| tally.add("f", fate, &progress));
            tally.finish("Did").err().map_or(0, |failure| failure.code())
        };
        assert_eq!(
            code(vec![Fate::Same { bytes: 1 }, Fate::Done { bytes: 1, before: 0 }, Fate::LeftOut("x".into())]),
            0
        );
        assert_eq!(code(vec![failed(), Fate::Same { bytes: 1 }]), 1);
        assert_eq!(code(vec![failed(), unknown(), failed()]), 3);
        assert_eq!(code(vec![unknown()]), 3);
    }
}
