//! The pages for everybody: axe-core looks at each of them, and the main things are done by the keyboard alone.

use crate::browser::{browser, sign_in};
use crate::demo::Demo;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// The script, which a package among the tests' tools carries.
fn axe() -> String {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools");
    let found = walkdir::WalkDir::new(tools.canonicalize().expect("./test.sh installs the tests' tools"))
        .into_iter()
        .flatten()
        .find(|entry| entry.file_name() == "axe.min.js")
        .expect("./test.sh installs axe-core");
    std::fs::read_to_string(found.path()).unwrap()
}

/// A browser that looks for what keeps people out.
struct Look {
    browser: Client,
    axe: String,
    how: &'static str,
    found: Vec<String>,
    looked: usize,
}

impl Look {
    async fn at(&mut self, web: &str, paths: &[String]) {
        for path in paths {
            self.browser.goto(&format!("{web}{path}")).await.unwrap();
            self.here(path).await;
        }
    }

    /// At what is shown now.
    async fn here(&mut self, what: &str) {
        self.browser.execute(&self.axe, vec![]).await.unwrap();
        let script = r"
            const done = arguments[0];
            const moving = document.getAnimations().map(one => one.finished.catch(() => {}));
            const settled = Promise.race([Promise.all(moving), new Promise(go => setTimeout(go, 2000))]);
            settled.then(() => axe.run(document, { resultTypes: ['violations'] })).then(
                result => done(result.violations.flatMap(one => one.nodes.map(
                    node => `${one.id}: ${node.target.join(' ')}: ${node.html.slice(0, 200)}`))),
                error => done([`axe itself: ${error}`]));";
        let found = self.browser.execute_async(script, vec![]).await.unwrap();
        for one in found.as_array().expect("findings") {
            self.found.push(format!("{} {what}: {}", self.how, one.as_str().unwrap_or_default()));
        }
        self.looked += 1;
    }

    /// Keys on the page as a whole, one after the other.
    async fn press(&self, keys: &str) {
        let one = |value: char| [KeyAction::Down { value }, KeyAction::Up { value }];
        let all = keys.chars().flat_map(one).fold(KeyActions::new("keys".into()), |all, action| all.then(action));
        self.browser.perform_actions(all).await.unwrap();
    }

    /// What a key opens, and then closed again.
    async fn opened_by(&mut self, keys: &str, what: &str) {
        self.press(keys).await;
        let open = format!("{what}[open], {what}:popover-open");
        self.browser.wait().at_most(SOON).for_element(Locator::Css(&open)).await.unwrap();
        self.here(what).await;
        self.press(&Key::Escape.to_string()).await;
    }
}

fn row(name: &str) -> String {
    format!("//tbody[@id='entries']//a[contains(., '{name}')]")
}

/// As a person's program would, by JSON.
async fn json_of(browser: &Client, method: &str, path: &str, body: Value) -> Value {
    let script = r"
        const [method, path, body, done] = arguments;
        const headers = { 'content-type': 'application/json' };
        fetch('/api/v1' + path, { method, headers, body: JSON.stringify(body) }).then(it => it.json()).then(done);";
    browser.execute_async(script, vec![json!(method), json!(path), body]).await.unwrap()
}

/// Something of each kind to look at.
fn fill(demo: &Demo, folder: &Path) {
    std::fs::write(folder.join("notes.txt"), "a few words").unwrap();
    std::fs::write(folder.join("read me.md"), "# Words\n\n* [x] one\n* two\n").unwrap();
    demo.ok(&["upload", folder.join("notes.txt").to_str().unwrap(), folder.join("read me.md").to_str().unwrap(), "/"]);
    std::fs::write(folder.join("notes.txt"), "other words").unwrap();
    demo.ok(&["upload", folder.join("notes.txt").to_str().unwrap(), "/", "--force"]);
    demo.ok(&["mkdir", "/ideas"]);
    demo.ok(&["star", "/ideas", "/notes.txt"]);
    demo.ok(&["mkdir", "/gone"]);
    demo.ok(&["rm", "-r", "/gone"]);
}

