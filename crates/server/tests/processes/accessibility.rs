//! The pages for everybody: axe-core looks at each of them, and the main things are done by the keyboard alone.

use crate::browser::{SOON, browser, browser_as_wide, sign_in, until};
use crate::demo::Demo;
use crate::page::json_of;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The script, which a package among the tests' tools carries.
pub fn axe() -> String {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools");
    let found = walkdir::WalkDir::new(tools.canonicalize().expect("./test.sh installs the tests' tools"))
        .into_iter()
        .flatten()
        .find(|entry| entry.file_name() == "axe.min.js")
        .expect("./test.sh installs axe-core");
    std::fs::read_to_string(found.path()).unwrap()
}

/// What keeps people out of what is shown now.
pub async fn findings(browser: &Client, axe: &str) -> Vec<String> {
    browser.execute(axe, vec![]).await.unwrap();
    let script = r"
        const done = arguments[0];
        const moving = document.getAnimations().map(one => one.finished.catch(() => {}));
        const settled = Promise.race([Promise.all(moving), new Promise(go => setTimeout(go, 2000))]);
        settled.then(() => axe.run(document, { resultTypes: ['violations'] })).then(
            result => done(result.violations.flatMap(one => one.nodes.map(
                node => `${one.id}: ${node.target.join(' ')}: ${node.html.slice(0, 200)}`))),
            error => done([`axe itself: ${error}`]));";
    let found = browser.execute_async(script, vec![]).await.unwrap();
    found.as_array().expect("findings").iter().map(|one| one.as_str().unwrap_or_default().to_string()).collect()
}

