//! What the nemesis can do to a cluster. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Clients, as an end of a link; nodes are numbered from one.
pub const CLIENTS: u16 = 0;
/// Servers of a ZooKeeper ensemble.
pub const SERVERS: usize = 3;

/// A sort of fault, as it is asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SIGKILL, and a start later.
    Kill,
    /// SIGTERM, and a start later.
    Stop,
    /// SIGSTOP, and SIGCONT later.
    Pause,
    /// Nothing passes between two nodes.
    Cut,
    /// Nothing passes from one node to another; the other way is open.
    OneWay,
    /// A node hears no other node, or is not heard, or both; clients may reach it.
    Isolate,
    /// Two groups of nodes do not hear each other.
    Split,
    /// Clients do not reach a node.
    Unreachable,
    /// A node loses some of what comes and goes.
    Flaky,
    /// A node sends slowly.
    Slow,
    /// A node's disk is full.
    Fill,
    /// A node's disk dies, and whatever was not synced is gone: power loss, or a broken disk.
    Power,
    /// A node's date jumps, and back.
    Jump,
    /// A node's clocks run fast or slow, within what is allowed.
    Drift,
    /// SIGKILL to all nodes at once.
    AllAtOnce,
    /// All nodes lose power at once.
    Blackout,
    /// A server of the ensemble that keeps the metadata is killed, and started later.
    Server,
    /// A node's folder is lost for good; it is drained, removed, and joins anew with an empty one.
    Wipe,
}

impl Kind {
    /// All of them, with the names by which they are asked for.
    pub const ALL: [(&str, Kind); 18] = [
        ("kill", Kind::Kill),
        ("stop", Kind::Stop),
        ("pause", Kind::Pause),
        ("cut", Kind::Cut),
        ("one-way", Kind::OneWay),
        ("isolate", Kind::Isolate),
        ("split", Kind::Split),
        ("unreachable", Kind::Unreachable),
        ("flaky", Kind::Flaky),
        ("slow", Kind::Slow),
        ("fill", Kind::Fill),
        ("power", Kind::Power),
        ("jump", Kind::Jump),
        ("drift", Kind::Drift),
        ("all-at-once", Kind::AllAtOnce),
        ("blackout", Kind::Blackout),
        ("server", Kind::Server),
        ("wipe", Kind::Wipe),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|(_, kind)| *kind == self).map_or("?", |(name, _)| name)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Kind, String> {
        let found = Kind::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
        found.ok_or_else(|| format!("no such fault; there are {}", names.join(", ")))
    }
}

/// One way from one end to another.
pub type Way = (u16, u16);

/// What is done, and undone when it has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Kill {
        nodes: Vec<u16>,
    },
    Stop {
        node: u16,
    },
    Pause {
        node: u16,
    },
    Cut {
        ways: Vec<Way>,
    },
    Flaky {
        node: u16,
        percent: u8,
    },
    Slow {
        node: u16,
        kilobits: u32,
    },
    Fill {
        node: u16,
    },
    /// The processes go on for so long with a disk that takes and gives nothing.
    Power {
        nodes: Vec<u16>,
        outlived: Duration,
    },
    Jump {
        node: u16,
        seconds: i64,
    },
    Drift {
        node: u16,
        millionths: i32,
    },
    Server {
        server: usize,
    },
    Wipe {
        node: u16,
    },
}

impl Act {
    /// The nodes whose processes it ends or stops: nothing else may do that meanwhile.
    pub fn processes(&self) -> Vec<u16> {
        match self {
            Act::Kill { nodes } | Act::Power { nodes, .. } => nodes.clone(),
            Act::Stop { node } | Act::Pause { node } | Act::Wipe { node } => vec![*node],
            _ => Vec::new(),
        }
    }
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From the beginning of its storm.
    pub at: Duration,
    pub lasts: Duration,
    pub kind: Kind,
    pub act: Act,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name())?;
        match &self.act {
            Act::Kill { nodes } | Act::Power { nodes, .. } => write!(f, "{nodes:?}")?,
            Act::Stop { node } | Act::Pause { node } | Act::Fill { node } | Act::Wipe { node } => write!(f, "{node}")?,
            Act::Cut { ways } => {
                let end = |end: u16| if end == CLIENTS { "clients".to_string() } else { end.to_string() };
                let ways: Vec<String> = ways.iter().map(|(from, to)| format!("{}>{}", end(*from), end(*to))).collect();
                write!(f, "{}", ways.join(" "))?;
            }
            Act::Flaky { node, percent } => write!(f, "{node} {percent} %")?,
            Act::Slow { node, kilobits } => write!(f, "{node} {kilobits} kbit/s")?,
            Act::Jump { node, seconds } => write!(f, "{node} {seconds:+} s")?,
            Act::Server { server } => write!(f, "{server} of ZooKeeper")?,
            Act::Drift { node, millionths } => write!(f, "{node} {:+.1} %", f64::from(*millionths) / 10_000.0)?,
        }
        write!(f, " for {:.1} s", self.lasts.as_secs_f64())
    }
}
