//! Browsers come in over TLS; from other machines not otherwise.

use crate::demo::{atoll, machine, text, wait_for};
use rpc::tls::{Authority, Validity};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use types::ClusterId;

struct Running {
    child: Child,
    said: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now.
struct Ports {
    web: u16,
    https: u16,
    grpc: u16,
    node: u16,
    s3: u16,
}

impl Ports {
    fn free() -> Ports {
        let held: Vec<TcpListener> = (0..5).map(|_| TcpListener::bind("0.0.0.0:0").unwrap()).collect();
        let port = |nth: usize| held[nth].local_addr().unwrap().port();
        Ports { web: port(0), https: port(1), grpc: port(2), node: port(3), s3: port(4) }
    }
}

fn up(folder: &Path, ports: &Ports, more: &[&str]) -> Running {
    let log = folder.join("up.log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command = atoll();
    command.args(["up", "--admin-user", "ada", "--data"]).arg(folder.join("data")).args(more);
    command.env("ATOLL_ADMIN_PASSWORD", "correct-horse-battery");
    for (flag, port) in [
        ("--web-port", ports.web),
        ("--https-port", ports.https),
        ("--grpc-port", ports.grpc),
        ("--node-port", ports.node),
        ("--s3-port", ports.s3),
    ] {
        command.arg(flag).arg(port.to_string());
    }
    command.current_dir(folder).stdout(file.try_clone().unwrap()).stderr(file).stdin(Stdio::null());
    let child = command.spawn().unwrap();
    let said = wait_for("the node to start", Duration::from_secs(60), || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        said.contains("is running").then_some(said)
    });
    Running { child, said }
}

/// Status line, headers and body.
fn curl(words: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "-i", "--max-time", "20"]).args(words).output().unwrap();
    text(&output.stdout)
}

/// Where this machine is reached by others; none without a network.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip().to_string())
}

fn fingerprint(said: &str) -> &str {
    said.lines().find_map(|line| line.trim().split_once("SHA-256 ")).expect("a fingerprint").1
}

#[test]
fn browsers_elsewhere_are_answered_over_tls_by_a_certificate_of_the_clusters_own() {
    let _machine = machine();
    let temp = tempfile::tempdir().unwrap();
    let ports = Ports::free();
    let node = up(temp.path(), &ports, &[]);
    let authority = temp.path().join("data/authority.pem");
    let authority = authority.to_str().unwrap();
    let secure = format!("https://localhost:{}", ports.https);
    // As somebody who has imported the authority.
    let page = curl(&["--cacert", authority, &format!("{secure}/login")]);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("strict-transport-security: max-age="), "{page}");
    assert_eq!(curl(&[&format!("{secure}/login")]), "", "nobody else trusts it");
    let form = ["-d", "name=ada&password=correct-horse-battery", "-H", "sec-fetch-site: same-origin"];
    let entered = curl(&[&["--cacert", authority][..], &form, &[&format!("{secure}/login")]].concat());
    assert!(entered.contains("__Host-atoll=") && entered.contains("; Secure"), "{entered}");
    // On this machine it goes without.
    let here = format!("http://127.0.0.1:{}", ports.web);
    assert!(curl(&[&format!("{here}/login")]).starts_with("HTTP/1.1 200"));
    if let Some(own) = own_address() {
        let there = format!("http://{own}:{}", ports.web);
        let sent = curl(&[&format!("{there}/drive/a%20b?x=1")]);
        let to = format!("location: https://{own}:{}/drive/a%20b?x=1", ports.https);
        assert!(sent.starts_with("HTTP/1.1 307") && sent.contains(&to), "{sent}");
        let refused = curl(&[&form[..], &[&format!("{there}/login")]].concat());
        assert!(refused.starts_with("HTTP/1.1 403") && !refused.contains("set-cookie"), "{refused}");
        assert!(curl(&[&format!("{there}/health")]).starts_with("HTTP/1.1 200"));
        let page = curl(&["--cacert", authority, &format!("https://{own}:{}/login", ports.https)]);
        assert!(page.starts_with("HTTP/1.1 200"), "by the address that others use: {page}");
    }
    // Who trusts it today does tomorrow.
    let before = fingerprint(&node.said).to_string();
    drop(node);
    let node = up(temp.path(), &ports, &[]);
    assert_eq!(fingerprint(&node.said), before);
    drop(node);
    // In the open, where that is asked for.
    if let Some(own) = own_address() {
        let _node = up(temp.path(), &ports, &["--plain-http"]);
        let page = curl(&[&format!("http://{own}:{}/login", ports.web)]);
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    }
}

