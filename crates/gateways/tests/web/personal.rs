//! Stars, and what was done last: JSON and plain pages, in one's own drive and in those that others share.

use crate::world::{Answer, Browser, World, encode};
use hyper::StatusCode;
use serde_json::json;

fn paths(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|it| format!("{}:{}", it["drive_name"].as_str().unwrap(), it["path"].as_str().unwrap())).collect()
}

async fn starred(who: &Browser<'_>) -> Vec<String> {
    paths(&who.get("/api/v1/starred").await)
}

/// A drive that ben manages and ada may look at, with a file.
async fn shared(ben: &Browser<'_>) -> String {
    let base = ben.form("/drives", "name=Club").await.header("location").trim_end_matches('/').to_string();
    assert_eq!(ben.form(&format!("{base}/members"), "name=ada&role=view").await.status, StatusCode::SEE_OTHER);
    let put = format!("/api/v1{base}/file?path=/menu.txt");
    assert!(ben.send("PUT", &put, &[], "tea").await.status.is_success());
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn stars_are_ones_own_wherever_they_are() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let base = shared(&ben).await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/papers"})).await;
    assert!(ada.put("/papers/a & b.txt", "x").await.status.is_success());
    let star = |drive: &str, path: &str| format!("/api/v1{drive}/star?path={}", encode(path));
    for address in [star("/drive", "/papers/a & b.txt"), star("/drive", "/papers"), star(&base, "/menu.txt")] {
        let answer = ada.send("PUT", &address, &[], "").await;
        assert_eq!((answer.status, &answer.json()["entry"]["starred"]), (StatusCode::OK, &json!(true)), "{address}");
    }
    assert_eq!(starred(&ada).await, ["Club:/menu.txt", "My Drive:/papers", "My Drive:/papers/a & b.txt"]);
    assert!(starred(&ben).await.is_empty(), "nobody sees the stars of others");
    let listed = |base: &str, path: &str| format!("/api/v1{base}/list?path={path}");
    assert_eq!(ada.get(&listed(&base, "/")).await.json()["entries"][0]["starred"], json!(true));
    assert!(ben.get(&listed(&base, "/")).await.json()["entries"][0]["starred"].is_null());
    // They go along with what is moved.
    ada.json("POST", "/api/v1/drive/move", json!({"from": "/papers", "to": "/old"})).await;
    assert_eq!(starred(&ada).await, ["Club:/menu.txt", "My Drive:/old", "My Drive:/old/a & b.txt"]);
    // Plain pages.
    let page = ada.get("/starred").await;
    assert!(page.text().contains("href=\"/view/old/a%20%26%20b.txt\"") && page.text().contains("a &#38; b.txt"));
    assert!(page.text().contains(&format!("href=\"{base}/view/menu.txt\"")) && page.text().contains("Club"));
    let taken = ada.form(&format!("{base}/star"), "path=/menu.txt&all=true").await;
    assert_eq!((taken.status, taken.header("location")), (StatusCode::SEE_OTHER, "/starred"));
    let details = ada.get("/details?path=/old").await;
    assert!(details.text().contains("Take the star away"), "{}", details.text());
    let again = ada.form(&format!("{base}/star"), "path=/menu.txt&on=true").await;
    assert_eq!(again.header("location"), format!("{base}/details?path=%2Fmenu.txt"));
    assert!(ada.get("/drive/old").await.text().contains("data-starred"));
    assert_eq!(ada.send("DELETE", &star("/drive", "/old"), &[], "").await.status, StatusCode::OK);

    // Who is taken out of a drive sees nothing of it any more.
    assert_eq!(ben.form(&format!("{base}/members/remove"), "name=ada").await.status, StatusCode::SEE_OTHER);
    assert_eq!(starred(&ada).await, ["My Drive:/old/a & b.txt"]);
    assert_eq!(ada.send("PUT", &star(&base, "/menu.txt"), &[], "").await.status, StatusCode::NOT_FOUND);
    for bad in [star("/drive", "/none"), star("/drive", "/")] {
        assert!(ada.send("PUT", &bad, &[], "").await.status.is_client_error(), "{bad}");
    }
    let stranger = world.stranger();
    assert_eq!(stranger.get("/api/v1/starred").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.get("/recent").await.header("location"), "/login?next=%2Frecent");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_last_stands_first() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let base = shared(&ben).await;
    let recent = async |who: &Browser<'_>| {
        let answer = who.get("/api/v1/recent").await;
        let acts = answer.json()["items"].as_array().unwrap().clone();
        let acts = acts.iter().map(|it| it["act"].as_str().unwrap().to_string()).collect::<Vec<_>>();
        paths(&answer).into_iter().zip(acts).map(|(path, act)| format!("{act} {path}")).collect::<Vec<_>>()
    };
    assert_eq!(recent(&ben).await, ["uploaded Club:/menu.txt"]);
    assert!(recent(&ada).await.is_empty());
    for name in ["/one.txt", "/two.txt"] {
        assert!(ada.put(name, "x").await.status.is_success());
    }
    ada.get("/view/one.txt").await;
    ada.get(&format!("/api/v1{base}/file?path=/menu.txt")).await;
    ada.json("POST", "/api/v1/drive/move", json!({"from": "/two.txt", "to": "/three.txt"})).await;
    let seen = ["changed My Drive:/three.txt", "opened Club:/menu.txt", "opened My Drive:/one.txt"];
    assert_eq!(recent(&ada).await, seen);
    let page = ada.get("/recent").await;
    assert!(page.text().contains("Changed") && page.text().contains("/view/three.txt"), "{}", page.text());
    ada.send("DELETE", "/api/v1/drive/file?path=/three.txt", &[], "").await;
    assert_eq!(recent(&ada).await, seen[1..], "what is in the trash is left out");
    world.stop().await;
}
