//! S3 by the programs that people have: boto3, aws, rclone, s3cmd, restic and curl, while nodes die.
//! `./test.sh` installs them.

use crate::demo::{Demo, long, text, wait_for};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Where `test.sh` puts what pip installs.
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/s3-clients/bin");

struct World {
    demo: Demo,
    id: String,
    secret: String,
    endpoints: Vec<String>,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let demo = Demo::start(3);
        let made: serde_json::Value = serde_json::from_str(&demo.ok(&["key", "create", "test", "--json"])).unwrap();
        let word = |name: &str| made[name].as_str().unwrap().to_string();
        let endpoints = demo.nodes().iter().map(|node| node["s3"].as_str().unwrap().to_string()).collect();
        World { id: word("id"), secret: word("secret"), endpoints, demo, folder: tempfile::tempdir().unwrap() }
    }

    /// An account beside the demo's, with a key of its own.
    fn key_of_another(&self, name: &str) -> (String, String) {
        const PASSWORD: &str = "a long enough word";
        let home = self.folder.path().join(name);
        let run = |words: &[&str], own: bool| {
            let mut command = self.demo.command(words);
            if own {
                command.env("ATOLL_CONFIG_DIR", &home);
            }
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{words:?}");
            text(&output.stdout)
        };
        run(&["user", "add", name, "--password-stdin"], false);
        run(&["login", &self.demo.grpc_addresses()[0], "--user", name, "--password-stdin"], true);
        let made: serde_json::Value = serde_json::from_str(&run(&["key", "create", "theirs", "--json"], true)).unwrap();
        let word = |name: &str| made[name].as_str().unwrap().to_string();
        (word("id"), word("secret"))
    }

    /// A program with the key in its variables, at home in the test's folder.
    fn program(&self, name: &str) -> Command {
        let own = Path::new(CLIENTS).join(name);
        let mut command = Command::new(if own.exists() { own } else { PathBuf::from(name) });
        command.env("AWS_ACCESS_KEY_ID", &self.id).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("HOME", self.folder.path());
        // Of the machine's own set-up: rclone takes none.
        command.env_remove("AWS_CA_BUNDLE");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("ENDPOINTS", self.endpoints.join(","));
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self, name: &str, words: &[&str]) -> Output {
        let output = self.program(name).args(words).output();
        output.unwrap_or_else(|error| panic!("{name}: {error}; ./test.sh installs it"))
    }

    fn ok(&self, name: &str, words: &[&str]) -> String {
        let output = self.run(name, words);
        let (said, failed) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{name} {words:?}: {said}\n{failed}");
        format!("{said}\n{failed}")
    }

    fn aws(&self, words: &[&str]) -> String {
        let endpoint = self.endpoints[0].clone();
        self.ok("aws", &[&["--endpoint-url", &endpoint], words].concat())
    }

    /// Files in folders, of all sizes from nothing on, and one large enough for parts.
    fn files(&self, count: usize) -> String {
        let source = self.folder.path().join("source");
        for n in 0..count {
            let at = source.join(format!("folder {}", n % 17)).join(format!("é{n}.txt"));
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, format!("file {n}, ").repeat(n % 700)).unwrap();
        }
        let big: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        std::fs::write(source.join("big.bin"), big).unwrap();
        source.to_str().unwrap().to_string()
    }

    /// Does the act; a node dies once the bucket holds something that the act made.
    fn while_a_node_dies<T: Send>(&self, node: u16, bucket: &str, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let acting = scope.spawn(act);
            wait_for("some objects", Duration::from_secs(60), || {
                let words = ["--endpoint-url", &self.endpoints[0], "s3", "ls", "--recursive", bucket];
                (acting.is_finished() || text(&self.run("aws", &words).stdout).lines().count() > 5).then_some(())
            });
            self.demo.kill(node);
            let done = acting.join().unwrap();
            self.demo.start_node(node);
            done
        })
    }

    fn same(&self, one: &str, other: &str) {
        let output = self.run("diff", &["-r", one, other]);
        assert!(output.status.success(), "{}", text(&output.stdout));
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_string()
    }
}

fn count() -> usize {
    if long() { 4000 } else { 600 }
}

