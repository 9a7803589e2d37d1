//! The page in a real browser, over the front that outlives any node.

use crate::demo::{Demo, wait_for};
use fantoccini::wd::TimeoutConfiguration;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For what a page does by itself: the limit only ends hopeless waits.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A browser of its own; `more`: arguments beside the usual ones.
pub async fn browser(profile: &std::path::Path, more: &[&str]) -> (Driver, Client) {
    browser_as_wide(profile, more, None).await
}

/// The same, as narrow as a phone of that many pixels: no window is.
pub async fn browser_as_wide(profile: &std::path::Path, more: &[&str], phone: Option<u32>) -> (Driver, Client) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let driver = Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed (./test.sh installs it)");
    let driver = Driver(driver);
    let downloads = profile.join("downloads");
    let profile = format!("--user-data-dir={}", profile.display());
    let mut arguments = vec![
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
        &profile,
    ];
    arguments.extend_from_slice(more);
    let mut options = json!({ "binary": "/usr/bin/chromium", "args": arguments,
        "prefs": { "download.default_directory": downloads, "download.prompt_for_download": false } });
    if let Some(width) = phone {
        options["mobileEmulation"] = json!({ "deviceMetrics": { "width": width, "height": 800, "pixelRatio": 1 } });
    }
    let mut capabilities = serde_json::Map::new();
    capabilities.insert("goog:chromeOptions".into(), options);
    let begun = std::time::Instant::now();
    loop {
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        match builder.capabilities(capabilities.clone()).connect(&format!("http://127.0.0.1:{port}")).await {
            Ok(client) => {
                // On a busy machine, a script that goes through all of a long page takes its time.
                let patience = TimeoutConfiguration::new(Some(Duration::from_secs(180)), None, None);
                client.update_timeouts(patience).await.unwrap();
                return (driver, client);
            }
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(40), "no browser: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Looks again and again until it is so; what was seen then.
pub async fn until(what: &str, look: impl AsyncFn() -> Value, fine: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let seen = look().await;
        if fine(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < SOON, "not {what}: {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// By the form.
pub async fn sign_in(browser: &Client, web: &str, name: &str, password: &str) {
    browser.goto(&format!("{web}/login")).await.unwrap();
    browser.wait().for_element(Locator::Css("input[name=name]")).await.unwrap().send_keys(name).await.unwrap();
    browser.find(Locator::Css("input[name=password]")).await.unwrap().send_keys(password).await.unwrap();
    browser.find(Locator::Css("button[type=submit]")).await.unwrap().click().await.unwrap();
    let drive = Locator::Css("main#drive");
    browser.wait().at_most(Duration::from_secs(20)).for_element(drive).await.unwrap();
}

#[test]
fn a_file_uploaded_in_the_browser_downloads_whole_after_the_node_behind_the_front_died() {
    let demo = Demo::start(3);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let web = demo.web();
    let (name, password) = demo.user();
    let data: Vec<u8> = (0..3_500_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
    let file = base.join("holiday photo.bin");
    std::fs::write(&file, &data).unwrap();

    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        sign_in(&browser, &web, &name, &password).await;
        let input = Locator::Css("input[type=file]");
        let picker = browser.wait().at_most(Duration::from_secs(20)).for_element(input).await.unwrap();
        picker.send_keys(file.to_str().unwrap()).await.unwrap();
        let row = Locator::XPath("//a[contains(., 'holiday photo.bin')]");
        browser.wait().at_most(Duration::from_secs(30)).for_element(row).await.unwrap();
        if let Ok(folder) = std::env::var("ATOLL_TEST_SCREENSHOTS") {
            let picture = browser.screenshot().await.unwrap();
            std::fs::write(std::path::Path::new(&folder).join("drive.png"), picture).unwrap();
        }

        // The node that the front was using dies: the first live one.
        demo.kill(1);
        let script = r#"
            const [path, done] = arguments;
            (async () => {
                for (let i = 0; i < 60; i++) {
                    try {
                        const reply = await fetch('/api/v1/drive/file?path=' + encodeURIComponent(path));
                        if (reply.ok) {
                            const bytes = await reply.arrayBuffer();
                            const hash = await crypto.subtle.digest('SHA-256', bytes);
                            return done([bytes.byteLength, Array.from(new Uint8Array(hash))]);
                        }
                    } catch (error) {}
                    await new Promise(again => setTimeout(again, 250));
                }
                done(null);
            })();"#;
        let found = browser.execute_async(script, vec![json!("/holiday photo.bin")]).await.unwrap();
        assert_eq!(found[0], data.len(), "{found}");
        let local = browser
            .execute_async(
                "const [text, done] = arguments; const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0)); \
                 crypto.subtle.digest('SHA-256', bytes).then(hash => done(Array.from(new Uint8Array(hash))));",
                vec![json!(base64(&data))],
            )
            .await
            .unwrap();
        assert_eq!(found[1], local, "the same bytes");

        // The page itself goes on working.
        browser.refresh().await.unwrap();
        browser.wait().at_most(Duration::from_secs(20)).for_element(row).await.unwrap();
        browser.close().await.unwrap();
    });
    demo.start_node(1);
    wait_for("node 1 to run", Duration::from_secs(30), || (demo.nodes()[0]["state"] == "running").then_some(()));
}

/// Twenty uploads by the page while the nodes die one after the other: each is there once, with its bytes, and the page says so.
#[test]
fn twenty_uploads_outlive_every_node_in_turn() {
    let demo = Demo::start(3);
    let base = demo.folder.parent().unwrap().to_path_buf();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (web, (name, password)) = (demo.web(), demo.user());
    let (mine, back) = (base.join("mine"), base.join("back"));
    std::fs::create_dir_all(&mine).unwrap();
    let mut files = std::collections::BTreeMap::new();
    for n in 0..20u32 {
        let bytes: Vec<u8> = (0..6_000_000 + n).map(|i| (i.wrapping_mul(2_654_435_761 + 2 * n) >> 11) as u8).collect();
        let file = format!("photo {n:02}.bin");
        std::fs::write(mine.join(&file), &bytes).unwrap();
        files.insert(file, bytes);
    }
    let names: Vec<String> = files.keys().cloned().collect();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        sign_in(&browser, &web, &name, &password).await;
        for (node, wave) in (1..).zip(names.chunks(7)) {
            let paths: Vec<String> = wave.iter().map(|file| mine.join(file).display().to_string()).collect();
            let picker = browser.find(Locator::Css("[data-testid=upload-input]")).await.unwrap();
            picker.send_keys(&paths.join("\n")).await.unwrap();
            // In the midst of them, the node that the front asks first dies.
            let first = format!("[data-testid=entry][data-name='{}']", wave[0]);
            let wait = || browser.wait().at_most(Duration::from_secs(60));
            wait().for_element(Locator::Css(&first)).await.unwrap();
            demo.kill(node);
            for file in wave {
                let row = format!("[data-testid=entry][data-name='{file}']");
                wait().for_element(Locator::Css(&row)).await.unwrap_or_else(|error| panic!("{file}: {error}"));
            }
            // The tray says so of each, and of none anything else.
            let states = || async {
                let script =
                    "return [...document.querySelectorAll('[data-testid=upload-state]')].map(it => it.innerText)";
                browser.execute(script, Vec::new()).await.unwrap()
            };
            until("all saved in the tray", states, |states| {
                let states = states.as_array().unwrap();
                states.len() >= wave.len() && states.iter().all(|it| it.as_str().unwrap().starts_with("Saved"))
            })
            .await;
            demo.start_node(node);
            demo.wait_whole(3);
        }
        browser.close().await.unwrap();
    });
    let listed: Vec<serde_json::Value> = serde_json::from_str(&demo.ok(&["ls", "--json", "/"])).unwrap();
    let photos = listed.iter().filter_map(|entry| entry["name"].as_str()).filter(|name| name.starts_with("photo"));
    let mut photos: Vec<&str> = photos.collect();
    photos.sort_unstable();
    assert_eq!(photos, names, "none is lost, none is there twice");
    std::fs::create_dir_all(&back).unwrap();
    for (file, bytes) in &files {
        demo.ok(&["download", &format!("/{file}"), back.join(file).to_str().unwrap()]);
        assert!(std::fs::read(back.join(file)).unwrap() == *bytes, "{file} has other bytes");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (i, byte)| word | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i)) as usize & 63] as char;
            text.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    text
}
