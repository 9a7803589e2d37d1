//! What was measured, for people and for programs.

use super::measure::{Kind, Measured};
use super::usage::Used;
use crate::output;
use serde_json::{Value, json};
use std::time::Duration;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A run, as it is told.
pub struct Report {
    /// What was driven.
    pub target: &'static str,
    /// How: the load's own words, for programs.
    pub load: Value,
    /// What came of it.
    pub measured: Measured,
    /// What the processes used that were looked at.
    pub used: Vec<Used>,
    /// Those that ended meanwhile: what they used is not known.
    pub ended: Vec<u32>,
    /// What this process itself used, which sends the requests.
    pub own: Option<Used>,
    /// Requests come at their own pace, so that nothing needs to be corrected.
    pub open: bool,
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::EPSILON)
}

impl Report {
    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.measured.kinds.iter().filter(|kind| !kind.is_empty())
    }

    fn corrected(&self, kind: &Kind) -> f64 {
        if self.open { kind.millis(0.99) } else { kind.corrected().millis(0.99) }
    }

    fn per_request(&self, amount: f64) -> f64 {
        amount / (self.measured.done() as f64).max(1.0)
    }

    /// Tables.
    pub fn text(&self) -> String {
        let took = self.measured.took;
        let head =
            ["", "ops/s", "MiB/s", "p50 ms", "p99 ms", "p99 ms, steady", "p99.9 ms", "max ms", "errors", "unknown"];
        let mut table = output::table(head);
        for kind in self.kinds() {
            table.add_row([
                kind.name.to_string(),
                format!("{:.0}", per_second(kind.latency.len(), took)),
                match kind.bytes {
                    0 => String::new(),
                    bytes => format!("{:.1}", per_second(bytes, took) / MEBIBYTE),
                },
                format!("{:.2}", kind.millis(0.5)),
                format!("{:.2}", kind.millis(0.99)),
                format!("{:.2}", self.corrected(kind)),
                format!("{:.2}", kind.millis(0.999)),
                format!("{:.2}", kind.latency.max() as f64 / 1000.0),
                kind.failed.to_string(),
                kind.unknown.to_string(),
            ]);
        }
        let mut text = output::table_text(&table);
        for sample in self.kinds().flat_map(|kind| &kind.samples) {
            text += &format!("error: {sample}\n");
        }
        if !self.used.is_empty() {
            let mut table = output::table(["process", "", "CPU µs/op", "bytes written/op", "MiB of memory"]);
            for used in &self.used {
                table.add_row([
                    used.pid.to_string(),
                    used.name.clone(),
                    format!("{:.1}", self.per_request(used.cpu_seconds * 1e6)),
                    format!("{:.0}", self.per_request(used.written as f64)),
                    format!("{:.0}", used.memory as f64 / MEBIBYTE),
                ]);
            }
            if let Some(own) = &self.own {
                let cpu = format!("{:.1}", self.per_request(own.cpu_seconds * 1e6));
                table.add_row([
                    own.pid.to_string(),
                    "this load, not counted".into(),
                    cpu,
                    String::new(),
                    String::new(),
                ]);
            }
            let cpu: f64 = self.used.iter().map(|used| used.cpu_seconds).sum();
            let written: u64 = self.used.iter().map(|used| used.written).sum();
            table.add_row([
                "all".to_string(),
                String::new(),
                format!("{:.1}", self.per_request(cpu * 1e6)),
                format!("{:.0}", self.per_request(written as f64)),
                String::new(),
            ]);
            text += &output::table_text(&table);
        }
        for pid in &self.ended {
            text += &format!("process {pid} ended meanwhile: what it used is not counted\n");
        }
        if self.measured.behind > 0 {
            let behind = self.measured.behind;
            text += &format!("{behind} requests were due and could not be sent: all clients were waiting\n");
        }
        text
    }

    /// The same, and the load, as JSON.
    pub fn json(&self) -> Value {
        let took = self.measured.took;
        let kind = |kind: &Kind| {
            let told = json!({
                "done": kind.latency.len(),
                "ops_per_second": per_second(kind.latency.len(), took),
                "bytes_per_second": per_second(kind.bytes, took),
                "p50_ms": kind.millis(0.5),
                "p99_ms": kind.millis(0.99),
                "p99_steady_ms": self.corrected(kind),
                "p999_ms": kind.millis(0.999),
                "max_ms": kind.latency.max() as f64 / 1000.0,
                "errors": kind.failed,
                "unknown": kind.unknown,
                "samples": kind.samples,
            });
            (kind.name.to_string(), told)
        };
        let process = |used: &Used| {
            json!({
                "pid": used.pid,
                "name": used.name,
                "cpu_seconds": used.cpu_seconds,
                "cpu_us_per_op": self.per_request(used.cpu_seconds * 1e6),
                "bytes_written": used.written,
                "bytes_written_per_op": self.per_request(used.written as f64),
                "memory_bytes": used.memory,
            })
        };
        let sum = |count: fn(&Kind) -> u64| self.measured.kinds.iter().map(count).sum::<u64>();
        let stall = self.measured.stalls.last().copied().unwrap_or_default();
        json!({
            "target": self.target,
            "load": self.load,
            "seconds": took.as_secs_f64(),
            "ops_per_second": per_second(self.measured.done(), took),
            "errors": sum(|kind| kind.failed),
            "unknown": sum(|kind| kind.unknown),
            "behind": self.measured.behind,
            "load_cpu_us_per_op": self.own.as_ref().map(|own| self.per_request(own.cpu_seconds * 1e6)),
            "processes_ended": self.ended,
            "longest_stall_ms": stall.as_secs_f64() * 1e3,
            "kinds": self.measured.kinds.iter().map(kind).collect::<serde_json::Map<_, _>>(),
            "processes": self.used.iter().map(process).collect::<Vec<_>>(),
        })
    }
}
