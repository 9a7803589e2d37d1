//! What is asked of the nemesis.

use crate::fault::Kind;
use crate::sandbox;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Real processes under every fault at once, under load; what the clients saw must be linearizable.
#[derive(Parser, Debug)]
#[command(name = "nemesis")]
#[command(after_help = "Without --minutes and --faults: three minutes of everything, then one in which all nodes are
killed every few seconds (ATOLL_TEST_LONG=1: fifteen and three). Before that, most of a minute on ZooKeeper
(ATOLL_TEST_LONG=1: ten).")]
pub struct Args {
    /// How long
    #[arg(long)]
    pub minutes: Option<f64>,
    /// Decides which faults occur, when, and what the clients ask [default: another each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Which faults, with commas [default: all]
    #[arg(long, value_delimiter = ',')]
    pub faults: Vec<Kind>,
    /// How many nodes
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub nodes: u16,
    /// What keeps the metadata. Without any of these: ZooKeeper for a moment, then Raft
    #[arg(long, value_enum)]
    pub coordination: Option<Coordination>,
    /// How many clients
    #[arg(long, default_value = "16", value_parser = clap::value_parser!(u64).range(1..=256))]
    pub clients: u64,
    /// The atoll to try [default: the one built with this]
    #[arg(long, default_value = env!("CARGO_BIN_EXE_atoll"), hide_default_value = true)]
    pub binary: PathBuf,
    /// Write the history there
    #[arg(long)]
    pub history: Option<PathBuf>,
    /// Judge a history that was written before, and do nothing else
    #[arg(long)]
    pub judge: Option<PathBuf>,
    /// Run only if this is part of "nemesis", as other test programs take it
    #[arg(hide = true)]
    pub filter: Vec<String>,
    #[arg(long, hide = true)]
    pub nocapture: bool,
    #[arg(long, hide = true)]
    pub list: bool,
}

/// What keeps the cluster's metadata.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coordination {
    /// The nodes themselves.
    Raft,
    /// An ensemble beside them.
    Zookeeper,
}

/// A stretch of time and its faults.
pub struct Phase {
    pub lasts: Duration,
    pub kinds: Vec<Kind>,
}

impl Args {
    /// What is to be done, one after the other.
    pub fn phases(&self) -> Vec<Phase> {
        let minutes = |minutes: f64| Duration::from_secs_f64(minutes.max(0.0) * 60.0);
        let kinds = if self.faults.is_empty() {
            Kind::ALL.iter().map(|(_, kind)| *kind).collect()
        } else {
            self.faults.clone()
        };
        let needs_root = |kind: &Kind| matches!(kind, Kind::Power | Kind::Blackout);
        // Wiped with fewer nodes, a disk takes the majority or the write quorum with it.
        let possible = |kind: &Kind| {
            (sandbox::is_root() || !needs_root(kind))
                && (self.nodes > 1 || *kind != Kind::Wipe)
                && (self.on_zookeeper() || *kind != Kind::Server)
        };
        let kinds: Vec<Kind> = kinds.into_iter().filter(possible).collect();
        if self.minutes.is_some() || !self.faults.is_empty() {
            return vec![Phase { lasts: minutes(self.minutes.unwrap_or(3.0)), kinds }];
        }
        let long = std::env::var_os("ATOLL_TEST_LONG").is_some();
        let (mixed, deadly) = if long { (15.0, 3.0) } else { (3.0, 1.0) };
        vec![Phase { lasts: minutes(mixed), kinds }, Phase { lasts: minutes(deadly), kinds: vec![Kind::AllAtOnce] }]
    }

    /// Whether an ensemble keeps the metadata.
    pub fn on_zookeeper(&self) -> bool {
        self.coordination == Some(Coordination::Zookeeper)
    }

    /// Whether nothing in particular is asked for.
    pub fn is_usual(&self) -> bool {
        self.minutes.is_none() && self.faults.is_empty() && self.coordination.is_none() && self.seed.is_none()
    }

    /// The words that do this again.
    pub fn again(&self, seed: u64) -> String {
        let mut words = format!("--seed {seed} --nodes {} --clients {}", self.nodes, self.clients);
        if self.on_zookeeper() {
            words += " --coordination zookeeper";
        }
        if let Some(minutes) = self.minutes {
            words += &format!(" --minutes {minutes}");
        }
        if !self.faults.is_empty() {
            let names: Vec<&str> = self.faults.iter().map(|kind| kind.name()).collect();
            words += &format!(" --faults {}", names.join(","));
        }
        format!("cargo test --release -p atoll-server --test nemesis -- {words}")
    }
}
