//! A page as a person uses it: something is pressed, typed, chosen, and what comes of it is waited for.

use crate::browser::{SOON, browser_as_wide, sign_in, until};
use crate::demo::Demo;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Things on the page are named by XPath (`//…`), or by CSS in which `@name` stands for `[data-testid=name]`.
pub fn css(what: &str) -> String {
    let mut pieces = what.split('@');
    let mut css = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(piece.len());
        css += &format!("[data-testid={}]{}", &piece[..end], &piece[end..]);
    }
    css
}

pub struct Page {
    pub browser: Client,
    _driver: crate::browser::Driver,
    web: String,
    /// Where the browser puts what it downloads.
    pub downloads: PathBuf,
    /// What pictures are called after.
    how: &'static str,
}

impl Page {
    /// A browser of its own, in these colours, as wide as a desktop or as a phone of so many pixels.
    pub async fn open(demo: &Demo, dark: bool, phone: Option<u32>) -> Page {
        let profile = demo.folder.with_file_name("profile");
        let colours = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        let (driver, browser) = browser_as_wide(&profile, &[&colours], phone).await;
        let how = if phone.is_some() { "phone" } else { "desktop" };
        Page { browser, _driver: driver, web: demo.web(), downloads: profile.join("downloads"), how }
    }

    pub async fn sign_in(&self, name: &str, password: &str) {
        sign_in(&self.browser, &self.web, name, password).await;
        self.there("html[data-ready]").await;
    }

    /// As somebody whom the site does not know.
    pub async fn forget_me(&self) {
        // From a page without scripts: others find themselves signed out, and go to sign in while one goes elsewhere.
        self.go("/health").await;
        self.browser.delete_all_cookies().await.unwrap();
    }

    /// To a path of the site, or an address.
    pub async fn go(&self, path: &str) {
        let url = if path.starts_with('/') { format!("{}{path}", self.web) } else { path.to_string() };
        self.browser.goto(&url).await.unwrap();
    }

    async fn found(&self, what: &str) -> Result<Element, CmdError> {
        match what.starts_with("//") {
            true => self.browser.find(Locator::XPath(what)).await,
            false => self.browser.find(Locator::Css(&css(what))).await,
        }
    }

    /// Waits until it is there.
    pub async fn there(&self, what: &str) -> Element {
        let wait = self.browser.wait().at_most(SOON);
        let found = wait.for_element(Locator::Css(&css(what))).await;
        match found {
            Ok(found) => found,
            Err(error) => panic!("{what} is not there: {error}; the page says {}", self.text("body").await),
        }
    }

    /// Waits until nothing of the kind is there, or none of it is shown.
    pub async fn gone(&self, what: &str) {
        let script = "return [...document.querySelectorAll(arguments[0])].some(one => one.checkVisibility())";
        let look = async || self.run(script, vec![json!(css(what))]).await;
        until(&format!("without {what}"), look, |any| *any == json!(false)).await;
    }

