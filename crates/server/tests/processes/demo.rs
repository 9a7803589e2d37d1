//! A demo cluster under test.

use crate::ensemble::Ensemble;
use crate::faulty_disk::FaultyDisk;
use client::remote::{Options, Remote};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The machine is shared: one cluster at a time, or small ones beside one another ([`Demo::small`]).
static MACHINE: RwLock<()> = RwLock::new(());

/// Ports are looked for before they are taken: one cluster starts at a time.
static STARTING: Mutex<()> = Mutex::new(());

/// As long as it is held, nobody else has the machine, or only who bears company.
enum Held {
    Alone { _lock: RwLockWriteGuard<'static, ()> },
    Beside { _lock: RwLockReadGuard<'static, ()> },
}

pub fn long() -> bool {
    std::env::var_os("ATOLL_TEST_LONG").is_some()
}

/// Takes the machine for one test.
pub fn machine() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// What keeps the metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    Raft,
    ZooKeeper,
}

pub struct Demo {
    supervisor: Child,
    /// What keeps the metadata, if not the nodes.
    pub ensemble: Option<Ensemble>,
    pub folder: PathBuf,
    home: PathBuf,
    _temp: Option<tempfile::TempDir>,
    _machine: Held,
}

pub fn atoll() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atoll"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATOLL_") && !name.starts_with("ATOLL_TEST"))
    {
        command.env_remove(name);
    }
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a condition; the time limit only ends hopeless waits.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Demo {
    /// A fresh cluster, all of it in service, and a signed-in command line.
    pub fn start(nodes: u16) -> Demo {
        Demo::start_on(On::Raft, nodes)
    }

    /// One node that runs until the test is over: others of the kind may run beside it.
    pub fn small() -> Demo {
        let held = Held::Beside { _lock: MACHINE.read().unwrap_or_else(PoisonError::into_inner) };
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let demo = Demo::begin_in(tempfile::tempdir().unwrap(), held, On::Raft, 1, &[]);
        demo.wait_whole(1);
        drop(starting);
        demo.ok(&["login"]);
        demo
    }

    /// The same, on a backend; with ZooKeeper, on an ensemble of three servers.
    pub fn start_on(on: On, nodes: u16) -> Demo {
        let demo = Demo::begin(on, nodes);
        demo.wait_whole(nodes as usize);
        demo.ok(&["login"]);
        demo
    }

    /// The same with more nodes than copies: none holds everything.
    pub fn start_spread(nodes: u16) -> Demo {
        let demo = Demo::begin(On::Raft, nodes);
        wait_for("every partition to be whole", Duration::from_secs(120), || {
            let status = demo.status()?;
            let nodes_up = status["nodes"].as_array()?.iter().filter(|node| node["caught_up"] == true).count();
            let whole =
                status["partitions"]["full"] == status["partitions"]["total"] && status["partitions"].is_object();
            (nodes_up == nodes as usize && whole).then_some(())
        });
        demo.ok(&["login"]);
        demo
    }

    /// The same, with a disk that can be made to fail.
    pub fn start_faulty(nodes: u16) -> (Demo, FaultyDisk) {
        let temp = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(temp.path());
        let alone = Held::Alone { _lock: machine() };
        let demo = Demo::begin_in(temp, alone, On::Raft, nodes, &disk.variables());
        demo.wait_whole(nodes as usize);
        demo.ok(&["login"]);
        (demo, disk)
    }

    fn begin(on: On, nodes: u16) -> Demo {
        Demo::begin_in(tempfile::tempdir().unwrap(), Held::Alone { _lock: machine() }, on, nodes, &[])
    }

    fn begin_in(temp: tempfile::TempDir, machine: Held, on: On, nodes: u16, variables: &[(&str, PathBuf)]) -> Demo {
        let (folder, home) = (temp.path().join("demo"), temp.path().join("home"));
        std::fs::create_dir_all(&home).unwrap();
        let ensemble = (on == On::ZooKeeper).then(|| Ensemble::start(3));
        let coordination = ensemble.as_ref().map_or("raft".to_string(), |ensemble| ensemble.address("/demo"));
        let words = ["--nodes", &nodes.to_string(), "--fresh", "--coordination", &coordination];
        let supervisor = Demo::supervise(&folder, &words, variables);
        let temp = if std::env::var_os("ATOLL_TEST_KEEP").is_some() {
            println!("kept: {}", temp.keep().display());
            None
        } else {
            Some(temp)
        };
        Demo { supervisor, ensemble, folder, home, _temp: temp, _machine: machine }
    }

    fn supervise(folder: &Path, more: &[&str], variables: &[(&str, PathBuf)]) -> Child {
        let log = std::fs::File::create(folder.with_extension("supervisor.log")).unwrap();
        let mut command = atoll();
        command.arg("demo").arg("--data").arg(folder).args(more);
        command.stdout(log.try_clone().unwrap()).stderr(log).envs(variables.iter().cloned());
        command.spawn().unwrap()
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.with_extension("supervisor.log")).unwrap_or_default()
    }

    /// Starts a stopped demo again, with its data.
    pub fn come_back(&mut self) {
        self.supervisor = Demo::supervise(&self.folder, &[], &[]);
    }

    /// One `demo` subcommand.
    pub fn act(&self, words: &[&str]) -> Output {
        let mut command = atoll();
        command.arg("demo").args(words).arg("--data").arg(&self.folder);
        command.output().unwrap()
    }

    pub fn kill(&self, node: u16) {
        self.acted(&["kill", &node.to_string()]);
    }

    pub fn start_node(&self, node: u16) {
        self.acted(&["start", &node.to_string()]);
    }

    /// Starts a node that must not run, and waits until it has ended: at a slow start, whoever starts it does not wait. What was said.
    pub fn refused(&self, node: u16) -> Option<String> {
        let output = self.act(&["start", &node.to_string()]);
        let begun = Instant::now();
        while output.status.success() && self.nodes()[node as usize - 1]["pid"].is_number() {
            if begun.elapsed() > Duration::from_secs(20) {
                return None;
            }
        }
        Some(text(&output.stderr))
    }

    pub fn acted(&self, words: &[&str]) {
        let output = self.act(words);
        assert!(output.status.success(), "demo {words:?}: {}{}", text(&output.stdout), text(&output.stderr));
    }

    pub fn status(&self) -> Option<Value> {
        // It is printed, and the exit code says no, when the cluster does not serve.
        let output = self.act(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until `live` nodes run, have caught up, and every partition has as many replicas.
    pub fn wait_whole(&self, live: usize) {
        let look = || {
            let status = self.status()?;
            let nodes = status["nodes"].as_array()?;
            let whole = nodes.iter().filter(|node| node["caught_up"] == true && node["partitions"] == 64).count();
            (whole >= live && status["unreachable"].is_null()).then_some(())
        };
        let what = format!("{live} nodes caught up in {}", self.folder.display());
        wait_for(&what, Duration::from_secs(90), || {
            look().or_else(|| {
                std::thread::sleep(Duration::from_millis(150));
                None
            })
        });
    }

    pub fn nodes(&self) -> Vec<Value> {
        self.status().expect("a status")["nodes"].as_array().unwrap().clone()
    }

    pub fn web(&self) -> String {
        self.status().expect("a status")["web"].as_str().unwrap().to_string()
    }

    pub fn grpc_addresses(&self) -> Vec<String> {
        self.nodes().iter().map(|node| bare(node["grpc"].as_str().unwrap())).collect()
    }

    /// What the demo keeps for people: the sample user's name and password.
    pub fn user(&self) -> (String, String) {
        let state: Value =
            serde_json::from_slice(&std::fs::read(self.folder.join("demo.json")).expect("demo.json")).unwrap();
        (state["user"].as_str().unwrap().into(), state["password"].as_str().unwrap().into())
    }

    /// Processes of the nodes that run.
    pub fn pids(&self) -> Vec<i32> {
        self.nodes().iter().filter_map(|node| node["pid"].as_i64()).map(|pid| pid as i32).collect()
    }

    /// A command of the signed-in person, not run yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = atoll();
        command.args(words).env("ATOLL_CONFIG_DIR", &self.home).env("ATOLL_DEMO_DATA", &self.folder);
        command.current_dir(self.folder.parent().unwrap());
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that must succeed; what it printed.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(
            output.status.success(),
            "atoll {words:?} ended with {:?}\n{}{}",
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// A typed client of the signed-in user, by way of these nodes (numbers from 1; none: all).
    pub async fn remote(&self, nodes: &[u16]) -> Remote {
        let all = self.grpc_addresses();
        let addresses: Vec<String> =
            if nodes.is_empty() { all } else { nodes.iter().map(|number| all[*number as usize - 1].clone()).collect() };
        let remote = Remote::with_options(addresses, None, Options::default()).await.unwrap();
        let (name, password) = self.user();
        remote.sign_in(&name, &password, "test").await.unwrap();
        remote
    }
}

impl Demo {
    /// The routing client that gateways use, with the cluster's own key.
    pub async fn inside(&self) -> client::Client {
        let credentials = walkdir::WalkDir::new(&self.folder)
            .into_iter()
            .flatten()
            .find(|entry| entry.file_name() == "certificate.json")
            .and_then(|entry| node::gateway_credentials(entry.path().parent()?, "test").ok()?)
            .expect("a certificate");
        let addresses = self.nodes().iter().map(|node| bare(node["address"].as_str().unwrap())).collect();
        let config = client::ClientConfig::new(addresses, credentials);
        client::Client::connect(config).await.unwrap()
    }
}

/// The files of whole blocks beneath a folder, in order.
pub fn blocks(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten().filter(|entry| {
        let is_block = entry.path().components().any(|part| part.as_os_str() == "blocks");
        is_block && entry.file_type().is_file() && entry.path().extension().is_none_or(|is| is != "tmp")
    });
    files.map(|entry| entry.into_path()).collect()
}

/// Without the scheme.
pub fn bare(address: &str) -> String {
    address.trim_start_matches("http://").trim_end_matches('/').to_string()
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- supervisor said\n{}", self.said());
            for entry in walkdir::WalkDir::new(&self.folder).into_iter().flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "log") {
                    let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    let lines: Vec<&str> = log.lines().collect();
                    println!("--- {}\n{}", entry.path().display(), lines[lines.len().saturating_sub(60)..].join("\n"));
                }
            }
        }
        let _ = self.act(&["stop"]);
        let start = Instant::now();
        while matches!(self.supervisor.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = self.supervisor.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
