//! Finding files by the words in them, by page and by JSON.

use crate::world::{Browser, World, encode};
use hyper::StatusCode;
use serde_json::Value;
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
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}: {all:?}");
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
        assert!(ada.get(&format!("/search?{bad}")).await.status != StatusCode::INTERNAL_SERVER_ERROR, "{bad}");
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
