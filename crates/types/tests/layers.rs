//! The rules of who may use whom (docs/architecture.md), checked on the manifests and sources.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the crates of this workspace that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("rpc", &["types"]),
    ("storage", &["types"]),
    ("placement", &["types"]),
    ("replication", &["types"]),
    ("control", &["types", "rpc", "storage", "placement", "replication"]),
    ("node", &["types", "rpc", "storage", "placement", "replication", "control"]),
    ("client", &["types", "rpc", "placement"]),
    ("extract", &[]),
    ("apps", &["types", "client", "extract"]),
    ("multipart", &[]),
    ("gateways", &["types", "rpc", "client", "apps", "multipart"]),
    ("s3", &["types", "client", "apps", "multipart"]),
    ("server", &["types", "rpc", "storage", "control", "node", "client", "extract", "apps", "gateways", "s3"]),
    ("simulator", &["types", "rpc", "storage", "placement", "replication", "control"]),
];

/// Crates without I/O: no runtime, no disk, no sockets, no clock or random source of their own.
const PURE: &[&str] = &["types", "placement", "replication"];
const NOT_IN_PURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "rand::",
    "std::env",
    "std::process",
    "HashMap", // its order is random
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The names under `[dependencies]` of a crate's manifest.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && let Some(name) = line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty()) {
            found.insert(name.to_string());
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn crates_use_only_what_is_below_them() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    for entry in fs::read_dir(crates()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let may = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} has no place in the layers"));
        for used in dependencies(&name).iter().filter(|used| allowed.contains_key(used.as_str())) {
            assert!(may.contains(&used.as_str()), "crate {name} may not use {used}");
        }
    }
}

#[test]
fn pure_crates_do_no_io() {
    for name in PURE {
        let mut files = Vec::new();
        sources(&crates().join(name).join("src"), &mut files);
        assert!(!files.is_empty());
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            // Tests inside the files may do as they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in NOT_IN_PURE {
                let used = code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
                assert!(!used, "{} uses {word}", file.display());
            }
        }
        for used in dependencies(name) {
            assert!(!["tokio", "rand", "fjall", "nix"].contains(&used.as_str()), "pure crate {name} depends on {used}");
        }
    }
}

#[test]
fn files_are_of_readable_size() {
    let mut files = Vec::new();
    for entry in fs::read_dir(crates()).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    // A table of words is as long as there are words.
    let is_word = |line: &&str| {
        line.trim().split_once(": \"").is_some_and(|(name, rest)| {
            rest.ends_with("\",") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        })
    };
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().filter(|line| !is_word(line)).count();
        assert!(lines <= 600, "{} has {lines} lines: split it", file.display());
    }
}
