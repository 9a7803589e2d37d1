//! What the gateways of a node count, as Prometheus reads it.
//!
//! **Invariants**: labels come from the lists here, never from a request, so that
//! no stranger can make more series; nothing tells whose requests they were, or about what.

use crate::Health;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use types::Layout;

/// Upper bounds of the histogram's buckets, in milliseconds.
const BUCKETS_MS: [u64; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000];

/// Where a request came in, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    WebPages,
    WebApi,
    KeyValue,
    Drive,
    Tables,
    Accounts,
    Cluster,
    /// Reflection, health checks, and what is not known here.
    OtherGrpc,
}

const SERVICES: [(Service, &str, &str); 8] = [
    (Service::WebPages, "web", "pages"),
    (Service::WebApi, "web", "api"),
    (Service::KeyValue, "grpc", "key_value"),
    (Service::Drive, "grpc", "drive"),
    (Service::Tables, "grpc", "tables"),
    (Service::Accounts, "grpc", "accounts"),
    (Service::Cluster, "grpc", "cluster"),
    (Service::OtherGrpc, "grpc", "other"),
];

impl Service {
    /// By the path of a gRPC call.
    pub(crate) fn of_call(path: &str) -> Service {
        match path.strip_prefix("/atoll.v1.").and_then(|rest| rest.split('/').next()) {
            Some("KeyValue") => Service::KeyValue,
            Some("Drive") => Service::Drive,
            Some("Tables") => Service::Tables,
            Some("Accounts") => Service::Accounts,
            Some("Cluster") => Service::Cluster,
            _ => Service::OtherGrpc,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    /// The asker's fault, or a condition that does not hold.
    Refused,
    /// Not now: busy, unavailable, or the outcome is not known.
    Failed,
}

const ENDINGS: [(Ending, &str); 3] = [(Ending::Ok, "ok"), (Ending::Refused, "refused"), (Ending::Failed, "failed")];

impl Ending {
    /// By the status of an HTTP answer.
    pub(crate) fn of_http(status: u16) -> Ending {
        match status {
            0..400 => Ending::Ok,
            400..500 => Ending::Refused,
            _ => Ending::Failed,
        }
    }

    /// By the code of a gRPC answer.
    pub(crate) fn of_grpc(code: tonic::Code) -> Ending {
        use tonic::Code;
        match code {
            Code::Ok => Ending::Ok,
            Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Cancelled => Ending::Failed,
            _ => Ending::Refused,
        }
    }
}

#[derive(Debug, Default)]
struct Counted {
    endings: [AtomicU64; ENDINGS.len()],
    /// Each with what is in its bucket alone; the last is for what took longer.
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    micros: AtomicU64,
}

/// The counts of one node's gateways, which share it.
#[derive(Debug, Default)]
pub struct Metrics {
    services: [Counted; SERVICES.len()],
}

impl Metrics {
    /// A request ended so, after that time.
    pub(crate) fn record(&self, service: Service, ending: Ending, took: Duration) {
        let Some(counted) = self.services.get(service as usize) else { return };
        if let Some(count) = counted.endings.get(ending as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let bucket = BUCKETS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        if let Some(count) = counted.buckets.get(bucket.unwrap_or(BUCKETS_MS.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        counted.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The exposition format 0.0.4.
    pub(crate) fn render(&self, health: &Health, layout: &Layout) -> String {
        let mut out = String::with_capacity(8 * 1024);
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            // Writing to a string cannot fail.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        one("atoll_ready", "gauge", "1 when this gateway reaches a cluster that serves.", health.ready.into());
        one("atoll_layout_version", "gauge", "Version of the map that this gateway goes by.", layout.version.0);
        one("atoll_nodes", "gauge", "Nodes of the cluster.", layout.nodes.len() as u64);
        let alive = layout.nodes.values().filter(|node| node.alive).count();
        one("atoll_nodes_alive", "gauge", "Nodes that the control plane counts as alive.", alive as u64);
        one("atoll_partitions", "gauge", "Partitions of the cluster.", layout.chains.len() as u64);
        if let Some(node) = &health.node {
            one("atoll_node_id", "gauge", "Number of this node.", node.node.0);
            one("atoll_node_lease_valid", "gauge", "1 while the node's lease is valid.", node.lease_valid.into());
            one("atoll_node_leader", "gauge", "1 while the node leads the control plane.", node.leader.into());
            one("atoll_node_voters", "gauge", "Voters, by the node's knowledge.", node.voters.len() as u64);
            one("atoll_node_stopped", "gauge", "1 when its storage failed.", node.stopped.is_some().into());
            one("atoll_node_partitions_serving", "gauge", "Partitions that it serves.", node.serving.into());
            one("atoll_node_partitions_syncing", "gauge", "Partitions being filled.", node.syncing.into());
            let waiting = "Partitions that wait for a replica known to be complete.";
            one("atoll_node_partitions_waiting", "gauge", waiting, node.waiting.into());
            one("atoll_node_blocks", "gauge", "Blocks that it holds.", node.blocks);
            one("atoll_node_blocks_missing", "gauge", "Blocks that it lacks.", node.blocks_missing);
            one("atoll_node_bytes_used", "gauge", "Bytes on its disk that are Atoll's.", node.bytes_used);
            one("atoll_node_bytes_free", "gauge", "Bytes free on its disk.", node.bytes_free);
        }
        self.render_requests(&mut out);
        let release = env!("CARGO_PKG_VERSION");
        let _ = write!(
            out,
            "# HELP atoll_build_info The release.\n# TYPE atoll_build_info gauge\natoll_build_info{{release=\"{release}\"}} 1\n"
        );
        out
    }

    fn render_requests(&self, out: &mut String) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let name = "atoll_requests_total";
        let _ = write!(out, "# HELP {name} Requests, by how they ended.\n# TYPE {name} counter\n");
        for ((_, gateway, service), counted) in SERVICES.iter().zip(&self.services) {
            for ((_, ending), count) in ENDINGS.iter().zip(&counted.endings) {
                let labels = format!("gateway=\"{gateway}\",service=\"{service}\",outcome=\"{ending}\"");
                let _ = writeln!(out, "{name}{{{labels}}} {}", load(count));
            }
        }
        let name = "atoll_request_seconds";
        let help = "Time until an answer began.";
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        for ((_, gateway, service), counted) in SERVICES.iter().zip(&self.services) {
            let labels = format!("gateway=\"{gateway}\",service=\"{service}\"");
            let mut sum = 0;
            for (bound, count) in BUCKETS_MS.iter().zip(&counted.buckets) {
                sum += load(count);
                let bound = *bound as f64 / 1000.0;
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}");
            }
            sum += counted.buckets.last().map_or(0, load);
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {sum}");
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", load(&counted.micros) as f64 / 1e6);
            let _ = writeln!(out, "{name}_count{{{labels}}} {sum}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_the_order_of_their_types() {
        for (at, (service, ..)) in SERVICES.iter().enumerate() {
            assert_eq!(*service as usize, at);
        }
        for (at, (ending, _)) in ENDINGS.iter().enumerate() {
            assert_eq!(*ending as usize, at);
        }
    }

    #[test]
    fn buckets_add_up_and_no_request_makes_a_label() {
        let metrics = Metrics::default();
        let calls = ["/atoll.v1.Drive/PutFile", "/atoll.v1.Drive/\"}", "/atoll.v1.Evil\"/x", "/anything"];
        for (call, millis) in calls.iter().zip([0, 3, 70, 60_000]) {
            metrics.record(Service::of_call(call), Ending::of_grpc(tonic::Code::Ok), Duration::from_millis(millis));
        }
        let mut text = String::new();
        metrics.render_requests(&mut text);
        for line in [
            "atoll_requests_total{gateway=\"grpc\",service=\"drive\",outcome=\"ok\"} 2",
            "atoll_request_seconds_bucket{gateway=\"grpc\",service=\"drive\",le=\"0.001\"} 1",
            "atoll_request_seconds_bucket{gateway=\"grpc\",service=\"drive\",le=\"0.005\"} 2",
            "atoll_request_seconds_bucket{gateway=\"grpc\",service=\"other\",le=\"5\"} 1",
            "atoll_request_seconds_bucket{gateway=\"grpc\",service=\"other\",le=\"+Inf\"} 2",
            "atoll_request_seconds_count{gateway=\"grpc\",service=\"other\"} 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in:\n{text}");
        }
        assert!(!text.contains("Evil") && !text.contains("PutFile"));
    }
}
