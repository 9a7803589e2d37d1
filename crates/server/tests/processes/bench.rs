//! `atoll bench` against three nodes: every load does what it says, and counts it.

use crate::demo::{Demo, machine, text, wait_for};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECONDS: f64 = 1.0;
const SHORT: [&str; 6] = ["--duration", "1s", "--warm-up", "200ms", "--clients", "4"];
/// Some megabytes a time, on all nodes: a slow disk takes a while.
const LONG: [&str; 6] = ["--duration", "4s", "--warm-up", "200ms", "--clients", "1"];

fn measured(demo: &Demo, words: &[&str]) -> Value {
    measured_as(demo, words, SHORT)
}

fn measured_as(demo: &Demo, words: &[&str], how: [&str; 6]) -> Value {
    let output = demo.run(&[&["bench"], words, &how, &["--json"]].concat());
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["errors"], &told["unknown"]), (&0.into(), &0.into()), "{words:?}: {told}");
    told
}

fn done(told: &Value, kind: &str) -> u64 {
    let done = told["kinds"][kind]["done"].as_u64().unwrap();
    assert!(done > 0, "no {kind}: {told}");
    done
}

#[test]
fn every_load_is_carried_and_counted() {
    let demo = Demo::start(3);
    let node = demo.folder.join("node-2");
    let pids: Vec<String> = demo.pids().iter().map(ToString::to_string).collect();
    for way in [&[][..], &["--native", node.to_str().unwrap()]] {
        for (mode, kind) in [("put", "put"), ("get", "get"), ("scan", "scan"), ("transaction", "transaction")] {
            let told = measured(&demo, &[&["kv", mode, "--keys", "200"], way].concat());
            let count = done(&told, kind);
            let others = told["kinds"].as_object().unwrap().iter().filter(|(name, _)| *name != kind);
            assert!(others.map(|(_, kind)| kind["done"].as_u64().unwrap()).all(|done| done == 0), "{told}");
            let rate = told["ops_per_second"].as_f64().unwrap();
            assert!((rate * SECONDS - count as f64).abs() < 1.0, "{told}");
        }
        let told = measured(&demo, &[&["kv", "mixed", "--keys", "200", "--reads", "50"], way].concat());
        assert!(done(&told, "put").abs_diff(done(&told, "get")) < done(&told, "put"), "{told}");
        // Four clients on one item: some are too late, and are told so.
        let told = measured(&demo, &[&["kv", "swap", "--keys", "1"], way].concat());
        done(&told, "swap");
        done(&told, "swap, too late");
    }

    // As many as are due, no more; those of the warm-up may be late.
    let told = measured(&demo, &["kv", "put", "--rate", "50"]);
    assert!((10..=65).contains(&done(&told, "put")), "{told}");

    // What the nodes used is theirs: they wrote each item three times at least.
    let processes: Vec<&str> = pids.iter().flat_map(|pid| ["--process", pid]).collect();
    let told = measured(&demo, &[&["kv", "put", "--value-size", "20000"], &processes[..]].concat());
    let used = told["processes"].as_array().unwrap();
    let written: f64 = used.iter().map(|one| one["bytes_written"].as_f64().unwrap()).sum();
    assert_eq!(used.len(), pids.len(), "{told}");
    assert!(written >= done(&told, "put") as f64 * 60_000.0, "{told}");
    assert!(used.iter().all(|one| one["cpu_seconds"].as_f64().unwrap() > 0.0), "{told}");

    for (size, how) in [("4KiB", SHORT), ("3MiB", LONG)] {
        done(&measured_as(&demo, &["blob", "put", "--size", size, "--names", "5"], how), "put");
        let told = measured_as(&demo, &["blob", "get", "--size", size, "--names", "5"], how);
        assert!(told["kinds"]["get"]["bytes_per_second"].as_f64().unwrap() > 0.0, "{told}");
    }
    let key: Value = serde_json::from_str(&demo.ok(&["key", "create", "bench", "--json"])).unwrap();
    let endpoints: Vec<String> = demo.nodes().iter().map(|node| node["s3"].as_str().unwrap().to_string()).collect();
    let endpoints = endpoints.join(",");
    let secret = ["--access-key", key["id"].as_str().unwrap(), "--secret-key", key["secret"].as_str().unwrap()];
    let s3 = |mode| [&["s3", mode, "--endpoint", &endpoints, "--size", "4KiB", "--names", "5"], &secret[..]].concat();
    for mode in ["put", "get"] {
        done(&measured(&demo, &s3(mode)), mode);
    }
    done(&measured(&demo, &["http", &format!("{}/health", demo.web())]), "get");
}

#[test]
fn the_stall_of_a_death_is_measured() {
    let demo = Demo::start(3);
    let leader = demo.pids()[0].to_string();
    let words = ["bench", "failover", "put", "--kill", &leader, "--duration", "9s", "--clients", "4", "--json"];
    let output = demo.run(&words);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    done(&told, "put");
    // Longer than any usual put, and over before the run was.
    let stall = told["longest_stall_ms"].as_f64().unwrap();
    assert!((5.0..9_000.0).contains(&stall), "{told}");
    wait_for("the node to be gone", Duration::from_secs(10), || (demo.pids().len() < 3).then_some(()));
}

/// The command by which the figures of the documents are made, with one peer and one load.
#[test]
fn atoll_and_a_peer_are_measured_in_turn() {
    let _machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told.json");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/compare");
    let mut compare = Command::new(program);
    compare.args(["redis", "--rounds", "1", "--duration", "1", "--only", "put, 64 clients"]);
    compare.args(["--atoll", env!("CARGO_BIN_EXE_atoll")]).arg("--data").arg(folder.path()).arg("--json").arg(&told);
    let output = compare.output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let told: Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    let [row] = &told["rows"].as_array().unwrap()[..] else { panic!("{told}") };
    assert!(row["ratio"].as_array().unwrap().iter().all(|ratio| ratio.as_f64().unwrap() > 0.0), "{row}");
    let runs = told["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["who"].as_str().unwrap()).collect::<Vec<_>>(), ["atoll", "redis"]);
    for run in runs {
        assert_eq!((&run["errors"], &run["unknown"]), (&0.into(), &0.into()), "{run}");
        assert!(run["processes"].as_array().unwrap().len() >= 3, "{run}");
        done(run, "put");
        // Each of three wrote it down: 256 bytes a put, and more.
        let written = run["processes"].as_array().unwrap().iter().map(|one| one["bytes_written"].as_f64().unwrap());
        assert!(written.sum::<f64>() > 3.0 * 256.0 * run["kinds"]["put"]["done"].as_f64().unwrap(), "{run}");
    }
}