/// A browser that looks for what keeps people out.
struct Look {
    browser: Client,
    axe: String,
    how: &'static str,
    phone: Option<u32>,
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
        for one in findings(&self.browser, &self.axe).await {
            self.found.push(format!("{} {what}: {one}", self.how));
        }
        if let Some(width) = self.phone {
            let wide = self.browser.execute("return document.documentElement.scrollWidth", vec![]).await.unwrap();
            if wide.as_u64() > Some(width.into()) {
                self.found.push(format!("{} {what}: {wide} pixels wide", self.how));
            }
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

/// A relay that nobody asks for anything: with it, the pages of mail are there.
fn relay(site: &str) -> Value {
    json!({ "host": "127.0.0.1", "port": 2525, "tls": "none", "user": "cloud", "password": "open",
        "from": "Our cloud <cloud@example.org>", "site": site })
}

#[test]
fn nothing_on_any_page_keeps_anybody_out() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut found = Vec::new();
    fill(&demo, &base);
    runtime.block_on(async {
        // One setting for the colours, another for the width.
        let (light, dark) = ("--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0");
        // German has the longer words.
        for (n, (how, more, phone)) in [
            ("light", vec![light], None),
            ("dark", vec![dark], None),
            ("a phone", vec![light], Some(390)),
            ("a small phone, dark", vec![dark, "--accept-lang=de"], Some(320)),
        ]
        .into_iter()
        .enumerate()
        {
            let (_driver, client) = browser_as_wide(&base.join(format!("profile {n}")), &more, phone).await;
            let mut look = Look { browser: client, axe: axe(), how, phone, found: Vec::new(), looked: 0 };
            let own = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
            look.at(&web, &own(&["/login", "/reset/x", "/join/x", "/setup/x", "/sign-up", "/api/docs", "/s/x"])).await;
            let is_dark =
                look.browser.execute("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await;
            assert_eq!(is_dark.unwrap(), json!(more.contains(&dark)));
            let language = look.browser.execute("return document.documentElement.lang", vec![]).await.unwrap();
            assert_eq!(language, json!(if phone == Some(320) { "de" } else { "en" }));

            sign_in(&look.browser, &web, &name, &password).await;
            let set = "const done = arguments[1]; fetch('/api/v1/settings/mail', { method: 'PUT', body: arguments[0], \
                       headers: { 'content-type': 'application/json' } }).then(answer => done(answer.status))";
            let relay = json!(relay(&web).to_string());
            assert_eq!(look.browser.execute_async(set, vec![relay]).await.unwrap(), json!(204));
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
                    "/people/mail",
                    "/people/log",
                    "/forgot",
                    "/nothing",
                ]),
            )
            .await;
            look.at(&web, &[format!("/people/of/{name}"), format!("{drive}/"), format!("{drive}/members")]).await;

            // The drive with something open.
            look.browser.goto(&web).await.unwrap();
            look.browser.wait().at_most(SOON).for_element(Locator::XPath(&row("notes.txt"))).await.unwrap();
            look.opened_by("?", "#shortcuts").await;
            look.browser.find(Locator::Css("#show-switcher")).await.unwrap().click().await.unwrap();
            look.opened_by("no", "#switcher").await;
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
            look.browser.goto(&format!("{web}{}", links[2])).await.unwrap();
            look.browser.wait().at_most(SOON).for_element(Locator::Css("html[data-ready]")).await.unwrap();
            let field = look.browser.find(Locator::Css("[data-testid=guest-files]")).await.unwrap();
            field.send_keys(base.join("notes.txt").to_str().unwrap()).await.unwrap();
            look.browser.find(Locator::Css("[data-testid=guest-send]")).await.unwrap().click().await.unwrap();
            let done = Locator::Css("[data-testid=upload-item][data-state=saved]");
            look.browser.wait().at_most(SOON).for_element(done).await.unwrap();
            look.here("a guest's uploads").await;
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
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        // What has just gone may have the focus for a moment more, and takes no keys.
        let press = async |keys: String| {
            let begun = Instant::now();
            while let Err(error) = browser.active_element().await.unwrap().send_keys(&keys).await {
                assert!(begun.elapsed() < SOON, "{keys:?}: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
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
            let look = async || browser.execute(script, vec![]).await.unwrap();
            until(&format!("the focus on {what}"), look, |now| now == what).await;
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

        // To a folder, a page, and a search, by a few letters: from within the drive, and from elsewhere.
        let switch = format!("{}k{}", Key::Control, Key::Null);
        browser.execute("window.stayed = true", vec![]).await.unwrap();
        press(switch.clone()).await;
        there("//dialog[@id='switcher'][@open]").await;
        press("map".into()).await;
        there("//a[@role='option'][@aria-selected='true'][contains(., 'Maps')]").await;
        press(format!("{enter}")).await;
        there("//nav[@data-testid='breadcrumb']//h1[.='Maps']").await;
        let stayed = browser.execute("return window.stayed", vec![]).await.unwrap();
        assert_eq!(stayed, json!(true), "uploads that are under way go on");
        press(switch.clone()).await;
        there("//dialog[@id='switcher'][@open]").await;
        press("trash".into()).await;
        there("//a[@role='option'][@aria-selected='true'][contains(., 'Trash')]").await;
        press(format!("{enter}")).await;
        there("//html[@data-framed]//main[@data-testid='trash']").await;
        press("?".into()).await;
        there("//dialog[@id='shortcuts'][@open]").await;
        press(switch.clone()).await;
        there("//dialog[@id='switcher'][not(@open)]").await;
        press(format!("{escape}")).await;
        press(switch).await;
        there("//dialog[@id='switcher'][@open]").await;
        press(format!("qqq{}{}{enter}", Key::End, Key::Home)).await;
        there("//main[@data-testid='search']").await;
        assert!(browser.current_url().await.unwrap().as_str().ends_with("/search?text=qqq"));
        browser.goto(&web).await.unwrap();
        there("//html[@data-ready]//main[@id='drive']").await;

        press("?".into()).await;
        there("//dialog[@id='shortcuts'][@open]").await;
        press(format!("{escape}")).await;
        there("//dialog[@id='shortcuts'][not(@open)]").await;
        press("/".into()).await;
        assert_eq!(browser.active_element().await.unwrap().attr("id").await.unwrap().as_deref(), Some("filter"));

        // Whoever signs out leaves no names of unfinished uploads behind.
        let remember = r"localStorage.setItem('atoll-upload-x', JSON.stringify({ upload: 'x', owner: 'x', api: '', path: '', folder: '/',
            file: 'secret', name: 'secret', condition: '', size: 1, modified: 1, at: Date.now(), until: Date.now() + 3600000, partBytes: 1 }))";
        let remembered = "return Object.keys(localStorage).filter(key => key.startsWith('atoll-upload-')).length";
        browser.execute(remember, vec![]).await.unwrap();
        browser.refresh().await.unwrap();
        there("//html[@data-framed]//main[@id='drive']").await;
        assert_eq!(browser.execute(remembered, vec![]).await.unwrap(), json!(1));
        browser.find(Locator::Css("[data-testid=sign-out]")).await.unwrap().click().await.unwrap();
        there("//form[@data-testid='login-form']").await;
        assert_eq!(browser.execute(remembered, vec![]).await.unwrap(), json!(0));
        browser.close().await.unwrap();
    });
    assert!(demo.ok(&["ls"]).contains("Papers"));
}