#[test]
fn nothing_on_any_page_keeps_anybody_out() {
    let demo = Demo::start(1);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut found = Vec::new();
    fill(&demo, &base);
    runtime.block_on(async {
        // One setting for the colours, another for the width.
        for (n, (how, more)) in [
            ("light", vec!["--blink-settings=preferredColorScheme=1"]),
            ("dark", vec!["--blink-settings=preferredColorScheme=0"]),
            ("narrow", vec!["--blink-settings=preferredColorScheme=1", "--window-size=500,900"]),
        ]
        .into_iter()
        .enumerate()
        {
            let (_driver, client) = browser(&base.join(format!("profile {n}")), &more).await;
            let mut look = Look { browser: client, axe: axe(), how, found: Vec::new(), looked: 0 };
            let own = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
            look.at(&web, &own(&["/login", "/reset/x", "/join/x", "/setup/x", "/sign-up", "/api/docs", "/s/x"])).await;
            let dark = look.browser.execute("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await;
            assert_eq!(dark.unwrap(), json!(how == "dark"));

            sign_in(&look.browser, &web, &name, &password).await;
            let drive = json_of(&look.browser, "POST", "/drives", json!({"name": "Tea club"})).await;
            let drive = format!("/drives/{}", drive["id"].as_str().unwrap());
            look.at(
                &web,
                &own(&[
                    "/",
                    "/drive/ideas",
                    "/view/notes.txt",
                    "/view/read%20me.md",
                    "/starred",
                    "/recent",
                    "/trash",
                    "/search?text=note",
                    "/search?text=words",
                    "/starred",
                    "/recent",
                    "/search?text=nothing",
                    "/drives",
                    "/details?path=/notes.txt",
                    "/share?path=/notes.txt",
                    "/settings",
                    "/settings/security",
                    "/settings/devices",
                    "/settings/activity",
                    "/settings/leave",
                    "/people",
                    "/people/invitations",
                    "/people/rules",
                    "/people/log",
                    "/nothing",
                ]),
            )
            .await;
            look.at(&web, &[format!("/people/of/{name}"), format!("{drive}/"), format!("{drive}/members")]).await;

            // The drive with something open.
            look.browser.goto(&web).await.unwrap();
            look.browser.wait().at_most(SOON).for_element(Locator::XPath(&row("notes.txt"))).await.unwrap();
            look.opened_by("?", "#shortcuts").await;
            look.opened_by("n", "#ask").await;
            look.press(&Key::End.to_string()).await;
            look.here("an entry chosen").await;
            look.opened_by("i", "#pane").await;
            look.browser.goto(&web).await.unwrap();
            look.browser.wait().at_most(SOON).for_element(Locator::XPath(&row("notes.txt"))).await.unwrap();
            look.press("g").await;
            look.here("as pictures").await;
            look.press("g").await;

            // What guests see.
            let mut links = Vec::new();
            for asked in [
                json!({"path": "/notes.txt"}),
                json!({"path": "/ideas"}),
                json!({"path": "/ideas", "mode": "drop_box"}),
                json!({"path": "/notes.txt", "password": "long enough words"}),
            ] {
                let made = json_of(&look.browser, "POST", "/drive/links", asked).await;
                links.push(made["link"]["address"].as_str().unwrap_or_else(|| panic!("{made}")).to_string());
            }
            look.at(&web, &links).await;
            assert!(look.looked > 35, "{} looks", look.looked);
            found.append(&mut look.found);
            look.browser.close().await.unwrap();
        }
    });
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_drive_is_used_by_the_keyboard_alone() {
    let demo = Demo::start(1);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        let press = async |keys: String| browser.active_element().await.unwrap().send_keys(&keys).await.unwrap();
        let there = async |what: &str| {
            browser
                .wait()
                .at_most(SOON)
                .for_element(Locator::XPath(what))
                .await
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        };
        let (enter, escape, up) = (Key::Enter, Key::Escape, Key::Up);

        browser.goto(&web).await.unwrap();
        there("//input[@name='name']").await;
        // The first field has the focus; from there on as the hands go.
        press(format!("{name}{}{password}{enter}", Key::Tab)).await;
        there("//main[@id='drive']").await;

        press("n".into()).await;
        there("//dialog[@id='ask'][@open]").await;
        press(format!("Reports{enter}")).await;
        there(&row("Reports")).await;
        press(format!("{}", Key::Home)).await;
        press(format!("{}", Key::F2)).await;
        there("//dialog[@id='ask'][@open]").await;
        press(format!("{}a{}Paper{enter}", Key::Control, Key::Null)).await;
        there(&row("Paper")).await;
        press(format!("{}z{}", Key::Control, Key::Null)).await;
        there(&row("Reports")).await;
        press(format!("{}", Key::Home)).await;
        press(format!("{}", Key::F2)).await;
        there("//dialog[@id='ask'][@open]").await;
        press(format!("{}a{}Papers{enter}", Key::Control, Key::Null)).await;
        there(&row("Papers")).await;

        press(format!("{}", Key::Home)).await;
        press(format!("{enter}")).await;
        there("//nav[@data-testid='breadcrumb']//*[contains(., 'Papers')]").await;
        press(format!("{}{up}{}", Key::Alt, Key::Null)).await;
        there(&row("Papers")).await;

        press(format!("{}", Key::Home)).await;
        press(format!("{}", Key::Delete)).await;
        there("//table[@id='listing'][@hidden]").await;
        press(format!("{}z{}", Key::Control, Key::Null)).await;
        there(&row("Papers")).await;

        // The focus stays where the hands were: beside what went, on what came back, with who is still to be answered.
        for name in ["Maps", "Notes"] {
            press("n".into()).await;
            there("//dialog[@id='ask'][@open]").await;
            press(format!("{name}{enter}")).await;
            there(&row(name)).await;
        }
        let focused = async |what: &str| {
            let script = "const { title, id } = document.activeElement; return title || id";
            let begun = Instant::now();
            loop {
                let now = browser.execute(script, vec![]).await.unwrap();
                if now == what {
                    return;
                }
                assert!(begun.elapsed() < SOON, "the focus is on {now}, not {what}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        focused("Notes").await;
        press(format!("{}", Key::Home)).await;
        press(format!("{}", Key::Delete)).await;
        focused("Notes").await;
        press(format!("{}z{}", Key::Control, Key::Null)).await;
        focused("Maps").await;
        let file = base.join("leaf.txt");
        std::fs::write(&file, "leaf").unwrap();
        let picker = browser.find(Locator::Css("#upload-files")).await.unwrap();
        picker.send_keys(file.to_str().unwrap()).await.unwrap();
        there(&row("leaf.txt")).await;
        picker.send_keys(file.to_str().unwrap()).await.unwrap();
        there("//li[@data-state='exists']").await;
        let asked = "document.querySelector('[data-state=exists] [data-act=skip]').focus()";
        browser.execute(asked, vec![]).await.unwrap();
        press(format!("{enter}")).await;
        focused("tray-fold").await;

        press("?".into()).await;
        there("//dialog[@id='shortcuts'][@open]").await;
        press(format!("{escape}")).await;
        there("//dialog[@id='shortcuts'][not(@open)]").await;
        press("/".into()).await;
        assert_eq!(browser.active_element().await.unwrap().attr("id").await.unwrap().as_deref(), Some("filter"));
        browser.close().await.unwrap();
    });
    assert!(demo.ok(&["ls"]).contains("Papers"));
}
