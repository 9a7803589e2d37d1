//! The drive's pages as plain pages: links and forms, no scripts.

use crate::world::{Answer, World, encode};
use hyper::StatusCode;
use serde_json::json;

/// The values of the fields of that name.
fn fields<'a>(page: &'a Answer, name: &str) -> Vec<&'a str> {
    let before = format!("name=\"{name}\" value=\"");
    page.text().split(&*before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trash_is_a_plain_page() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let ben = world.browser("ben").await;
    let empty = ada.get("/trash").await;
    assert_eq!(empty.status, StatusCode::OK);
    assert!(empty.text().contains("Nothing is in the trash") && !empty.text().contains("/trash/empty"));
    assert!(ada.get("/").await.text().contains("href=\"/trash\""));

    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/papers & <b>"})).await;
    for path in ["/papers & <b>/a<i>.txt", "/top"] {
        assert!(ada.put(path, "content").await.status.is_success());
        assert_eq!(
            ada.send("DELETE", &format!("/api/v1/drive/file?path={}", encode(path)), &[], "").await.status,
            StatusCode::OK
        );
    }
    let page = ada.get("/trash").await;
    assert!(page.text().contains("a&#60;i&#62;.txt") && page.text().contains("/papers &#38; &#60;b&#62;"));
    assert!(!page.text().contains("<i>") && page.text().contains("My Drive"));
    let ids: Vec<String> = fields(&page, "id").into_iter().map(str::to_string).collect();
    // The latest first; each has two forms.
    assert_eq!((ids.len(), ids[0] == ids[1], ids[1] == ids[2]), (4, true, false));
    assert!(!ben.get("/trash").await.text().contains(&ids[0]));

    // Restored to where it was, and under another name when that is taken.
    assert!(ada.put("/top", "other").await.status.is_success());
    let restored = ada.form("/trash/restore", &format!("id={}", ids[0])).await;
    assert_eq!(restored.status, StatusCode::SEE_OTHER, "{}", restored.text());
    let told = ada.get(restored.header("location")).await;
    assert!(told.text().contains("Restored to /top (2)"), "{}", told.text());
    assert_eq!(ada.names("/").await, ["papers & <b>", "top", "top (2)"]);
    // An address made up by somebody tells nothing.
    let other = format!("/trash?done=restored&restored={}", "0".repeat(32));
    assert!(!ada.get(&other).await.text().contains("Restored"));
    let again = ada.form("/trash/restore", &format!("id={}", ids[0])).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert!(again.text().contains("role=\"alert\"") && !again.text().contains("Restored"));
    let theirs = ben.form("/trash/restore", &format!("id={}", ids[2])).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND, "nobody reaches into another's trash");

    // For good: one, and all.
    for path in ["/top", "/top (2)"] {
        ada.send("DELETE", &format!("/api/v1/drive/file?path={}", encode(path)), &[], "").await;
    }
    let purged = ada.form("/trash/purge", &format!("id={}", ids[2])).await;
    assert_eq!(purged.header("location"), "/trash?done=purged");
    let page = ada.get("/trash").await;
    assert!(!page.text().contains(&ids[2]) && fields(&page, "id").len() == 4);
    let emptied = ada.form("/trash/empty", "").await;
    assert_eq!(emptied.header("location"), "/trash?done=emptied");
    assert!(ada.get("/trash?done=emptied").await.text().contains("The trash was emptied"));
    assert_eq!(ada.get("/api/v1/drive/trash").await.json()["items"], json!([]));
    // What is deleted after emptying began stays.
    let first = ada.json("POST", "/api/v1/drive/trash/empty", json!({})).await.json();
    ada.send("DELETE", &format!("/api/v1/drive/file?path={}&recursive=true", encode("/papers & <b>")), &[], "").await;
    let second = ada.json("POST", &format!("/api/v1/drive/trash/empty?until={}", first["until"]), json!({})).await;
    assert_eq!((&second.json()["removed"], &second.json()["until"]), (&json!(0), &first["until"]));
    assert_eq!(fields(&ada.get("/trash").await, "id").len(), 2);

    // From elsewhere, and by strangers, nothing.
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", &*ada.cookie)];
    let foreign = [headers[0], headers[1], ("origin", "http://evil.example")];
    assert_eq!(world.send("POST", "/trash/empty", &foreign, "").await.status, StatusCode::FORBIDDEN);
    let stranger = world.stranger().form("/trash/empty", "").await;
    assert!(stranger.header("location").starts_with("/login"), "{}", stranger.status);
    assert_eq!(world.stranger().get("/trash").await.header("location"), "/login?next=%2Ftrash");
    assert_eq!(fields(&ada.get("/trash").await, "id").len(), 2);
    world.stop().await;
}
