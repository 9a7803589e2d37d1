//! What became of many files: lines on the way, a summary, the exit code.

use super::progress::Progress;
use crate::failure::{Failure, Outcome};
use crate::output;
use serde_json::{Value, json};

/// What became of one.
#[derive(Debug)]
pub enum Fate {
    /// Sent or fetched.
    Done { bytes: u64 },
    /// There already, the same.
    Same,
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
    same: u64,
    failed: u64,
    unknown: u64,
    first: Option<Failure>,
}

impl Tally {
    /// `json`: keep every item for the result.
    pub fn new(json: bool) -> Tally {
        Tally { keep_items: json, ..Tally::default() }
    }

    /// Counts one, and says what a person should know.
    pub fn add(&mut self, name: &str, fate: Fate, progress: &Progress) {
        let item = match &fate {
            Fate::Done { bytes } => json!({"path": name, "result": "done", "bytes": bytes}),
            Fate::Same => json!({"path": name, "result": "same"}),
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
            Fate::Done { bytes } => {
                self.done += 1;
                self.bytes += bytes;
            }
            Fate::Same => self.same += 1,
            Fate::LeftOut(why) => progress.say(&format!("left out: {name}: {why}")),
            Fate::Failed(why) => {
                progress.say(&format!("failed: {name}: {why}"));
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

    /// Prints the result; fails when anything did.
    pub fn finish(self, verb: &str) -> Outcome {
        if self.keep_items {
            output::json(&json!({
                "done": self.done, "bytes": self.bytes, "same": self.same,
                "failed": self.failed, "unknown": self.unknown, "items": self.items,
            }))?;
        } else {
            let mut text = format!("{verb} {}, {}", output::count(self.done, "file"), output::size(self.bytes));
            if self.same > 0 {
                text += &format!("; {} there already", self.same);
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
                let what = format!("{count} of {} files: see above; the first: {first}", self.done + self.same + count);
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
        assert_eq!(code(vec![Fate::Same, Fate::Done { bytes: 1 }, Fate::LeftOut("x".into())]), 0);
        assert_eq!(code(vec![failed(), Fate::Same]), 1);
        assert_eq!(code(vec![failed(), unknown(), failed()]), 3);
        assert_eq!(code(vec![unknown()]), 3);
    }
}
