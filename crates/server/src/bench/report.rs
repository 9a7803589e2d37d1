//! What was measured, for people and for programs.

use super::KvLoad;
use super::load::{Kind, Measured};
use crate::output;
use serde_json::{Value, json};
use std::time::Duration;

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::EPSILON)
}

fn millis(kind: &Kind, quantile: f64) -> f64 {
    kind.latency.value_at_quantile(quantile) as f64 / 1000.0
}

/// A table.
pub fn text(measured: &Measured) -> String {
    let mut table = output::table(["", "ops/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "errors", "unknown"]);
    for (name, kind) in [("put", &measured.puts), ("get", &measured.gets)] {
        if kind.latency.is_empty() && kind.failed + kind.unknown == 0 {
            continue;
        }
        table.add_row([
            name.to_string(),
            format!("{:.0}", rate(kind.latency.len(), measured.took)),
            format!("{:.2}", millis(kind, 0.5)),
            format!("{:.2}", millis(kind, 0.99)),
            format!("{:.2}", millis(kind, 0.999)),
            format!("{:.2}", kind.latency.max() as f64 / 1000.0),
            kind.failed.to_string(),
            kind.unknown.to_string(),
        ]);
    }
    let mut text = output::table_text(&table);
    for sample in measured.puts.samples.iter().chain(&measured.gets.samples) {
        text += &format!("error: {sample}\n");
    }
    text
}

/// The same, and the load, as JSON.
pub fn to_json(target: &str, load: &KvLoad, connections: usize, measured: &Measured) -> Value {
    let kind = |kind: &Kind| {
        json!({
            "done": kind.latency.len(),
            "ops_per_second": rate(kind.latency.len(), measured.took),
            "p50_ms": millis(kind, 0.5),
            "p99_ms": millis(kind, 0.99),
            "p999_ms": millis(kind, 0.999),
            "max_ms": kind.latency.max() as f64 / 1000.0,
            "errors": kind.failed,
            "unknown": kind.unknown,
            "samples": kind.samples,
        })
    };
    json!({
        "target": target,
        "mode": load.mode.name(),
        "clients": load.clients,
        "connections": connections,
        "value_bytes": load.value_size,
        "keys": load.keys,
        "seconds": measured.took.as_secs_f64(),
        "ops_per_second": rate(measured.done(), measured.took),
        "errors": measured.puts.failed + measured.gets.failed,
        "unknown": measured.puts.unknown + measured.gets.unknown,
        "put": kind(&measured.puts),
        "get": kind(&measured.gets),
    })
}
