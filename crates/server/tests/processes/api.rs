//! The JSON API against the document that describes it: schemathesis makes requests from the document, right ones and wrong
//! ones, and holds each answer against it.

use crate::demo::{Demo, long, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// What ends the session that asks, and so comes last.
const ENDERS: [&str; 3] = ["deleteMeSessionsId", "deleteUsersNameSessions", "deleteUsersNameSessionsId"];
/// What leaves no drive, or no room in it.
const SPOILERS: [&str; 2] = ["patchDrivesDrive", "deleteDrivesDrive"];

/// A node and somebody signed in there, an administrator.
struct Api<'a> {
    demo: &'a Demo,
    base: String,
    folder: PathBuf,
    token: String,
}

impl Api<'_> {
    fn curl(&self, words: &[&str]) -> Value {
        let output = Command::new("curl").args(["-sS", "--fail-with-body"]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn sign_in(&mut self) {
        let (name, password) = self.demo.user();
        let asked = json!({"name": name, "password": password, "bearer": true}).to_string();
        let url = format!("{}/session", self.base);
        let found = self.curl(&["-H", "X-Atoll-Client: test", "--json", &asked, &url]);
        self.token = found["token"].as_str().unwrap().to_string();
    }

    fn post(&self, path: &str, body: Value) -> Value {
        let (header, url) = (format!("Authorization: Bearer {}", self.token), format!("{}{path}", self.base));
        self.curl(&["-H", &header, "--json", &body.to_string(), &url])
    }

    fn put(&self, path: &str, content: &str) {
        let header = format!("Authorization: Bearer {}", self.token);
        let url = format!("{}/drive/file?path={path}", self.base);
        self.curl(&["-H", &header, "-X", "PUT", "--data-binary", content, &url]);
    }

    fn get(&self, path: &str) -> Value {
        let (header, url) = (format!("Authorization: Bearer {}", self.token), format!("{}{path}", self.base));
        self.curl(&["-H", &header, &url])
    }

    /// What stands for what is named in paths; the rest is made up.
    fn name(&self, names: &[(&str, &str)]) {
        let lines = names.iter().map(|(name, value)| format!("\"path.{name}\" = \"{value}\"\n"));
        let text = format!("[parameters]\n{}", lines.collect::<String>());
        std::fs::write(self.folder.join("schemathesis.toml"), text).unwrap();
    }

    /// A link's token.
    fn link(&self, asked: Value) -> String {
        let link = self.post("/drive/links", asked);
        link["link"]["address"].as_str().unwrap().strip_prefix("/s/").unwrap().to_string()
    }

    /// What guests do, with links of each kind and with such as there are none. Each time from another network, as they are held
    /// to a pace.
    fn fuzz_guests(&self, examples: u32) {
        for folder in ["/shown", "/box"] {
            self.post("/drive/folder", json!({ "path": folder }));
        }
        self.put("/shown/notes.txt", "shown");
        let shown = self.link(json!({"path": "/shown"}));
        let taken = self.link(json!({"path": "/box", "mode": "drop_box"}));
        let names: [&[(&str, &str)]; 3] = [&[("token", &shown)], &[("token", &taken)], &[]];
        for (n, names) in names.into_iter().enumerate() {
            self.name(names);
            let from = format!("X-Forwarded-For: 10.1.{n}.1");
            self.fuzz(examples, &["--include-tag", "guests", "-H", &from]);
        }
        // They were links to the end, and something came by them.
        let listed = self.get(&format!("/links/{shown}/list"));
        assert_eq!(listed["entries"][0]["name"], "notes.txt");
        let links = self.get("/drive/links");
        let of =
            |path: &str| links["links"].as_array().unwrap().iter().find(|link| link["path"] == path).unwrap().clone();
        assert!(of("/shown")["downloads"].as_u64() > Some(0) && of("/box")["received"].as_u64() > Some(0), "{links}");
        assert!(!self.get("/drive/list?path=/box")["entries"].as_array().unwrap().is_empty());
    }

    /// Nothing may be answered that the document does not allow, and nothing by a failure of the server's.
    fn fuzz(&self, examples: u32, which: &[&str]) {
        let fuzzer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/bin/schemathesis");
        let output = Command::new(&fuzzer)
            .current_dir(&self.folder)
            .args(["--no-color", "run", &format!("{}/openapi.json", self.base), "--url", &self.base])
            .args(["-H", &format!("Authorization: Bearer {}", self.token)])
            .args(["--checks", CHECKS])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", &examples.to_string()])
            // One after the other: two of its threads at once may fail in Python itself (its parser, before 3.11.8).
            .args(["--workers", "1", "--generation-database", "none", "--continue-on-failure"])
            .args(["--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "30"])
            .args(which)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; ./test.sh installs it", fuzzer.display()));
        let said = text(&output.stdout);
        println!("{said}");
        assert!(output.status.success(), "{said}{}", text(&output.stderr));
        let made = said.lines().find_map(|line| line.trim().split_once(" generated")?.0.parse::<u32>().ok());
        assert!(made.is_some_and(|made| made > 300), "{made:?} requests were made");
    }
}

#[test]
fn every_answer_is_one_that_the_description_allows() {
    let demo = Demo::small();
    // The node itself: what a front says of a node that is away is another matter.
    let base = format!("{}/api/v1", demo.nodes()[0]["web"].as_str().unwrap());
    let folder = demo.folder.parent().unwrap().join("fuzzing");
    std::fs::create_dir_all(&folder).unwrap();
    let mut api = Api { demo: &demo, base, folder, token: String::new() };
    api.sign_in();
    // What the document's examples speak of.
    api.put("/notes.txt", "once");
    api.put("/notes.txt", "twice");
    api.post("/drive/folder", json!({"path": "/ideas"}));
    let drive = api.post("/drives", json!({"name": "Tea club"}))["id"].as_str().unwrap().to_string();
    let examples = if long() { 400 } else { 25 };
    api.fuzz_guests(examples);
    api.name(&[("drive", &drive)]);
    let tags = |option, tags: &[&'static str]| tags.iter().flat_map(|tag| [option, *tag]).collect::<Vec<&str>>();
    let without = |ids: &[&'static str]| tags("--exclude-operation-id", ids);
    let only = |ids: &[&'static str]| tags("--include-operation-id", ids);
    api.fuzz(examples, &[tags("--exclude-tag", &["session", "me", "users", "guests"]), without(&SPOILERS)].concat());
    api.fuzz(examples, &[tags("--include-tag", &["me", "users"]), without(&ENDERS)].concat());
    api.sign_in();
    api.fuzz(examples, &[tags("--include-tag", &["session"]), only(&ENDERS), only(&SPOILERS)].concat());
}