/// What the protocol promises, call by call, through all three nodes.
#[test]
fn boto3_finds_what_s3_promises() {
    let world = World::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/s3.py");
    let (id, secret) = world.key_of_another("other");
    let mut command = world.program("python3");
    command.env("OTHER_NAME", "other").env("OTHER_ID", id).env("OTHER_SECRET", secret).arg(script);
    let output = command.output().unwrap();
    println!("{}", text(&output.stdout));
    assert!(output.status.success(), "{}", text(&output.stderr));
    // People see what programs put, and the other way round.
    world.demo.ok(&["drive", "create", "Shared pictures"]);
    assert!(world.aws(&["s3", "ls"]).contains("shared-pictures"));
    std::fs::write(world.folder.path().join("note.txt"), "from a person").unwrap();
    world.demo.ok(&["upload", &world.path("note.txt"), "/", "--drive", "Shared pictures"]);
    assert!(world.aws(&["s3", "cp", "s3://shared-pictures/note.txt", "-"]).contains("from a person"));
    world.aws(&["s3", "cp", &world.path("note.txt"), "s3://shared-pictures/deep/er/note.txt"]);
    assert!(world.demo.ok(&["ls", "/deep/er", "--drive", "Shared pictures"]).contains("note.txt"));
    // A key that is gone opens nothing.
    world.demo.ok(&["key", "delete", &world.id]);
    wait_for("the key to be known as gone", Duration::from_secs(10), || {
        let refused = world.run("aws", &["--endpoint-url", &world.endpoints[1], "s3", "ls"]);
        text(&refused.stderr).contains("InvalidAccessKeyId").then_some(())
    });
}

/// The same of versions, markers and buckets that keep them.
#[test]
fn boto3_finds_every_version() {
    let world = World::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/s3_versions.py");
    println!("{}", world.ok("python3", &[script]));
}

#[test]
fn aws_and_rclone_synchronise_while_nodes_die() {
    let world = World::new();
    let source = world.files(count());
    world.aws(&["s3", "mb", "s3://by-aws"]);
    world.while_a_node_dies(2, "s3://by-aws", || world.aws(&["s3", "sync", &source, "s3://by-aws/in/it", "--quiet"]));
    world.aws(&["s3", "sync", "s3://by-aws/in/it", &world.path("aws-back"), "--quiet"]);
    world.same(&source, &world.path("aws-back"));
    // rclone compares MD5s, of what came in one piece.
    let config = world.path("rclone.conf");
    let remote = format!(
        "[a]\ntype = s3\nprovider = Other\naccess_key_id = {}\nsecret_access_key = {}\nendpoint = {}\n",
        world.id, world.secret, world.endpoints[0]
    );
    std::fs::write(&config, remote).unwrap();
    let rclone = |words: &[&str]| world.ok("rclone", &[&["--config", &config], words].concat());
    rclone(&["check", &source, "a:by-aws/in/it"]);
    world.while_a_node_dies(3, "s3://by-rclone", || rclone(&["sync", &source, "a:by-rclone/copy", "--retries", "5"]));
    rclone(&["check", "--download", &source, "a:by-rclone/copy"]);
    assert!(rclone(&["sync", "-v", &source, "a:by-rclone/copy"]).contains("0 B / 0 B"));
    rclone(&["copy", "a:by-rclone/copy", &world.path("rclone-back")]);
    world.same(&source, &world.path("rclone-back"));
    rclone(&["purge", "a:by-rclone/copy"]);
    world.aws(&["s3", "rb", "s3://by-rclone"]);
}

#[test]
fn restic_and_s3cmd_do_their_work_while_nodes_die() {
    let world = World::new();
    let source = world.files(count());
    let repository = format!("s3:{}/backups/restic", world.endpoints[0]);
    let restic = |words: &[&str]| {
        let mut command = world.program("restic");
        let output = command.env("RESTIC_PASSWORD", "secret").args(["-r", &repository]).args(words).output().unwrap();
        assert!(output.status.success(), "restic {words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    restic(&["init"]);
    world.while_a_node_dies(2, "s3://backups", || restic(&["backup", &source]));
    restic(&["check", "--read-data"]);
    restic(&["restore", "latest", "--target", &world.path("restored")]);
    world.same(&source, &format!("{}{source}", world.path("restored")));
    restic(&["forget", "latest", "--prune"]);

    let host = world.endpoints[0].trim_start_matches("http://").to_string();
    let s3cmd = |words: &[&str]| {
        let host_bucket = format!("--host-bucket={host}");
        let host = format!("--host={host}");
        let (id, secret) = (format!("--access_key={}", world.id), format!("--secret_key={}", world.secret));
        world.ok(
            "s3cmd",
            &[&[id.as_str(), &secret, &host, &host_bucket, "--region=us-east-1", "--no-ssl", "--quiet"], words]
                .concat(),
        )
    };
    s3cmd(&["mb", "s3://by-s3cmd"]);
    let from = format!("{source}/");
    world.while_a_node_dies(3, "s3://by-s3cmd", || s3cmd(&["sync", &from, "s3://by-s3cmd/in/"]));
    s3cmd(&["sync", "s3://by-s3cmd/in/", &format!("{}/", world.path("s3cmd-back"))]);
    world.same(&source, &world.path("s3cmd-back"));
    s3cmd(&["del", "--recursive", "--force", "s3://by-s3cmd/"]);
    s3cmd(&["rb", "s3://by-s3cmd"]);
}
