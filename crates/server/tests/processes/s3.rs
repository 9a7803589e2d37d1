//! S3 by the programs that people have: boto3, aws, rclone, s3cmd, restic and curl, while nodes die.
//! `./test.sh` installs them.

use crate::demo::{Demo, long, text, wait_for};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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
        // Nothing that could be made smaller, so that nobody is done with it in no time.
        let mut big = vec![0u8; 24_000_000];
        Noise(0x9e37_79b9_7f4a_7c15).fill(&mut big);
        std::fs::write(source.join("big.bin"), big).unwrap();
        source.to_str().unwrap().to_string()
    }

    /// Does the act; a node dies once the bucket holds something that the act made, and the act is still at it then.
    fn while_a_node_dies<T: Send>(&self, node: u16, bucket: &str, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let acting = scope.spawn(act);
            wait_for("some objects", Duration::from_secs(60), || {
                let words = ["--endpoint-url", &self.endpoints[0], "s3", "ls", "--recursive", bucket];
                (acting.is_finished() || !self.run("aws", &words).stdout.is_empty()).then_some(())
            });
            self.demo.kill(node);
            assert!(!acting.is_finished(), "it was over before a node died: give it more to do");
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
    if long() { 4000 } else { 1500 }
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
    by_urls_and_forms(&world);
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

/// The same of object lock; people, too, take nothing away there.
#[test]
fn boto3_finds_what_is_locked() {
    let world = World::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/s3_lock.py");
    let (id, secret) = world.key_of_another("other");
    let mut command = world.program("python3");
    command.env("OTHER_NAME", "other").env("OTHER_ID", &id).env("OTHER_SECRET", &secret).arg(script);
    let output = command.output().unwrap();
    println!("{}", text(&output.stdout));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tried: [&[&str]; 4] = [
        &["delete", "/for/people.txt", "--drive", "locked"],
        &["delete", "--recursive", "/for", "--drive", "locked"],
        &["mv", "/for", "/other", "--drive", "locked"],
        &["drive", "delete", "locked", "--yes"],
    ];
    for words in tried {
        let refused = world.demo.command(words).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {}", text(&refused.stderr));
        let said = text(&refused.stderr);
        assert!(said.contains("object lock") && !said.contains("administrator"), "{words:?}: {said}");
    }
    std::fs::write(world.folder.path().join("people.txt"), "another").unwrap();
    world.demo.ok(&["upload", "--force", &world.path("people.txt"), "/for/", "--drive", "locked"]);
    // Who may edit puts and deletes; what nobody can take away is not for them to say.
    world.demo.ok(&["drive", "add", "locked", "other"]);
    world.demo.ok(&["drive", "role", "locked", "other", "edit"]);
    let hold = ["put-object-legal-hold", "--bucket", "locked", "--key", "for/people.txt", "--legal-hold", "Status=ON"];
    let mut by_other = world.program("aws");
    by_other.env("AWS_ACCESS_KEY_ID", &id).env("AWS_SECRET_ACCESS_KEY", &secret);
    let refused = by_other.args(["--endpoint-url", &world.endpoints[0], "s3api"]).args(hold).output().unwrap();
    let said = text(&refused.stderr);
    assert!(said.contains("AccessDenied") && said.contains("s3:PutObjectLegalHold"), "{said}");
    let listed = world.ok(
        "aws",
        &[
            "--endpoint-url",
            &world.endpoints[2],
            "s3api",
            "list-object-versions",
            "--bucket",
            "locked",
            "--query",
            "length(Versions)",
        ],
    );
    assert_eq!(listed.trim(), "2");
}

/// By curl, with what somebody signed who has a key.
fn by_urls_and_forms(world: &World) {
    world.aws(&["s3", "mb", "s3://by-curl"]);
    std::fs::write(world.folder.path().join("sent.txt"), "by curl").unwrap();
    let sign = "import boto3, os, sys, json\n\
        from botocore.config import Config\n\
        s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINTS'].split(',')[1], config=Config(signature_version='s3v4'))\n\
        print(s3.generate_presigned_url('put_object', Params={'Bucket': 'by-curl', 'Key': 'by url'}))\n\
        form = s3.generate_presigned_post('by-curl', 'by form/${filename}')\n\
        print(form['url'], *[f'{name}={value}' for name, value in form['fields'].items()], sep='\\n')";
    let signed = world.ok("python3", &["-c", sign]);
    let mut lines = signed.lines().filter(|line| !line.is_empty());
    let (put, form) = (lines.next().unwrap(), lines.next().unwrap());
    world.ok("curl", &["--fail", "--silent", "--show-error", "--upload-file", "sent.txt", put]);
    let fields: Vec<&str> = lines.flat_map(|field| ["--form-string", field]).collect();
    let ends = ["--form", "file=@sent.txt", form];
    world.ok("curl", &[&["--fail", "--silent", "--show-error"], &fields[..], &ends].concat());
    for key in ["by url", "by form/sent.txt"] {
        // By the old signature, unless somebody tells it.
        world.ok("aws", &["configure", "set", "default.s3.signature_version", "s3v4"]);
        let url = world.aws(&["s3", "presign", &format!("s3://by-curl/{key}")]);
        assert!(world.ok("curl", &["--fail", "--silent", "--show-error", url.trim()]).contains("by curl"), "{key}");
    }
}

/// One node of its own, which a demo's are not: they speak plain HTTP, and know no name of theirs.
#[test]
fn by_tls_and_by_names_of_buckets() {
    let _machine = crate::demo::machine();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut up = crate::demo::atoll();
    up.args(["up", "--listen", "127.0.1.1", "--advertise", "127.0.1.1", "--s3-domain", "files.example"]);
    // To itself alone, a node speaks TLS only if that is asked for.
    up.args(["--https-port", "8443"]);
    up.arg("--data").arg(&data).env("ATOLL_ADMIN_USER", "ada").env("ATOLL_ADMIN_PASSWORD", "correct-horse-battery");
    up.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut node = up.spawn().unwrap();
    let run = |words: &[&str]| {
        let mut command = crate::demo::atoll();
        command.args(words).env("ATOLL_CONFIG_DIR", folder.path().join("home")).current_dir(folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _may_have_ended = child.stdin.take().unwrap().write_all(b"correct-horse-battery\n");
        child.wait_with_output().unwrap()
    };
    wait_for("the node", Duration::from_secs(60), || {
        run(&["login", "127.0.1.1:7070", "--user", "ada", "--password-stdin"]).status.success().then_some(())
    });
    let made: serde_json::Value = serde_json::from_slice(&run(&["key", "create", "test", "--json"]).stdout).unwrap();
    let script = "import boto3, os, socket\n\
        from botocore.config import Config\n\
        find = socket.getaddrinfo\n\
        socket.getaddrinfo = lambda host, *rest, **more: find('127.0.1.1' if host.endswith('files.example') else host, *rest, **more)\n\
        def client(url, style, verify):\n\
        \x20   config = Config(s3={'addressing_style': style}, signature_version='s3v4')\n\
        \x20   return boto3.client('s3', endpoint_url=url, config=config, verify=verify)\n\
        safe = client('https://127.0.1.1:9000', 'path', os.environ['AUTHORITY'])\n\
        safe.create_bucket(Bucket='pictures')\n\
        safe.put_object(Bucket='pictures', Key='a/ü', Body=b'x' * 3_000_000)\n\
        named = client('http://files.example:9000', 'virtual', None)\n\
        assert named.get_object(Bucket='pictures', Key='a/ü')['Body'].read() == b'x' * 3_000_000\n\
        assert named.list_objects_v2(Bucket='pictures')['KeyCount'] == 1\n\
        named.put_object(Bucket='pictures', Key='pictures', Body=b'named as its bucket')\n\
        assert safe.get_object(Bucket='pictures', Key='pictures')['Body'].read() == b'named as its bucket'\n\
        print(named.generate_presigned_url('get_object', Params={'Bucket': 'pictures', 'Key': 'pictures'}))";
    let mut python = Command::new(Path::new(CLIENTS).join("python3"));
    python.args(["-c", script]).env("AWS_DEFAULT_REGION", "us-east-1").env_remove("AWS_CA_BUNDLE");
    python.env("AWS_ACCESS_KEY_ID", made["id"].as_str().unwrap());
    python.env("AWS_SECRET_ACCESS_KEY", made["secret"].as_str().unwrap());
    let output = python.env("AUTHORITY", data.join("authority.pem")).output().unwrap();
    let url = text(&output.stdout).trim().to_string();
    let said = text(&output.stderr);
    let place = "pictures.files.example:9000:127.0.1.1";
    let curl = Command::new("curl").args(["--fail", "--silent", "--resolve", place, &url]).output().unwrap();
    node.kill().unwrap();
    node.wait().unwrap();
    assert!(output.status.success(), "{said}");
    assert!(url.starts_with("http://pictures.files.example:9000/pictures?"), "{url}");
    assert_eq!(text(&curl.stdout), "named as its bucket");
}

/// Bytes that nothing makes smaller, the same each time.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes());
        }
    }
}

