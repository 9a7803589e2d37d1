//! A folder that is longer than anybody scrolls: few rows are drawn, and everything is done as if all were.

use crate::browser::until;
use crate::demo::{Demo, long};
use crate::page::Page;
use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::key::Key;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const FILES: usize = 3000;
/// Rows that may be drawn at once, whatever the look.
const DRAWN_MAX: usize = 260;

/// A file's size and date: no order is another's.
fn about(n: usize) -> (usize, u64) {
    ((n * 7919) % 6007, 1_700_000_000 + (n as u64 * 104_729) % 5_000_011)
}

fn name(n: usize) -> String {
    format!("file {n:04}.txt")
}

fn fill(demo: &Demo, base: &Path, count: usize) {
    let many = base.join("many");
    std::fs::create_dir(&many).unwrap();
    for n in 0..count {
        let file = many.join(name(n));
        let (size, seconds) = about(n);
        std::fs::write(&file, vec![b'x'; size]).unwrap();
        let date = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(date).unwrap();
    }
    demo.ok(&["upload", &format!("{}/", many.display()), "/many"]);
}

/// Keys on the page as a whole; those of `held` are held meanwhile.
async fn press(page: &Page, held: &[Key], keys: &str) {
    let held: Vec<char> = held.iter().map(|key| char::from(*key)).collect();
    let down = held.iter().map(|&value| KeyAction::Down { value });
    let typed = keys.chars().flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
    let up = held.iter().map(|&value| KeyAction::Up { value });
    let actions = down.chain(typed).chain(up).fold(KeyActions::new("keys".into()), |all, action| all.then(action));
    page.browser.perform_actions(actions).await.unwrap();
}

/// What has the focus, by its name, once it is that and on the screen.
async fn focused(page: &Page, expected: &str) {
    let script = "const row = document.activeElement.closest('#entries > .row'); \
                  const place = row?.getBoundingClientRect(); \
                  return place && place.top >= 0 && place.bottom <= innerHeight ? row.dataset.name : null";
    let look = async || page.run(script, vec![]).await;
    until(&format!("the focus on {expected}"), look, |now| *now == json!(expected)).await;
}

/// Scrolls from the beginning to the end; the names as they come by, each by the number that its row says it has.
async fn all_by_scrolling(page: &Page) -> Vec<String> {
    let script = r"
        const [most, done] = arguments;
        const frame = () => new Promise(go => requestAnimationFrame(() => setTimeout(go)));
        const seen = new Map();
        let quiet = 0;
        (async () => {
            scrollTo({ top: 0, behavior: 'instant' });
            while (quiet < 20) {
                await frame();
                const rows = [...document.querySelectorAll('#entries > .row')];
                if (rows.length > most) return done(`${rows.length} rows are drawn`);
                for (const row of rows) {
                    const at = Number(row.getAttribute('aria-rowindex')) - 2;
                    if ((seen.get(at) ?? row.dataset.name) !== row.dataset.name) return done(`${at} is ${seen.get(at)} and ${row.dataset.name}`);
                    seen.set(at, row.dataset.name);
                }
                // No hole: something of the list is in the midst of the screen, where it is not past its end.
                const mid = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
                if (mid.closest('.spacer')) return done(`a hole at ${scrollY}`);
                const end = document.getElementById('further');
                const more = !end.hidden || scrollY + innerHeight < document.documentElement.scrollHeight - 2;
                quiet = more ? 0 : quiet + 1;
                scrollBy({ top: innerHeight * 0.8, behavior: 'instant' });
            }
            done([...seen].sort(([left], [right]) => left - right).map(([, name]) => name));
        })();";
    let seen = page.browser.execute_async(script, vec![json!(DRAWN_MAX)]).await.unwrap();
    let names = seen.as_array().unwrap_or_else(|| panic!("{seen}"));
    names.iter().map(|name| name.as_str().unwrap().to_string()).collect()
}

