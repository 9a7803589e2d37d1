//! People come in, by password, code and app password, and stay in while nodes die.

use crate::demo::{Demo, text, wait_for};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};
use types::WallMillis;

const PASSWORD: &str = "a long enough password";

/// Somebody with a machine of their own.
pub struct Person<'a> {
    pub demo: &'a Demo,
    pub home: PathBuf,
}

impl Person<'_> {
    pub fn run_with(&self, words: &[&str], input: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = self.demo.command(words);
        command.env("ATOLL_CONFIG_DIR", &self.home).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that reads nothing may have gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn ok_with(&self, words: &[&str], input: &str, variables: &[(&str, &str)]) -> String {
        let output = self.run_with(words, input, variables);
        let said = text(&output.stderr);
        assert!(output.status.success(), "atoll {words:?}: {:?} {said}", output.status.code());
        text(&output.stdout)
    }

    fn ok(&self, words: &[&str], input: &str) -> String {
        self.ok_with(words, input, &[])
    }

    fn refused(&self, words: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run_with(words, "", variables);
        assert!(!output.status.success(), "atoll {words:?} went through: {}", text(&output.stdout));
        text(&output.stderr)
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What an authenticator program shows so many steps from now.
pub fn code(secret: &str, steps: u64) -> String {
    let digit = |c: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap() as u32;
    let (mut held, mut bits, mut bytes) = (0u32, 0, Vec::new());
    for c in secret.chars() {
        held = held << 5 | digit(c);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    apps::accounts::code_now(&bytes, WallMillis(now + steps * 30_000))
}

#[test]
fn people_come_in_and_stay_in_while_a_node_is_dead() {
    let demo = Demo::start(3);
    let home = demo.folder.parent().unwrap().join("ada");
    let (root, ada) = (Person { demo: &demo, home: home.with_file_name("home") }, Person { demo: &demo, home });
    let all = demo.grpc_addresses().join(",");

    // An administrator makes an account; its owner signs in and turns the second factor on.
    let made = json(&root.ok(&["user", "add", "Ada", "--quota", "1G", "--password-stdin", "--json"], PASSWORD));
    assert_eq!((made["name"].as_str(), made["quota"].as_u64()), (Some("ada"), Some(1_000_000_000)));
    let listed = json(&root.ok(&["user", "list", "--json"], ""));
    assert!(listed.as_array().unwrap().iter().any(|user| user["name"] == "ada"), "{listed}");
    let login = ["login", all.as_str(), "--user", "ada", "--password-stdin"];
    ada.ok(&login, PASSWORD);
    assert!(ada.refused(&["user", "list"], &[]).contains("administrator"));
    let on = ["account", "second-factor", "on", "--show", "--json", "--password-stdin"];
    let secret = json(&ada.ok(&on, PASSWORD))["secret"].as_str().unwrap().to_string();
    let codes = json(&ada.ok(&["account", "second-factor", "confirm", &code(&secret, 0), "--json"], ""));
    let recovery = codes["recovery_codes"][0].as_str().unwrap().to_string();

    // The password alone is not enough now.
    let asked = ada.run_with(&login, PASSWORD, &[]);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked.stderr));
    assert!(text(&asked.stderr).contains("--code"), "{}", text(&asked.stderr));
    let with =
        |code: &str| [&login[..], &["--code", code]].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let words = with(&code(&secret, 1));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    ada.ok(&words, PASSWORD);
    assert_eq!(ada.run_with(&words, PASSWORD, &[]).status.code(), Some(1), "a code is good once");
    let words = with(&recovery);
    ada.ok(&words.iter().map(String::as_str).collect::<Vec<_>>(), PASSWORD);

    // An app password opens data, and nothing else.
    let add = ["account", "app-password", "add", "laptop", "--for", "grpc", "--write", "--json"];
    let app = json(&ada.ok(&add, ""));
    let token = format!("ada:{}", app["secret"].as_str().unwrap());
    let by_app = [("ATOLL_TOKEN", token.as_str()), ("ATOLL_SERVER", all.as_str())];
    ada.ok_with(&["mkdir", "/by-app"], "", &by_app);
    assert!(ada.ok(&["ls", "/"], "").contains("by-app"));
    ada.refused(&["account", "app-password", "list"], &by_app);

    // A shared drive, by its name; who may only look at it changes nothing, and who is no member finds nothing.
    let made = json(&root.ok(&["drive", "create", "Tea club", "--json"], ""));
    assert_eq!(made["role"], "manage");
    let tea = ["--drive", "tea club"];
    root.ok(&["mkdir", "/menus", tea[0], tea[1]], "");
    assert!(ada.refused(&["ls", "/", tea[0], tea[1]], &[]).contains("no shared drive named"));
    let by_id = ["ls", "/", "--drive", made["id"].as_str().unwrap()];
    assert!(ada.refused(&by_id, &[]).contains("no such drive"));
    assert!(root.ok(&["drive", "add", "Tea club", "ada"], "").contains("ada may look at"));
    assert!(ada.ok(&["ls", "/", tea[0], tea[1]], "").contains("menus"));
    assert!(ada.refused(&["mkdir", "/mine", tea[0], tea[1]], &[]).contains("your role"));
    root.ok(&["drive", "role", "Tea club", "ada", "edit"], "");
    ada.ok(&["cp", "-r", "--from-own", "/by-app", "/", tea[0], tea[1]], "");
    assert!(ada.ok(&["ls", "/", tea[0], tea[1]], "").contains("by-app"));
    let members = json(&ada.ok(&["drive", "members", "Tea club", "--json"], ""));
    assert_eq!((members[0]["name"].as_str(), members[0]["role"].as_str()), (Some("ada"), Some("edit")), "{members}");

    // Whichever node dies: sessions and app passwords go on.
    for node in 1..=3 {
        demo.kill(node);
        assert!(ada.ok(&["whoami"], "").starts_with("ada"), "without node {node}");
        assert!(ada.ok_with(&["ls", "/"], "", &by_app).contains("by-app"), "without node {node}");
        assert!(ada.ok_with(&["ls", "/", tea[0], tea[1]], "", &by_app).contains("menus"), "without node {node}");
        demo.start_node(node);
        demo.wait_whole(3);
    }

    // What is revoked is shut out, also while a node is dead.
    ada.ok(&["drive", "leave", "Tea club"], "");
    assert!(ada.refused(&by_id, &[]).contains("no such drive"));
    root.ok(&["drive", "delete", "Tea club", "--yes"], "");
    demo.kill(2);
    let sessions = json(&ada.ok(&["account", "sessions", "--json"], ""));
    assert_eq!(sessions.as_array().unwrap().len(), 3, "{sessions}");
    assert!(ada.ok(&["account", "end-session", "--others"], "").contains("2 sessions"));
    ada.ok(&["account", "app-password", "remove", app["id"].as_str().unwrap()], "");
    let refused = |words: &[&str], variables: &[(&str, &str)]| {
        wait_for("what was revoked to be refused", Duration::from_secs(20), || {
            (!ada.run_with(words, "", variables).status.success()).then_some(())
        });
    };
    refused(&["ls", "/"], &by_app);
    ada.ok(&["whoami"], "");
    root.ok(&["user", "disable", "ada"], "");
    refused(&["whoami"], &[]);
    root.ok(&["user", "enable", "ada"], "");

    // A link is told whole, by where the pages are.
    assert!(root.ok(&["user", "reset", "ada"], "").contains("  http://127.0.0.1:"));
    // It sets a new password, and the log tells of it all without telling a secret.
    let link = json(&root.ok(&["user", "reset", "ada", "--json"], ""));
    let log = root.ok(&["user", "audit", "--about", "ada", "--json"], "");
    for action in
        ["user made", "second factor on", "sign-in", "app password removed", "user changed", "reset link made"]
    {
        assert!(log.contains(action), "{action}: {log}");
    }
    for hidden in [PASSWORD, &secret, &recovery, app["secret"].as_str().unwrap(), link["link_secret"].as_str().unwrap()]
    {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    root.ok(&["user", "remove", "ada", "--yes"], "");
    assert!(root.refused(&["user", "show", "ada"], &[]).contains("nobody named ada"));
    demo.start_node(2);
}
