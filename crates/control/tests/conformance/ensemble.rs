//! A real ZooKeeper ensemble, for tests: Debian's, started on free ports in a temporary folder, and
//! killed with the test. `test.sh` installs it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const JARS: &str = "/usr/share/java";
/// What a server needs of them.
const NEEDED: [&str; 7] =
    ["zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "netty-all", "snappy-java", "metrics-core"];
/// Java is slow to start, more so on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Ensemble {
    /// Where the servers listen.
    host: IpAddr,
    folder: TempDir,
    /// Clients', by server.
    ports: Vec<u16>,
    servers: Mutex<Vec<Option<Server>>>,
}

/// A server under a shell that kills it as soon as the test is gone, whatever became of it.
struct Server {
    shell: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The shell reads the end of its input, and kills.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Ensemble {
    /// So many servers on this machine, which answer.
    #[allow(dead_code)]
    pub fn start(count: usize) -> Ensemble {
        Ensemble::start_at(Ipv4Addr::LOCALHOST.into(), count, "")
    }

    /// The same, listening at that address, with these lines in their configuration.
    pub fn start_at(host: IpAddr, count: usize, settings: &str) -> Ensemble {
        let needed = NEEDED.map(|name| format!("{JARS}/{name}.jar"));
        assert!(
            needed.iter().all(|jar| Path::new(jar).exists()),
            "ZooKeeper is not installed: apt-get install libzookeeper-java default-jre-headless (test.sh does)"
        );
        // A port that is free now may be taken when the server wants it: then all over again.
        for _ in 0..3 {
            let ensemble = Ensemble::configure(host, count, settings);
            (0..count).for_each(|server| ensemble.start_server(server));
            if ensemble.answers() {
                return ensemble;
            }
            eprintln!("ZooKeeper did not start:\n{}", ensemble.last_words());
        }
        panic!("ZooKeeper does not start");
    }

    fn configure(host: IpAddr, count: usize, settings: &str) -> Ensemble {
        let folder = tempfile::tempdir().unwrap();
        let listeners: Vec<TcpListener> = (0..count * 3).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let (clients, peers) = ports.split_at(count);
        for (server, port) in clients.iter().enumerate() {
            let home = folder.path().join(server.to_string());
            fs::create_dir(&home).unwrap();
            fs::write(home.join("myid"), (server + 1).to_string()).unwrap();
            let mut config = format!(
                "tickTime=500\ninitLimit=40\nsyncLimit=20\ndataDir={}\nclientPort={port}\nclientPortAddress={host}\n\
                 admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n{settings}\n",
                home.display()
            );
            if count > 1 {
                for (number, pair) in (1..).zip(peers.chunks(2)) {
                    config += &format!("server.{number}={host}:{}:{}\n", pair[0], pair[1]);
                }
            }
            fs::write(home.join("zoo.cfg"), config).unwrap();
        }
        let ports = clients.to_vec();
        Ensemble { host, folder, ports, servers: Mutex::new((0..count).map(|_| None).collect()) }
    }

    fn home(&self, server: usize) -> PathBuf {
        self.folder.path().join(server.to_string())
    }

    /// Starts a server, new or with what it left.
    pub fn start_server(&self, server: usize) {
        let home = self.home(server);
        let classes = NEEDED.map(|name| format!("{JARS}/{name}.jar")).join(":");
        let output = fs::File::options().create(true).append(true).open(home.join("output")).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "\"$@\" >&2 & echo $!; read _; kill -9 $!", "sh", "java"])
            .args(["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .args(["-Dzookeeper.preAllocSize=1024", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .args(["-cp", &classes, "org.apache.zookeeper.server.quorum.QuorumPeerMain"])
            .arg(home.join("zoo.cfg"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        self.servers.lock().unwrap()[server] = Some(Server { shell });
    }

    /// Kills a server, without a word.
    #[allow(dead_code)]
    pub fn kill_server(&self, server: usize) {
        self.servers.lock().unwrap()[server] = None;
    }

    /// Which server leads the ensemble.
    #[allow(dead_code)]
    pub fn leading_server(&self) -> usize {
        let leads = |server: &usize| self.mode(*server).is_some_and(|mode| mode != "follower");
        let started = Instant::now();
        loop {
            if let Some(server) = (0..self.ports.len()).find(leads) {
                return server;
            }
            assert!(started.elapsed() < PATIENCE, "no server leads");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every server that runs answers.
    pub fn answers(&self) -> bool {
        let started = Instant::now();
        let runs = |server: &usize| self.servers.lock().unwrap()[*server].is_some();
        while started.elapsed() < PATIENCE {
            let mut running = (0..self.ports.len()).filter(runs);
            if running.all(|server| self.mode(server).is_some()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn mode(&self, server: usize) -> Option<String> {
        let address = (self.host, self.ports[server]).into();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"srvr").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ").map(String::from))
    }

    fn last_words(&self) -> String {
        let output = |server| fs::read_to_string(self.home(server).join("output")).unwrap_or_default();
        (0..self.ports.len()).map(output).collect()
    }

    /// `host:port` of each server.
    pub fn hosts(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("{}:{port}", self.host)).collect()
    }

    /// As a node is told of it.
    #[allow(dead_code)]
    pub fn address(&self, path: &str) -> String {
        format!("zookeeper://{}{path}", self.hosts().join(","))
    }
}
