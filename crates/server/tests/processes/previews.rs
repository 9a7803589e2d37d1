//! A file's page in a real browser: an image, a PDF that pdf.js draws under our policy, thumbnails; and the command line's stars.

use crate::browser::{SOON, browser, sign_in, until};
use crate::demo::Demo;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};
use std::time::Duration;

/// One page with a word on it (ISO 32000-1, 7.5).
fn pdf() -> String {
    let drawn = "BT /F1 72 Tf 60 300 Td (Atoll) Tj ET";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_string(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_string(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 600] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_string(),
        format!("<< /Length {} >>\nstream\n{drawn}\nendstream", drawn.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_string(),
    ];
    let (mut out, mut places) = ("%PDF-1.4\n".to_string(), String::new());
    for (n, object) in objects.iter().enumerate() {
        places += &format!("{:010} 00000 n \n", out.len());
        out += &format!("{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let at = out.len();
    out + &format!(
        "xref\n0 {0}\n0000000000 65535 f \n{places}trailer\n<< /Size {0} /Root 1 0 R >>\nstartxref\n{at}\n%%EOF\n",
        objects.len() + 1
    )
}

/// Puts a picture that the browser itself makes, and these files.
async fn fill(browser: &Client) {
    let script = r"
        const [pdf, done] = arguments;
        const put = (path, body) => fetch('/api/v1/drive/file?path=' + path, { method: 'PUT', body });
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [600, 400];
        canvas.getContext('2d').fillRect(0, 0, 300, 400);
        canvas.toBlob(async blob => {
            const all = await Promise.all([put('/picture.png', blob), put('/words.pdf', pdf), put('/a.html', '<script>document.title = 1</script>')]);
            done(all.every(one => one.ok));
        }, 'image/png');";
    assert_eq!(browser.execute_async(script, vec![json!(pdf())]).await.unwrap(), json!(true));
}

/// Waits until a script says something else than null.
async fn shown(browser: &Client, what: &str, script: &str) -> Value {
    let look = async || browser.execute(script, vec![]).await.unwrap();
    until(what, look, |said| !said.is_null()).await
}

#[test]
fn files_are_shown_and_found_again() {
    let demo = Demo::small();
    let base = demo.folder.parent().unwrap().to_path_buf();
    let (web, (name, password)) = (demo.web(), demo.user());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_driver, browser) = browser(&base.join("profile"), &[]).await;
        sign_in(&browser, &web, &name, &password).await;
        fill(&browser).await;
        browser.goto(&web).await.unwrap();
        let small = "const it = document.querySelector('[data-name=\"picture.png\"] img'); \
                     return it && it.complete && it.naturalWidth ? it.naturalWidth : null;";
        assert_eq!(shown(&browser, "a thumbnail", small).await, json!(320));

        // A click opens the file's page; the keys lead on, and back.
        let row = Locator::XPath("//tbody[@id='entries']//a[contains(., 'picture.png')]");
        browser.wait().at_most(SOON).for_element(row).await.unwrap().click().await.unwrap();
        let whole = "const it = document.querySelector('[data-testid=stage-image]'); \
                     return it && it.complete && it.naturalWidth ? it.naturalWidth : null;";
        assert_eq!(shown(&browser, "an image", whole).await, json!(600));
        assert!(browser.current_url().await.unwrap().path().ends_with("/view/picture.png"));
        let press = async |key: Key| browser.active_element().await.unwrap().send_keys(&key.to_string()).await.unwrap();
        press(Key::Right).await;
        let ink = "const it = document.querySelector('[data-drawn] canvas'); if (!it) return null; \
                   const all = it.getContext('2d').getImageData(0, 0, it.width, it.height).data; \
                   return all.filter((value, at) => at % 4 === 0 && value < 100).length;";
        let ink = shown(&browser, "a drawn PDF", ink).await.as_u64().unwrap();
        assert!(ink > 500, "{ink} dark points");
        press(Key::Escape).await;
        browser.wait().at_most(SOON).for_element(Locator::Css("main#drive")).await.unwrap();
        // What could act is text.
        browser.goto(&format!("{web}/view/a.html")).await.unwrap();
        let text = Locator::Css("[data-testid=stage-text]");
        let text = browser.wait().at_most(SOON).for_element(text).await.unwrap().text().await.unwrap();
        assert_eq!(text, "<script>document.title = 1</script>");
        // In colours it is text all the same.
        let coloured = "const it = document.querySelector('pre.plain-text'); \
                        return it && it.querySelector('.hljs-name') ? it.textContent : null;";
        let look = async || {
            // Colours that take too long are done without, until the page is opened again.
            browser.goto(&format!("{web}/view/a.html")).await.unwrap();
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let found = browser.execute(coloured, vec![]).await.unwrap();
                if !found.is_null() {
                    return found;
                }
            }
            Value::Null
        };
        assert_eq!(until("code in colours", look, |said| !said.is_null()).await, json!(text));
        assert_ne!(browser.title().await.unwrap(), "1");
        browser.close().await.unwrap();
    });

    demo.ok(&["star", "/picture.png", "/words.pdf"]);
    demo.ok(&["unstar", "/words.pdf"]);
    demo.ok(&["mv", "/picture.png", "/renamed.png"]);
    let starred = demo.ok(&["starred"]);
    assert!(starred.trim_end().ends_with("  /renamed.png") && starred.lines().count() == 1, "{starred}");
    let recent: Value = serde_json::from_str(&demo.ok(&["recent", "--json"])).unwrap();
    let told = |at: usize| format!("{} {}", recent[at]["act"].as_str().unwrap(), recent[at]["path"].as_str().unwrap());
    assert_eq!([told(0), told(1), told(2)], ["changed /renamed.png", "opened /a.html", "opened /words.pdf"]);
    assert!(!demo.run(&["star", "/nothing"]).status.success());
}