/// How often pages of the folder were asked for.
async fn asked(page: &Page) -> u64 {
    let script = "return performance.getEntriesByType('resource').filter(one => one.name.includes('/list?')).length";
    page.run(script, vec![]).await.as_u64().unwrap()
}

/// What everybody's hands find there: keys, ranges over rows that are not drawn, and what is done with them.
async fn keys(page: &Page, demo: &Demo) {
    press(page, &[], &Key::Home.to_string()).await;
    focused(page, &name(0)).await;
    press(page, &[], &Key::PageDown.to_string()).await;
    let script = "return document.activeElement.closest('.row').dataset.name";
    let below = page.run(script, vec![]).await;
    assert!(below.as_str().unwrap() > name(5).as_str() && below.as_str().unwrap() < name(40).as_str(), "{below}");
    press(page, &[], &Key::PageUp.to_string()).await;
    focused(page, &name(0)).await;
    press(page, &[], &Key::End.to_string()).await;
    focused(page, &name(FILES - 1)).await;
    page.says("@count", "3000 items").await;

    // From the hundredth before the last: most of them have never been drawn together.
    for _ in 0..99 {
        press(page, &[], &Key::Up.to_string()).await;
    }
    focused(page, &name(FILES - 100)).await;
    press(page, &[Key::Shift], &Key::End.to_string()).await;
    page.says("@selection-count", "100 selected").await;
    focused(page, &name(FILES - 1)).await;
    page.picture("a long range").await;
    press(page, &[], &Key::Delete.to_string()).await;
    page.says("@count", "2900 items").await;
    focused(page, &name(FILES - 101)).await;
    assert_eq!(demo.ok(&["ls", "/many"]).lines().count(), FILES - 100);
    press(page, &[Key::Control], "z").await;
    page.says("@count", "3000 items").await;
    assert_eq!(demo.ok(&["ls", "/many"]).lines().count(), FILES);

    // What is made far from where one looks is gone to.
    press(page, &[], "n").await;
    page.fill("#ask[open] @ask-input", "file 1500 and more").await;
    page.press("@ask-submit").await;
    focused(page, "file 1500 and more").await;
    page.says("@count", "3001 items").await;
    press(page, &[], &Key::F2.to_string()).await;
    page.fill("#ask[open] @ask-input", "file 0700 and more").await;
    page.press("@ask-submit").await;
    focused(page, "file 0700 and more").await;
    press(page, &[], &Key::Delete.to_string()).await;
    page.says("@count", "3000 items").await;
    focused(page, &name(700)).await;

    press(page, &[Key::Control], "a").await;
    page.says("@selection-count", "3000 selected").await;
    press(page, &[Key::Shift], &Key::Home.to_string()).await;
    press(page, &[], &Key::Escape.to_string()).await;
}

/// All of it to the trash, stopped on the way: what was done is told and taken back, the rest was left alone.
async fn stopped(page: &Page, demo: &Demo) {
    press(page, &[], &Key::Home.to_string()).await;
    focused(page, &name(0)).await;
    press(page, &[Key::Control], "a").await;
    page.says("@selection-count", "3000 selected").await;
    // The third request waits until *Stop* was pressed: the work may be over sooner than a browser is driven.
    let hold = "const ask = window.fetch; let batches = 0; \
                const free = new Promise(go => { window.goOn = () => { window.fetch = ask; go(); } }); \
                window.fetch = async (url, init) => { \
                    if (String(url).endsWith('/batch') && ++batches > 2) await free; \
                    return ask(url, init); \
                }";
    page.run(hold, vec![]).await;
    press(page, &[], &Key::Delete.to_string()).await;
    page.says("@job", "100 of 3000 done").await;
    page.picture("many under way").await;
    page.press("@job-stop").await;
    page.run("goOn()", vec![]).await;
    page.gone("@job").await;
    let left = demo.ok(&["ls", "/many"]).lines().count();
    assert_eq!(left, FILES - 150, "what was asked before the stop is done, and nothing more");
    page.says("#toasts", &format!("Deleted {} items", FILES - left)).await;
    page.says("@count", &format!("{left} items")).await;
    press(page, &[Key::Control], "z").await;
    page.says("@count", "3000 items").await;
    page.gone("@job").await;
    assert_eq!(demo.ok(&["ls", "/many"]).lines().count(), FILES);
}

