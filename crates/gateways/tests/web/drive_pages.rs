//! The drive's pages as plain pages: links and forms, no scripts.

use crate::world::{Answer, World, encode};
use hyper::StatusCode;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    assert!(told.text().contains("Restored to My Drive/top (2)"), "{}", told.text());
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
    let until = u128::from(first["until"].as_u64().unwrap());
    while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() <= until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn heads_sort_and_search_says_the_place() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/a & b/deep", "parents": true})).await;
    for (path, text, time) in [("/a & b/small", "1", 3000), ("/a & b/Large", "123", 1000), ("/a & b/mid", "12", 2000)] {
        let put = format!("/api/v1/drive/file?path={}&mtime={time}", encode(path));
        assert_eq!(ada.send("PUT", &put, &[], text).await.status, StatusCode::CREATED);
    }
    let names = async |query: &str| -> Vec<String> {
        let page = ada.get(&format!("/drive/a%20%26%20b{query}")).await;
        let rows = page.text().split("<tbody").nth(1).unwrap().split("</tbody>").next().unwrap();
        rows.split("data-name=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_string()).collect()
    };
    assert_eq!(names("").await, ["deep", "Large", "mid", "small"]);
    assert_eq!(names("?order=name&reverse=true").await, ["deep", "small", "mid", "Large"]);
    assert_eq!(names("?order=size").await, ["deep", "small", "mid", "Large"]);
    assert_eq!(names("?order=size&reverse=true").await, ["deep", "Large", "mid", "small"]);
    assert_eq!(names("?order=modified").await, ["deep", "Large", "mid", "small"]);
    assert_eq!(names("?order=colour").await, names("").await);
    let page = ada.get("/drive/a%20%26%20b?order=size&reverse=true").await;
    assert!(page.text().contains("data-sort=\"size\" aria-sort=\"descending\""));
    assert_eq!(page.text().matches("aria-sort").count(), 1);
    assert!(page.text().contains("href=\"/drive/a%20%26%20b?order=size\""), "chosen again, it turns round");

    let found = ada.get("/search?text=ARG").await;
    assert_eq!(found.status, StatusCode::OK);
    let words = found.text();
    assert!(words.contains("1 found") && words.contains("/view/a%20%26%20b/Large"));
    assert!(words.contains("href=\"/drive/a%20%26%20b\"") && words.contains("/a &#38; b</a>"), "{words}");
    let none = ada.get("/search?text=%3Cb%3E").await;
    assert!(none.text().contains("Nothing has “&#60;b&#62;”") && !none.text().contains("<b>"));
    assert!(world.browser("ben").await.get("/search?text=large").await.text().contains("Nothing has"));
    assert_eq!(ada.get("/search").await.status, StatusCode::OK);
    let long = ada.get(&format!("/search?text={}", "x".repeat(5000))).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.text().contains("role=\"alert\""));
    assert_eq!(ada.get("/search?text=a&cursor=zz").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.stranger().get("/search?text=a").await.header("location"), "/login?next=%2Fsearch%3Ftext%3Da");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_on_the_page_of_a_file() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    for text in ["one", "two!"] {
        assert!(ada.put("/a & b.txt", text).await.status.is_success());
    }
    let address = "/details?path=%2Fa%20%26%20b.txt";
    assert!(ada.get("/").await.text().contains(&address.replace('&', "&#38;")));
    let page = ada.get(address).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let old: Vec<String> = fields(&page, "version").into_iter().map(str::to_string).collect();
    assert_eq!((old.len(), page.text().matches("data-testid=\"version\"").count()), (1, 2));
    let body = format!("path={}&version={}", encode("/a & b.txt"), old[0]);
    let restored = ada.form("/details/restore", &body).await;
    assert_eq!(restored.status, StatusCode::SEE_OTHER, "{}", restored.text());
    assert!(ada.get(restored.header("location")).await.text().contains("role=\"status\" data-testid=\"done\""));
    assert_eq!(ada.get("/api/v1/drive/file?path=%2Fa%20%26%20b.txt").await.text(), "one");
    let unknown = format!("path={}&version={}", encode("/a & b.txt"), "0".repeat(32));
    let unknown = ada.form("/details/restore", &unknown).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text().contains("role=\"alert\"") && !unknown.text().contains("data-testid=\"done\""));
    assert_eq!(world.browser("ben").await.form("/details/restore", &body).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get("/details?path=/none").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get("/details?path=/").await.status, StatusCode::OK);
    assert_eq!(ada.get("/details").await.status, StatusCode::BAD_REQUEST);
    world.stop().await;
}

/// The line that says how full the drive is.
fn fullness(page: &str) -> &str {
    let line = page.split_once(r#"id="usage""#).unwrap_or_else(|| panic!("none in {page}")).1;
    line.split_once("</p>").unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_say_how_full_the_drive_is() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    assert!(ben.put("/a", "x".repeat(950)).await.status.is_success());
    let said = ben.get("/").await;
    assert!(fullness(said.text()).contains("950 B used") && !fullness(said.text()).contains("<progress"));
    for (quota, state, remark) in
        [(1900, "", ""), (1000, "nearly", "Nearly full"), (950, "full", "Full: "), (10, "full", "Full: ")]
    {
        let set = ada.json("PATCH", "/api/v1/users/ben", json!({"quota": quota})).await;
        assert!(set.status.is_success(), "{}", set.text());
        let page = ben.get("/").await;
        let line = fullness(page.text());
        assert!(line.contains(&format!("data-state=\"{state}\"")) && line.contains(remark), "{line}");
        assert!(line.contains("<progress value="), "{line}");
    }
    let made = ben.json("POST", "/api/v1/drives", json!({"name": "Tea club"})).await.json();
    let id = made["id"].as_str().unwrap();
    for page in [format!("/drives/{id}/"), format!("/drives/{id}/members")] {
        assert!(fullness(ben.get(&page).await.text()).contains("0 B used"), "{page}");
    }
    world.stop().await;
}
