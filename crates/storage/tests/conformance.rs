//! One suite for both engines, and both against each other.
//! `PROPTEST_CASES` sets how many random sequences; a failure prints the one that failed, made small.

#![allow(clippy::unwrap_used)]

mod suite;

use proptest::prelude::*;
use suite::engines::{InMemory, OnDisk};
use suite::random::{Pair, acts};

macro_rules! conformance {
    ($($check:ident: $lsm:expr, $memory:expr;)*) => {
        mod lsm {
            use super::*;
            $(#[test] fn $check() { suite::$check(&mut $lsm); })*
        }
        mod memory {
            use super::*;
            $(#[test] fn $check() { suite::$check(&mut $memory); })*
        }
    };
}

fn roomy() -> OnDisk {
    OnDisk::new(64 << 20, 256 << 20)
}

fn plenty() -> InMemory {
    InMemory { retain: 10_000 }
}

conformance! {
    log_keeps_order: roomy(), plenty();
    truncation: roomy(), plenty();
    tables: roomy(), plenty();
    queries: roomy(), plenty();
    page_bytes: roomy(), plenty();
    scans: roomy(), plenty();
    full_copy: roomy(), plenty();
    checkpoints: OnDisk::new(4 << 10, 16 << 10), InMemory { retain: 60 };
    old_operations_are_forgotten: roomy(), plenty();
    large_values: roomy(), plenty();
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn both_engines_agree(acts in acts()) {
        let mut pair = Pair::new(roomy(), plenty(), true);
        for act in &acts {
            pair.act(act);
        }
        pair.compare();
    }

    #[test]
    fn both_agree_when_the_log_is_released_early(acts in acts()) {
        let mut pair = Pair::new(OnDisk::new(500, 0), InMemory { retain: 0 }, false);
        for act in &acts {
            pair.act(act);
            pair.compare();
        }
    }
}
