//! The network: a bridge, a namespace for each node, and what does not get through.
//!
//! Whatever is cut is dropped where it arrives, without a word to the sender, as a cable that was pulled would.

use crate::fault::{CLIENTS, Way};
use crate::sandbox::{feed, run};
use std::collections::BTreeMap;
use std::fmt::Write;

const CLIENTS_ADDRESS: &str = "10.77.0.254";

/// Where a node, or the clients, are.
pub fn address(end: u16) -> String {
    if end == CLIENTS { CLIENTS_ADDRESS.to_string() } else { format!("10.77.0.{end}") }
}

/// The file that names a node's namespace.
pub fn namespace(node: u16) -> String {
    format!("/run/netns/node-{node}")
}

/// The network and its faults. A way may be cut by several of them at once.
pub struct Network {
    nodes: u16,
    cut: BTreeMap<Way, u32>,
    lossy: BTreeMap<u16, u8>,
    /// The rules in force, by end.
    rules: BTreeMap<u16, String>,
}

impl Network {
    /// Lays the cables.
    pub fn new(nodes: u16) -> Result<Network, String> {
        // A folder of our own for the names of namespaces.
        run("mount", &["-t", "tmpfs", "none", "/run"])?;
        run("ip", &["link", "set", "lo", "up"])?;
        run("ip", &["link", "add", "bridge", "type", "bridge"])?;
        run("ip", &["link", "set", "bridge", "up"])?;
        run("ip", &["addr", "add", &format!("{CLIENTS_ADDRESS}/24"), "dev", "bridge"])?;
        for node in 1..=nodes {
            let (name, port) = (format!("node-{node}"), format!("port-{node}"));
            run("ip", &["netns", "add", &name])?;
            run("ip", &["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
            run("ip", &["link", "set", &port, "master", "bridge", "up"])?;
            run("ip", &["-n", &name, "addr", "add", &format!("{}/24", address(node)), "dev", "eth0"])?;
            run("ip", &["-n", &name, "link", "set", "eth0", "up"])?;
            run("ip", &["-n", &name, "link", "set", "lo", "up"])?;
        }
        Ok(Network { nodes, cut: BTreeMap::new(), lossy: BTreeMap::new(), rules: BTreeMap::new() })
    }

    /// Nothing passes there any more.
    pub fn cut(&mut self, ways: &[Way]) -> Result<(), String> {
        ways.iter().for_each(|way| *self.cut.entry(*way).or_default() += 1);
        self.apply()
    }

    /// One that cut there does so no more.
    pub fn mend(&mut self, ways: &[Way]) -> Result<(), String> {
        for way in ways {
            if let Some(count) = self.cut.get_mut(way) {
                *count = count.saturating_sub(1);
            }
        }
        self.cut.retain(|_, count| *count > 0);
        self.apply()
    }

    /// A node loses that share of what comes and of what goes; 0 is none.
    pub fn lose(&mut self, node: u16, percent: u8) -> Result<(), String> {
        if percent == 0 {
            self.lossy.remove(&node)
        } else {
            self.lossy.insert(node, percent)
        };
        self.apply()
    }

    /// A node sends that fast at most; none is as fast as it can.
    pub fn slow(&self, node: u16, kilobits: Option<u32>) -> Result<(), String> {
        let name = format!("node-{node}");
        let inside = |words: &[&str]| run("tc", &[&["-n", &name, "qdisc"], words].concat());
        match kilobits {
            Some(rate) => {
                let rate = format!("{rate}kbit");
                let words = ["dev", "eth0", "root", "tbf", "rate", &rate, "burst", "16kb", "latency", "400ms"];
                inside(&[&["replace"], words.as_slice()].concat())
            }
            None => inside(&["del", "dev", "eth0", "root"]),
        }
    }

    fn apply(&mut self) -> Result<(), String> {
        for end in 0..=self.nodes {
            let rules = self.rules_at(end);
            if self.rules.get(&end).is_some_and(|now| *now == rules) {
                continue;
            }
            if end == CLIENTS {
                feed("nft", &["-f", "-"], &rules)?;
            } else {
                let inside = format!("--net={}", namespace(end));
                feed("nsenter", &[&inside, "--", "nft", "-f", "-"], &rules)?;
            }
            self.rules.insert(end, rules);
        }
        Ok(())
    }

    fn rules_at(&self, end: u16) -> String {
        let lossy = match self.lossy.get(&end) {
            Some(percent) => format!("  oifname != \"lo\" numgen random mod 100 < {percent} drop;\n"),
            None => String::new(),
        };
        let mut text = String::from("flush ruleset\ntable ip nemesis {\n chain in {\n");
        text.push_str("  type filter hook input priority 0; policy accept;\n");
        for (from, _) in self.cut.keys().filter(|(_, to)| *to == end) {
            let _ = writeln!(text, "  ip saddr {} drop;", address(*from));
        }
        text.push_str(&lossy.replace("oifname", "iifname"));
        text.push_str(" }\n chain out {\n  type filter hook output priority 0; policy accept;\n");
        text.push_str(&lossy);
        text.push_str(" }\n}\n");
        text
    }
}