/// The command line, with sessions of its own in that folder.
fn run(home: &Path, words: &[&str], input: &str) -> (i32, String) {
    let mut command = atoll();
    command.args(words).env("ATOLL_CONFIG_DIR", home).current_dir(home).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_command_line_comes_over_tls_and_trusts_nobody_unasked() {
    let _machine = machine();
    let Some(own) = own_address() else { return println!("there is no network: nothing was tried") };
    let temp = tempfile::tempdir().unwrap();
    let ports = Ports::free();
    let node = up(temp.path(), &ports, &[]);
    let there = format!("{own}:{}", ports.grpc);
    let homes = ["stranger", "compared", "imported", "here"].map(|name| {
        let home = temp.path().join(name);
        std::fs::create_dir(&home).unwrap();
        home
    });
    let password = "correct-horse-battery\n";
    let login = |home: &Path, more: &[&str]| {
        run(home, &[&["login", "--user", "ada", "--password-stdin"][..], more].concat(), password)
    };
    let authority = node.said.split("Authority").nth(1).expect("the authority's fingerprint is told");
    let authority = authority.split_whitespace().nth(1).unwrap();

    // Nobody said that this authority may be trusted: nothing is sent, and nothing kept.
    let (code, said) = login(&homes[0], &[&there]);
    assert!(code == 1 && said.contains("nothing was sent there") && said.contains(authority), "{code}: {said}");
    let (code, said) = login(&homes[0], &[&there, "--fingerprint", &authority.replace(':', "").replace('A', "B")]);
    assert!(code == 1 && said.contains("another fingerprint"), "{code}: {said}");
    // In the open nobody from elsewhere is answered.
    let (code, said) = login(&homes[0], &[&format!("http://{there}")]);
    assert!(code == 1, "{said}");
    assert!(!homes[0].join("credentials.json").exists());

    // Compared, or imported; and from then on without a word.
    assert_eq!(login(&homes[1], &[&there, "--fingerprint", &authority.to_lowercase()]).0, 0);
    let pem = temp.path().join("data/authority.pem");
    assert_eq!(login(&homes[2], &[&there, "--ca", pem.to_str().unwrap()]).0, 0);
    for home in &homes[1..3] {
        let file = home.join("large");
        std::fs::write(&file, vec![7; 3 << 20]).unwrap();
        let name = format!("/{}", home.file_name().unwrap().to_str().unwrap());
        assert_eq!(run(home, &["upload", "large", &name], "").0, 0);
        let (code, said) = run(home, &["download", &name, "back"], "");
        assert!(code == 0 && std::fs::read(home.join("back")).unwrap() == vec![7; 3 << 20], "{said}");
        let (_, said) = run(home, &["whoami", "--json"], "");
        assert!(said.contains(&there), "it goes by the address that it knows: {said}");
    }
    // A cluster that took its place is not believed, although it has the same address.
    drop(node);
    std::fs::remove_dir_all(temp.path().join("data")).unwrap();
    let _other = up(temp.path(), &ports, &[]);
    let (code, said) = run(&homes[1], &["ls"], "");
    assert!(code == 1 && said.contains("certificate"), "{code}: {said}");
    let (code, said) = login(&homes[1], &[&there]);
    assert!(code == 1 && said.contains("another authority"), "{code}: {said}");
    // On this machine nobody else hears; there it is told of the authority, and goes to the others from then on.
    assert_eq!(login(&homes[3], &[&format!("127.0.0.1:{}", ports.grpc)]).0, 0);
    assert_eq!(run(&homes[3], &["ls"], "").0, 0);
    let kept = std::fs::read_to_string(homes[3].join("credentials.json")).unwrap();
    assert!(kept.contains("BEGIN CERTIFICATE"), "{kept}");
    assert_eq!(run(&homes[3], &["ls", "--server", &there], "").0, 0);
}

#[test]
fn a_certificate_that_is_given_is_shown_and_its_successor_without_a_restart() {
    let _machine = machine();
    let temp = tempfile::tempdir().unwrap();
    let (certificate, key) = (temp.path().join("c.pem"), temp.path().join("k.pem"));
    let authorities = [1, 2].map(|id| Authority::new(ClusterId(id)).unwrap());
    let imported = [0, 1].map(|nth: usize| {
        let file = temp.path().join(format!("authority-{nth}.pem"));
        std::fs::write(&file, authorities[nth].certificate()).unwrap();
        file.to_str().unwrap().to_string()
    });
    let put = |nth: usize| {
        let validity = Validity::from_now(Duration::from_secs(3600));
        let own = authorities[nth].issue_server(&["localhost".to_string()], validity).unwrap();
        std::fs::write(&certificate, own.certificate).unwrap();
        std::fs::write(&key, own.key).unwrap();
    };
    put(0);
    let ports = Ports::free();
    let given =
        ["--listen", "127.0.0.1", "--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let _node = up(temp.path(), &ports, &given);
    let address = format!("https://localhost:{}/login", ports.https);
    let trusts = |nth: usize| curl(&["--cacert", &imported[nth], &address]).starts_with("HTTP/1.1 200");
    assert!(trusts(0) && !trusts(1));
    // Of no use: the last one goes on.
    std::fs::write(&key, "no key").unwrap();
    let log = temp.path().join("up.log");
    wait_for("the useless key to be told", Duration::from_secs(30), || {
        std::fs::read_to_string(&log).unwrap_or_default().contains("the last one is shown on").then_some(())
    });
    assert!(trusts(0));
    put(1);
    wait_for("the new certificate to be shown", Duration::from_secs(30), || trusts(1).then_some(()));
}