/// What others do is seen where one looks, and costs few questions; the focus stays.
async fn refreshed(page: &Page, demo: &Demo, base: &Path) {
    press(page, &[], &Key::End.to_string()).await;
    focused(page, &name(FILES - 1)).await;
    for _ in 0..4 {
        press(page, &[], &Key::PageUp.to_string()).await;
    }
    let script = "return document.activeElement.closest('.row').dataset.name";
    let here = page.run(script, vec![]).await.as_str().unwrap().to_string();
    let beside = base.join(format!("{} beside", here.trim_end_matches(".txt")));
    std::fs::write(&beside, "new").unwrap();
    let first = base.join("a first");
    std::fs::write(&first, "new").unwrap();
    demo.ok(&["upload", beside.to_str().unwrap(), first.to_str().unwrap(), "/many"]);
    demo.ok(&["rm", "/many/file 0001.txt"]);
    let before = asked(page).await;
    page.run("document.dispatchEvent(new Event('visibilitychange'))", vec![]).await;
    let new = beside.file_name().unwrap().to_str().unwrap();
    page.row(new).await;
    focused(page, &here).await;
    let questions = asked(page).await - before;
    assert!(questions <= 3, "{questions} pages were read again for what is on the screen");
    // The rest shows what was there until one comes there.
    press(page, &[], &Key::Home.to_string()).await;
    page.row("a first").await;
    page.gone("@entry[data-name='file 0001.txt']").await;
    page.says("@count", "3001 items").await;
    demo.ok(&["rm", "/many/a first", &format!("/many/{new}")]);
    demo.ok(&["trash", "restore", "/many/file 0001.txt"]);
}

/// A band that is drawn over the edge of the screen takes what has left it meanwhile.
async fn band(page: &Page) {
    press(page, &[], &Key::Home.to_string()).await;
    let script = "const { left, top, height } = document.querySelectorAll('#entries > .row')[3].getBoundingClientRect(); \
                  return [left, top + height / 2, innerHeight]";
    let place = page.run(script, vec![]).await;
    let at = |n: usize| place[n].as_f64().unwrap();
    let to = |x: f64, y: f64| PointerAction::MoveTo { duration: Some(Duration::from_millis(60)), x, y };
    let mouse = MouseActions::new("mouse".into()).then(to(at(0) - 20.0, at(1)));
    let mouse = mouse.then(PointerAction::Down { button: MOUSE_BUTTON_LEFT });
    let mouse = mouse.then(to(at(0) + 5.0, at(1) + 5.0)).then(to(at(0) + 200.0, at(2) - 2.0));
    page.browser.perform_actions(mouse).await.unwrap();
    let chosen = "return Number(document.getElementById('selected-count').textContent.split(' ')[0])";
    let look = async || page.run(chosen, vec![]).await;
    until("more selected than are drawn", look, |count| count.as_u64() > Some(300)).await;
    page.picture("a band").await;
    let up = MouseActions::new("mouse".into()).then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    page.browser.perform_actions(up).await.unwrap();
    let count = page.run(chosen, vec![]).await.as_u64().unwrap();
    let rows = "return [...document.querySelectorAll('#entries > .row')].map(row => \
                [Number(row.getAttribute('aria-rowindex')) - 2, row.classList.contains('selected')])";
    let rows: Vec<(u64, bool)> = serde_json::from_value(page.run(rows, vec![]).await).unwrap();
    for (place, selected) in rows {
        assert_eq!(selected, (3..3 + count).contains(&place), "{place} of {count} selected from 3 on");
    }
    press(page, &[], &Key::Escape.to_string()).await;
}

fn sorted<K: Ord>(by: impl Fn(usize) -> K) -> Vec<String> {
    let mut all: Vec<usize> = (0..FILES).collect();
    all.sort_by_key(|&n| (by(n), name(n)));
    all.into_iter().map(name).collect()
}