    /// Acts upon something as soon as that can be done: it may still be coming, moving, or beneath something else.
    async fn act(&self, what: &str, act: impl AsyncFn(Element) -> Result<(), CmdError>) {
        let begun = Instant::now();
        loop {
            let error = match self.found(what).await {
                Ok(element) => match act(element).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            assert!(begun.elapsed() < SOON, "{what}: {error}; the page says {}", self.text("body").await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub async fn press(&self, what: &str) {
        self.act(what, async |it| it.click().await).await;
    }

    /// Types into a field, in place of what is there.
    pub async fn fill(&self, what: &str, words: &str) {
        self.act(what, async |it| {
            it.clear().await?;
            it.send_keys(words).await
        })
        .await;
    }

    /// Chooses files, in a field that may be hidden.
    pub async fn choose(&self, what: &str, files: &[&Path]) {
        let paths: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        self.there(what).await.send_keys(&paths.join("\n")).await.unwrap();
    }

    /// A value of a list, or a day, for which each browser has a way of its own.
    pub async fn set(&self, what: &str, value: &str) {
        self.there(what).await;
        let script = "const it = document.querySelector(arguments[0]); it.value = arguments[1]; \
                      it.dispatchEvent(new Event('change', { bubbles: true })); return it.value";
        assert_eq!(self.run(script, vec![json!(css(what)), json!(value)]).await, json!(value), "{what}");
    }

    /// What something says; nothing if it is not there.
    pub async fn text(&self, what: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.run(script, vec![json!(css(what))]).await.as_str().unwrap_or_default().to_string()
    }

    /// Waits until it says so.
    pub async fn says(&self, what: &str, words: &str) {
        let look = async || json!(self.text(what).await);
        until(&format!("{what} saying {words:?}"), look, |text| text.as_str().unwrap_or_default().contains(words))
            .await;
    }

    /// Waits until these, in their order, are the `data-name` of all that are meant.
    pub async fn names(&self, what: &str, expected: &[&str]) {
        let script = "return [...document.querySelectorAll(arguments[0])].map(one => one.dataset.name)";
        let look = async || self.run(script, vec![json!(css(what))]).await;
        until(&format!("{what} being {expected:?}"), look, |names| *names == json!(expected)).await;
    }

    pub async fn run(&self, script: &str, with: Vec<Value>) -> Value {
        // A page that is being left answers nothing.
        self.browser.execute(script, with).await.unwrap_or(Value::Null)
    }

    /// As a person's program would, by JSON.
    pub async fn json(&self, method: &str, path: &str, body: Value) -> Value {
        json_of(&self.browser, method, path, body).await
    }

    /// The words in a file of one's own drive; nothing if there is none.
    pub async fn words_in(&self, path: &str) -> Option<String> {
        let script = "const [path, done] = arguments; fetch('/api/v1/drive/file?path=' + encodeURIComponent(path)) \
                      .then(async answer => done(answer.ok ? await answer.text() : null)).catch(() => done(false))";
        let mut told = Ok(Value::Bool(false));
        // A page that is being left answers nothing: the next one is asked.
        for _ in 0..3 {
            told = self.browser.execute_async(script, vec![json!(path)]).await;
            if matches!(&told, Ok(words) if !words.is_boolean()) {
                return told.unwrap().as_str().map(ToString::to_string);
            }
        }
        panic!("{path} cannot be read by the page: {told:?}");
    }

    /// What came down under that name.
    pub async fn downloaded(&self, name: &str) -> Vec<u8> {
        let file = self.downloads.join(name);
        until(&format!("{name} downloaded"), async || json!(file.is_file()), |there| *there == json!(true)).await;
        std::fs::read(file).unwrap()
    }

    /// Keeps a picture, where `ATOLL_TEST_SCREENSHOTS` says.
    pub async fn picture(&self, name: &str) {
        let Ok(folder) = std::env::var("ATOLL_TEST_SCREENSHOTS") else { return };
        let settled = "const done = arguments[0]; \
                       Promise.race([Promise.all(document.getAnimations().map(one => one.finished.catch(() => {}))), \
                       new Promise(go => setTimeout(go, 1000))]).then(() => done(null))";
        self.browser.execute_async(settled, vec![]).await.unwrap();
        let picture = self.browser.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{} {name}.png", self.how)), picture).unwrap();
    }

    /// A row of the drive's list.
    pub async fn row(&self, name: &str) {
        self.there(&format!("@entry[data-name='{name}']")).await;
    }

    /// What an entry's menu offers.
    pub async fn of_menu(&self, name: &str, verb: &str) {
        self.press(&format!("@entry[data-name='{name}'] @entry-actions")).await;
        self.press(&format!("#menu:popover-open @menu-{verb}")).await;
    }

    pub async fn select(&self, names: &[&str]) {
        for name in names {
            self.press(&format!("@entry[data-name='{name}'] .pick label")).await;
            self.there(&format!("@entry.selected[data-name='{name}']")).await;
        }
    }
}

/// Waits until these are the rows of the tray, as `name: state`, sorted.
pub async fn tray(browser: &Client, expected: &[&str]) {
    let script = r"return [...document.querySelectorAll('[data-testid=upload-item]')]
        .map(row => `${row.querySelector('[data-part=name]').textContent}: ${row.dataset.state}`).sort()";
    let look = async || browser.execute(script, vec![]).await.unwrap();
    until(&format!("{expected:?} in the tray"), look, |now| *now == json!(expected)).await;
}

/// As a person's program would, by JSON.
pub async fn json_of(browser: &Client, method: &str, path: &str, body: Value) -> Value {
    let script = r"
        const [method, path, body, done] = arguments;
        const headers = { 'content-type': 'application/json' };
        fetch('/api/v1' + path, { method, headers, body: body === null ? undefined : JSON.stringify(body) })
            .then(it => it.json()).then(done, error => done(String(error)));";
    browser.execute_async(script, vec![json!(method), json!(path), body]).await.unwrap()
}
