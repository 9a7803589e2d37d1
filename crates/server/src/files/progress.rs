//! Progress of many files, shown only when a person watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// One bar for everything under way.
#[derive(Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    /// `shown`: draw it, if standard error is a terminal.
    pub fn new(verb: &'static str, shown: bool) -> Progress {
        let target =
            if shown && crate::output::watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let form =
            "{prefix} {bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_prefix(verb);
        bar.enable_steady_tick(Duration::from_millis(250));
        Progress(bar)
    }

    /// More to do.
    pub fn expect(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    /// So much is done.
    pub fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// What is worked on.
    pub fn name(&self, name: &str) {
        self.0.set_message(name.to_string());
    }

    /// A line above the bar, on standard error.
    pub fn say(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// One file's part in the whole: progress comes as totals, the bar wants steps.
pub struct Part {
    whole: Progress,
    done: u64,
}

impl Part {
    /// Nothing done yet.
    pub fn new(whole: &Progress) -> Part {
        Part { whole: whole.clone(), done: 0 }
    }

    /// So much is done of this file. Going back counts once only.
    pub fn at(&mut self, done: u64) {
        self.whole.add(done.saturating_sub(self.done));
        self.done = self.done.max(done);
    }
}