#[test]
fn a_long_folder_is_drawn_where_one_looks_and_used_as_a_whole() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    fill(&demo, &base, FILES);
    let (user, password) = demo.user();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let page = Page::open(&demo, false, None).await;
        page.sign_in(&user, &password).await;
        let version = "return document.querySelector('script[src*=\"/assets/\"]').src.split('/').at(-2)";
        let version = page.run(version, vec![]).await;
        let model = include_str!("folder_model.js");
        for seed in 1..=3 {
            let wrong = page.browser.execute_async(model, vec![version.clone(), json!(seed)]).await.unwrap();
            assert_eq!(wrong, Value::Null, "what is read of a folder");
        }

        page.go("/drive/many").await;
        page.there("html[data-ready]").await;
        let by_name: Vec<String> = (0..FILES).map(name).collect();
        assert_eq!(all_by_scrolling(&page).await, by_name);
        keys(&page, &demo).await;
        stopped(&page, &demo).await;
        refreshed(&page, &demo, &base).await;

        page.go("/drive/many").await;
        page.there("html[data-ready]").await;
        band(&page).await;
        page.press("@sort-size").await;
        page.there("th.size[aria-sort=descending]").await;
        page.press("@sort-size").await;
        page.there("th.size[aria-sort=ascending]").await;
        assert_eq!(all_by_scrolling(&page).await, sorted(|n| about(n).0));
        page.press("@sort-modified").await;
        page.there("th.modified[aria-sort=descending]").await;
        let mut latest_first = sorted(|n| about(n).1);
        latest_first.reverse();
        press(&page, &[], "g").await;
        page.there("#listing.grid").await;
        assert_eq!(all_by_scrolling(&page).await, latest_first);
        page.picture("as pictures").await;
        page.browser.close().await.unwrap();
    });
}

/// Milliseconds until a key's work is done, its layout included: the median, and the most.
const TIMES: &str = r"
    const [key, times, done] = arguments;
    const took = [];
    (async () => {
        while (took.length < times) {
            const begun = performance.now();
            document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
            document.body.getBoundingClientRect();
            took.push(Math.round((performance.now() - begun) * 10) / 10);
            await new Promise(go => requestAnimationFrame(() => setTimeout(go)));
        }
        took.sort((left, right) => left - right);
        done([took[times >> 1], took.at(-1)]);
    })();";

/// The figures of the benchmarks: 100 000 entries, in a window of 1 280 by 900 pixels.
#[test]
fn a_hundred_thousand_entries() {
    if !long() {
        return;
    }
    const MANY: usize = 100_000;
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    fill(&demo, &base, MANY);
    let (user, password) = demo.user();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let page = Page::open(&demo, false, None).await;
        page.sign_in(&user, &password).await;
        page.go("/drive/many").await;
        page.there("html[data-ready]").await;
        let first = "return [performance.getEntriesByType('navigation')[0].responseEnd, \
                     performance.getEntriesByName('first-contentful-paint')[0].startTime]";
        println!("ms until the page was there, and until something of it was seen: {}", page.run(first, vec![]).await);
        let begun = std::time::Instant::now();
        press(&page, &[], &Key::End.to_string()).await;
        page.says("@count", "100000 items").await;
        println!("to the end: {:?}", begun.elapsed());
        focused(&page, &name(MANY - 1)).await;
        for (key, times) in [("ArrowUp", 100), ("PageUp", 100), ("Home", 1)] {
            let told = page.browser.execute_async(TIMES, vec![json!(key), json!(times)]).await.unwrap();
            println!("{key}, ms (median, most): {told}");
        }
        let rest =
            "return [document.querySelectorAll('*').length, Math.round(performance.memory.usedJSHeapSize / 1e6)]";
        println!("elements, MB of the scripts' heap: {}", page.run(rest, vec![]).await);
        page.browser.close().await.unwrap();
    });
}