/// A large file by aws, and what the nodes' memory grows to by that. It stands on no disk but the nodes'.
#[test]
fn five_gibibytes_by_aws_take_little_memory() {
    const SIZE: u64 = 5 << 30;
    /// Bytes of a process: above that, somebody holds what should stream.
    const MEMORY_MAX: u64 = 300 << 20;
    if !long() {
        return;
    }
    let world = World::new();
    world.aws(&["s3", "mb", "s3://large"]);
    let copy = |from: &str, to: &str, more: &[&str]| {
        let mut command = world.program("aws");
        command.args(["--endpoint-url", &world.endpoints[0], "s3", "cp", from, to, "--quiet"]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let peak = |what: &str, since: Instant| {
        println!("{what}: {:.0} s", since.elapsed().as_secs_f64());
        for pid in world.demo.pids() {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
            let most: u64 = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
            println!("{what}: process {pid} had {} MiB at most", most >> 20);
            assert!(most < MEMORY_MAX, "{what}: {line}");
        }
    };
    let mut block = vec![0u8; 1 << 20];
    let begun = Instant::now();
    let mut up = copy("-", "s3://large/big", &["--expected-size", &SIZE.to_string()]);
    let mut sent = up.stdin.take().unwrap();
    let mut noise = Noise(7);
    for _ in 0..SIZE >> 20 {
        noise.fill(&mut block);
        sent.write_all(&block).unwrap();
    }
    drop(sent);
    assert!(up.wait().unwrap().success());
    peak("upload", begun);
    let begun = Instant::now();
    let mut down = copy("s3://large/big", "-", &[]);
    let mut came = down.stdout.take().unwrap();
    let (mut noise, mut there) = (Noise(7), vec![0u8; 1 << 20]);
    for n in 0..SIZE >> 20 {
        noise.fill(&mut block);
        came.read_exact(&mut there).unwrap();
        assert!(block == there, "MiB {n} is another");
    }
    assert_eq!(came.read(&mut there).unwrap(), 0, "there is more than was sent");
    assert!(down.wait().unwrap().success());
    peak("download", begun);
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
    let slowly = ["backup", &source, "--limit-upload", "1200"];
    world.while_a_node_dies(2, "s3://backups/restic/data/", || restic(&slowly));
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
    s3cmd(&["mb", "s3://moved"]);
    s3cmd(&["cp", "s3://by-s3cmd/in/big.bin", "s3://by-s3cmd/copy.bin"]);
    s3cmd(&["modify", "--add-header=Cache-Control:max-age=3", "s3://by-s3cmd/copy.bin"]);
    s3cmd(&["mv", "s3://by-s3cmd/copy.bin", "s3://moved/"]);
    s3cmd(&["get", "s3://moved/copy.bin", &world.path("moved.bin")]);
    world.same(&format!("{source}/big.bin"), &world.path("moved.bin"));
    s3cmd(&["del", "--recursive", "--force", "s3://moved/"]);
    s3cmd(&["rb", "s3://moved"]);
    s3cmd(&["del", "--recursive", "--force", "s3://by-s3cmd/"]);
    s3cmd(&["rb", "s3://by-s3cmd"]);
}
