//! Finding files by the words in them, by page and by JSON.

use crate::world::{Browser, World, encode};
use hyper::StatusCode;
use serde_json::Value;
use std::io::Write;
use std::time::{Duration, Instant};

async fn found(browser: &Browser<'_>, text: &str) -> Vec<Value> {
    let answer = browser.get(&format!("/api/v1/drive/search/text?text={}", encode(text))).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.json()["found"].as_array().unwrap().clone()
}

async fn until_found(browser: &Browser<'_>, text: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let all = found(browser, text).await;
        if all.len() == count {
            return all;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "{text}: {all:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_found_by_the_words_in_them() {
    let world = World::new().await;
    let reader = world.apps.drives.spawn_reader(Duration::from_secs(1));
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    ada.put("/menu.txt", "Crème <b>brûlée</b> & coffee").await;
    ada.put("/shopping.md", "* coffee\n* tea\n").await;
    ada.put("/coffee.jpg", "no text").await;
    let all = until_found(&ada, "COFFEE", 2).await;
    assert!(all.iter().all(|it| it["passage"].as_array().unwrap().iter().any(|piece| piece["hit"] == true)), "{all:?}");
    assert_eq!(found(&ada, "coff creme").await[0]["path"], "/menu.txt");
    assert_eq!(found(&ada, "coffee nothing").await.len(), 0);
    // What is in a file is shown as it stands there, and is nothing but text.
    let page = ada.get("/search?text=brulee").await;
    assert!(page.text().contains("<mark>brûlée</mark>"), "{}", page.text());
    assert!(!page.text().contains("<b>") && page.text().contains("In the text of files"));
    assert!(!ada.get("/search?text=coffe%20nothing").await.text().contains("In the text of files"));
    // Each their own.
    assert_eq!(found(&ben, "coffee").await.len(), 0);
    let stranger = world.stranger().get("/api/v1/drive/search/text?text=coffee").await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    for bad in ["text=", "text=%2c", "text=a+b+c+d+e+f+g+h+i", "text=a&cursor=zz"] {
        let answer = ada.get(&format!("/api/v1/drive/search/text?{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        // By page, other things may be found; of texts nothing is.
        let page = ada.get(&format!("/search?{bad}")).await;
        assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&page.status), "{bad}: {}", page.status);
        assert!(!page.text().contains("<mark>"), "{bad}");
    }
    // Changed, it is found by what it says now; thrown away, it is not found at once.
    ada.put("/menu.txt", "only cake").await;
    until_found(&ada, "cake", 1).await;
    assert_eq!(found(&ada, "brulee").await.len(), 0);
    let gone = ada.send("DELETE", "/api/v1/drive/file?path=/menu.txt", &[], "").await;
    assert_eq!(gone.status, StatusCode::OK);
    assert_eq!(found(&ada, "cake").await.len(), 0);
    reader.abort();
    world.stop().await;
}

fn packed(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, part) in parts {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(part.as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// A PDF of one page; readers make up for the table that it lacks.
fn pdf(words: &str) -> String {
    let content = format!("BT /F1 12 Tf 72 700 Td ({words}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_string(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".into(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>".into(),
        format!("<</Length {}>>\nstream\n{content}\nendstream", content.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".into(),
    ];
    let (mut out, mut places) = ("%PDF-1.4\n".to_string(), Vec::new());
    for (n, object) in objects.iter().enumerate() {
        places.push(format!("{:010} 00000 n \n", out.len()));
        out += &format!("{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let table = format!("xref\n0 6\n0000000000 65535 f \n{}trailer\n<</Size 6/Root 1 0 R>>\n", places.concat());
    format!("{out}{table}startxref\n{}\n%%EOF", out.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_found_by_the_words_in_them() {
    let world = World::new().await;
    let reader = world.apps.drives.spawn_reader(Duration::from_secs(1));
    let ada = world.browser("ada").await;
    // What cannot be read, and what would be too much, keeps no other from being found.
    let bomb = packed(&[("word/document.xml", &format!("<d><t>lagoon</t>{}", " ".repeat(200 << 20)))]);
    ada.put("/bomb.docx", bomb).await;
    ada.put("/lies.pdf", "PK\u{3}\u{4} lagoon").await;
    let word = "<w:document><w:p><w:t>The blue lag</w:t><w:t>oon</w:t></w:p></w:document>";
    ada.put("/letter.docx", packed(&[("word/document.xml", word)])).await;
    let strings = "<sst><si><t>lagoon budget</t></si></sst>";
    let sheet = "<row><c t=\"s\"><v>0</v></c></row>";
    ada.put(
        "/sheet.xlsx",
        packed(&[("xl/workbook.xml", "<w/>"), ("xl/sharedStrings.xml", strings), ("xl/worksheets/sheet1.xml", sheet)]),
    )
    .await;
    let slide = "<p:sld><a:p><a:t>Lagoon!</a:t></a:p></p:sld>";
    ada.put("/slides.pptx", packed(&[("ppt/presentation.xml", "<p/>"), ("ppt/slides/slide1.xml", slide)])).await;
    ada.put("/open.odt", packed(&[("content.xml", "<o><text:p>a lagoon</text:p></o>")])).await;
    ada.put("/page.html", "<title>Lagoon</title><script>var reef = 1</script>").await;
    ada.put("/paper.pdf", pdf("Of the lagoon")).await;
    ada.put("/rich.rtf", "{\\rtf1 lagoon}").await;
    let mut paths: Vec<String> =
        until_found(&ada, "LAGOON", 8).await.iter().map(|it| it["path"].as_str().unwrap().to_string()).collect();
    paths.sort();
    let all =
        ["bomb.docx", "letter.docx", "open.odt", "page.html", "paper.pdf", "rich.rtf", "sheet.xlsx", "slides.pptx"];
    assert_eq!(paths, all.map(|name| format!("/{name}")));
    assert_eq!(found(&ada, "reef").await.len(), 0, "a script is no text of a page");
    let page = ada.get("/search?text=blue+lagoon").await;
    assert!(page.text().contains("<mark>lagoon</mark>") && page.text().contains("letter.docx"), "{}", page.text());
    reader.abort();
    world.stop().await;
}
