//! A node: the real binary, in a network namespace, on a disk and by clocks of its own.

use crate::clock::Clock;
use crate::disk::Disk;
use crate::network::{address, namespace};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a clean stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// The administrator that the first node makes.
pub const USER: &str = "nemesis";
/// His password; of a cluster that lives for minutes in a network of its own.
pub const PASSWORD: &str = "so hard to escape";

/// A node and what it stands on.
pub struct Node {
    pub number: u16,
    pub disk: Disk,
    pub clock: Clock,
    pub log: PathBuf,
    binary: PathBuf,
    skew: PathBuf,
    /// What it is told of what keeps the metadata.
    pub coordination: Option<String>,
    process: Option<Child>,
    /// Times that it ended without being told to.
    pub ended_by_itself: u32,
}

impl Node {
    /// Not started.
    pub fn new(work: &Path, number: u16, binary: &Path, skew: &Path) -> Result<Node, String> {
        Ok(Node {
            number,
            disk: Disk::new(work, number)?,
            clock: Clock::new(work, number)?,
            log: work.join(format!("node-{number}.log")),
            binary: binary.to_path_buf(),
            skew: skew.to_path_buf(),
            coordination: None,
            process: None,
            ended_by_itself: 0,
        })
    }

    /// Where its gRPC gateway listens.
    pub fn gateway(&self) -> String {
        format!("http://{}:7070", address(self.number))
    }

    /// Starts it, unless it runs; with a token to join by, if it is new.
    pub fn start(&mut self, token: Option<&str>) -> Result<(), String> {
        if self.is_running() {
            return Ok(());
        }
        let failed = |error: std::io::Error| format!("cannot start node {}: {error}", self.number);
        let log: File = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", namespace(self.number))).arg("--").arg(&self.binary);
        command.arg("up").arg("--data").arg(self.disk.data()).args(["--advertise", &address(self.number)]);
        command.arg("--plain-http");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ATOLL_")) {
            command.env_remove(name);
        }
        if let Some(coordination) = &self.coordination {
            command.args(["--coordination", coordination]);
        }
        command.env("ATOLL_ADMIN_USER", USER).env("ATOLL_ADMIN_PASSWORD", PASSWORD);
        command.env("LD_PRELOAD", &self.skew).env(Clock::VARIABLE, self.clock.path());
        if let Some(token) = token {
            command.env("ATOLL_JOIN", token);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        self.process = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Has it been started, and not ended since?
    pub fn is_running(&mut self) -> bool {
        let running = self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)));
        if !running && self.process.take().is_some() {
            self.ended_by_itself += 1;
        }
        running
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running()
            && let Some(pid) = self.process.as_ref().and_then(|process| i32::try_from(process.id()).ok())
        {
            // It was not waited for: the number is still its own.
            let _ended_just_now = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits for the end of one that was killed.
    pub fn bury(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _nothing_to_learn = process.kill();
            let _nothing_to_learn = process.wait();
        }
    }

    /// Asks it to stop, and kills it when it does not. False if it had to.
    pub fn stop(&mut self) -> bool {
        self.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None))) {
            if asked.elapsed() > STOP_PATIENCE {
                self.bury();
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process = None;
        true
    }

    /// What its log says of panics.
    pub fn panics(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("panicked")).map(str::to_string).collect()
    }
}
