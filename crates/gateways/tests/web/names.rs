//! Names that would deceive who reads them.

use crate::world::{World, encode};
use serde_json::json;

/// The page without the attributes that scripts and forms take names and paths from.
fn seen(page: &str) -> String {
    let mut seen = page.to_string();
    for attribute in ["data-name=\"", "data-path=\"", "value=\""] {
        let mut parts = seen.split(attribute);
        let first = parts.next().unwrap_or_default().to_string();
        seen = parts.fold(first, |all, part| all + part.split_once('"').map_or("", |(_, rest)| rest));
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_shown_as_what_they_are() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let (name, told) = ("reef \u{202e}gnp.exe\u{ad}\n", "reef \\u{202e}gnp.exe\\u{ad}\\u{a}");
    let path = format!("/{name}/{name}");
    ada.json("POST", "/api/v1/drive/folder", json!({"path": format!("/{name}")})).await;
    assert!(ada.put(&path, "x").await.status.is_success());
    ada.send("PUT", &format!("/api/v1/drive/star?path={}", encode(&path)), &[], "").await;
    let link = ada.json("POST", "/api/v1/drive/links", json!({"path": path})).await.json();
    let (folder, file) = (encode(&format!("/{name}")), encode(&path));
    for page in [
        "/".to_string(),
        format!("/drive{}", folder.replace("%2F", "/")),
        format!("/view{}", file.replace("%2F", "/")),
        format!("/details?path={file}"),
        format!("/share?path={file}"),
        "/share?path=".into(),
        "/starred".into(),
        "/search?text=reef".into(),
        link["link"]["address"].as_str().unwrap().to_string(),
    ] {
        let answer = ada.get(&page).await;
        assert!(answer.status.is_success(), "{page}: {}", answer.status);
        let seen = seen(answer.text());
        assert!(!seen.contains('\u{202e}'), "{page}: {seen}");
        assert!(seen.contains(told), "{page}: {seen}");
    }
    let gone = ada.send("DELETE", &format!("/api/v1/drive/file?path={file}"), &[], "").await;
    assert!(gone.status.is_success());
    let seen = seen(ada.get("/trash").await.text());
    assert!(seen.contains(told) && !seen.contains('\u{202e}'), "{seen}");
    world.stop().await;
}
