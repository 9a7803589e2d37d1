//! Files that are sent in parts.

use crate::world::{Answer, Browser, World, encode, json_of};
use axum::http::StatusCode;
use serde_json::{Value, json};

const UPLOADS: &str = "/api/v1/drive/uploads";

async fn begin(ada: &Browser<'_>, path: &str, size: u64) -> Answer {
    let film = json!({"path": path, "size": size, "type": "video/mp4", "mtime": 5, "condition": "create"});
    ada.json("POST", UPLOADS, film).await
}

async fn part(ada: &Browser<'_>, at: &str, number: u32, bytes: &[u8]) -> Answer {
    ada.send("PUT", &at.replace('?', &format!("/parts/{number}?")), &[], bytes.to_vec()).await
}

async fn complete(ada: &Browser<'_>, upload: &str, more: Value) -> Answer {
    let mut asked = json!({"path": "/film", "condition": "create"});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ada.json("POST", &format!("{UPLOADS}/{upload}/complete"), asked).await
}

fn parts(answer: &Answer) -> Vec<(u64, u64)> {
    let parts = answer.json()["parts"].as_array().unwrap().clone();
    parts.iter().map(|part| (part["number"].as_u64().unwrap(), part["size"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_on_where_it_broke_off() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let begun = begin(&ada, "/film", 3_001_000).await;
    assert_eq!(begun.status, StatusCode::CREATED);
    let (begun, kept) = (begun.json(), 16 << 20);
    assert_eq!((&begun["part_bytes"], &begun["saved"]), (&json!(kept), &json!(false)));
    let upload = begun["upload"].as_str().unwrap().to_string();
    let at = format!("{UPLOADS}/{upload}?path=/film");
    // In any order, and again.
    let (first, second) = (vec![1; 3_000_000], vec![2; 1000]);
    for (number, bytes) in [(2, &first), (1, &first), (2, &second)] {
        let taken = part(&ada, &at, number, bytes).await;
        assert_eq!((taken.status, &taken.json()["size"]), (StatusCode::OK, &json!(bytes.len())));
    }
    assert_eq!(parts(&ada.get(&at).await), [(1, 3_000_000), (2, 1000)]);
    assert!(ada.names("/").await.is_empty(), "nothing is there before it is whole");

    let told = part(&ada, &at, 2, &first[..999]).await;
    assert_eq!(
        (told.status, complete(&ada, &upload, json!({})).await.status),
        (StatusCode::OK, StatusCode::BAD_REQUEST)
    );
    part(&ada, &at, 2, &second).await;

    // The name is taken by now: what was sent is not lost by it.
    assert!(ada.put("/film", "another").await.status.is_success());
    let taken = complete(&ada, &upload, json!({})).await;
    assert_eq!((taken.status, taken.kind()), (StatusCode::CONFLICT, "exists".into()));
    for _ in 0..2 {
        let saved = complete(&ada, &upload, json!({"to": "/film (2)"})).await;
        assert_eq!(saved.status, StatusCode::CREATED, "{:?}", saved.body);
        let entry = &saved.json()["entry"];
        assert_eq!((&entry["size"], &entry["modified"]), (&json!(3_001_000), &json!(5)));
        assert_eq!(entry["type"], "video/mp4");
    }
    let bytes = ada.get(&format!("/api/v1/drive/file?path={}", encode("/film (2)"))).await;
    assert!(bytes.body[..3_000_000] == first && bytes.body[3_000_000..] == second);
    assert_eq!(ada.get(&at).await.json()["saved"], true);
    assert_eq!(part(&ada, &at, 3, &second).await.status, StatusCode::NOT_FOUND, "it is over");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_held_to_rights_room_and_bounds() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    ada.json("PATCH", "/api/v1/users/ada", json!({"quota": 1_000_000})).await;
    let full = begin(&ada, "/film", 1_000_001).await;
    assert_eq!((full.status, full.kind()), (StatusCode::INSUFFICIENT_STORAGE, "quota".into()));
    for (path, size) in [("/", 1), ("/no/film", 1), ("", 1), ("/film", u64::MAX)] {
        let refused = begin(&ada, path, size).await.status;
        assert!(refused.is_client_error() || refused == StatusCode::INSUFFICIENT_STORAGE, "{path:?}: {refused}");
    }
    let begun = begin(&ada, "/film", 900_000).await.json();
    let upload = begun["upload"].as_str().unwrap();
    let at = format!("{UPLOADS}/{upload}?path=/film");
    for (number, status) in [(0, 400), (10_001, 400), (70_000, 400), (1, 200)] {
        assert_eq!(part(&ada, &at, number, &[0; 900_000]).await.status.as_u16(), status, "part {number}");
    }
    assert_eq!(part(&ada, &at, 2, &[0; 900_000]).await.kind(), "quota");
    // Nobody else's, and by no other path.
    let theirs = [(&ben, at.clone()), (&ada, format!("{UPLOADS}/{upload}?path=/other"))];
    for (who, at) in theirs {
        assert_eq!(who.get(&at).await.status, StatusCode::NOT_FOUND);
        assert_eq!(part(who, &at, 1, b"x").await.status, StatusCode::NOT_FOUND);
        assert_eq!(who.send("DELETE", &at, &[], "").await.status, StatusCode::NOT_FOUND);
    }
    let empty = begin(&ada, "/film", 5).await.json();
    let without = complete(&ada, empty["upload"].as_str().unwrap(), json!({})).await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST, "a part is missing");
    assert_eq!(complete(&ada, upload, json!({"to": "/no/film"})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.send("DELETE", &at, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(ada.get(&at).await.status, StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_hand_in_by_parts_what_the_link_takes() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/box"})).await;
    let kept: usize = 16 << 20;
    let size = kept + 1000;
    let asked = json!({"path": "/box", "mode": "drop_box", "bytes": size + 10, "password": "open up"});
    let link = ada.json("POST", "/api/v1/drive/links", asked).await.json()["link"]["address"].clone();
    let link = link.as_str().unwrap();
    let mut guest = world.stranger();
    let film = |size: usize| json!({"name": "film", "size": size, "type": "video/mp4", "mtime": 5});
    let named = json!({"name": "film", "size": size, "upload": "0d".repeat(16)});
    let at = format!("{}/uploads", json_of(link));
    let locked = guest.json("POST", &at, film(1)).await;
    assert_eq!((locked.status, locked.kind()), (StatusCode::FORBIDDEN, "password_needed".into()));
    let opened = guest.form(link, "password=open+up").await;
    guest.take_cookie(&opened);
    let paths = opened.headers.get_all("set-cookie").iter().filter_map(|set| {
        let (_, path) = set.to_str().ok()?.split_once("; Path=")?;
        path.split_once(';').map(|(path, _)| path.to_string())
    });
    assert_eq!(paths.collect::<Vec<_>>(), [link.to_string(), json_of(link)], "pages' scripts show it, too");
    assert_eq!(guest.json("POST", &at, film(size + 11)).await.kind(), "link_full");
    assert_eq!(guest.json("POST", &at, json!({"name": "../x", "size": 1})).await.status, StatusCode::BAD_REQUEST);

    guest.json("POST", &at, named.clone()).await;
    // As whoever has lost the answer does: it counts once.
    let begun = guest.json("POST", &at, named).await;
    assert_eq!((begun.status, &begun.json()["part_bytes"]), (StatusCode::CREATED, &json!(kept)));
    let upload = begun.json()["upload"].as_str().unwrap().to_string();
    let one = format!("{at}/{upload}?name=film");
    assert_eq!(guest.json("POST", &at, film(11)).await.kind(), "link_full", "what has begun counts");
    // Exactly the bytes that are missing, and no others.
    for (number, bytes, status) in
        [(2, 999, 400), (2, 1000, 200), (3, 1, 400), (0, 1, 400), (1, kept, 200), (1, kept, 200)]
    {
        let taken = part(&guest, &one, number, &vec![number as u8; bytes]).await;
        assert_eq!(taken.status.as_u16(), status, "{number} {bytes}: {:?}", taken.body);
    }
    assert_eq!(parts(&guest.get(&one).await), [(1, kept as u64), (2, 1000)]);
    let whole = json!({"name": "film"});
    for _ in 0..2 {
        let done = guest.json("POST", &format!("{at}/{upload}/complete"), whole.clone()).await;
        assert_eq!((done.status, &done.json()["entry"]), (StatusCode::CREATED, &json!({"name": "film", "size": size})));
    }
    let bytes = ada.get("/api/v1/drive/file?path=/box/film").await.body;
    assert!(bytes.len() == size && bytes[..kept].iter().all(|byte| *byte == 1) && bytes[kept..] == [2; 1000]);

    // A stranger with the address alone comes to nothing; and given up, it counts no more.
    let rest = guest.json("POST", &at, film(10)).await.json()["upload"].as_str().unwrap().to_string();
    let one = format!("{at}/{rest}?name=film");
    assert_eq!(world.stranger().get(&one).await.status, StatusCode::FORBIDDEN);
    assert_eq!(guest.send("DELETE", &one, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(guest.json("POST", &at, film(10)).await.status, StatusCode::CREATED);
    world.stop().await;
}

/// Folders come with files, by parts or whole, and by themselves; no further than the link leads.
#[tokio::test(flavor = "multi_thread")]
async fn guests_hand_in_folders() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/box/Trip", "parents": true})).await;
    let asked = json!({"path": "/box", "mode": "drop_box", "password": "open up"});
    let link = ada.json("POST", "/api/v1/drive/links", asked).await.json()["link"]["address"].clone();
    let link = link.as_str().unwrap();
    let mut guest = world.stranger();
    let (batch, api) = ("0b".repeat(16), json_of(link));
    let names = async |path: &str| {
        let mut names = ada.names(path).await;
        names.sort();
        names
    };
    let folder = |path: &str| json!({"folder": path, "batch": batch});
    let folders = format!("{api}/folder");
    assert_eq!(guest.json("POST", &folders, folder("Trip")).await.kind(), "password_needed");
    let opened = guest.form(link, "password=open+up").await;
    guest.take_cookie(&opened);
    for bad in ["..", "/../x", "a//b", &"d/".repeat(101), &"x".repeat(256), "a\u{0}"] {
        let at = format!("{api}/file?name=a&batch={batch}&folder={}", crate::world::encode(bad));
        for refused in [
            guest.json("POST", &folders, folder(bad)).await,
            guest.send("PUT", &at, &[], "x").await,
            guest
                .json("POST", &format!("{api}/uploads"), json!({"name": "a", "size": 1, "folder": bad, "batch": batch}))
                .await,
        ] {
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}: {:?}", refused.body);
        }
    }
    // Nor does one who names no batch come into the folders of another who names none.
    let unnamed = json!({"name": "a", "size": 1, "folder": "Trip"});
    assert_eq!(guest.json("POST", &format!("{api}/uploads"), unnamed).await.kind(), "bad_request");
    assert_eq!(names("/box").await, ["Trip"], "what is refused changes nothing");

    // A name is composed; what is there already is not told of.
    for (path, name) in [("Trip/e\u{301}", "a"), ("/Trip/\u{e9}/", "b")] {
        let at = format!("{api}/file?name={name}&batch={batch}&folder={}", crate::world::encode(path));
        let sent = guest.send("PUT", &at, &[], "x").await;
        assert_eq!((sent.status, &sent.json()["entry"]), (StatusCode::CREATED, &json!({"name": name, "size": 1})));
    }
    for _ in 0..2 {
        assert_eq!(guest.json("POST", &folders, folder("Trip/empty")).await.status, StatusCode::NO_CONTENT);
    }
    let begun = guest
        .json("POST", &format!("{api}/uploads"), json!({"name": "c", "size": 1, "folder": "Trip", "batch": batch}))
        .await;
    assert_eq!(names("/box").await, ["Trip", "Trip (2)"], "it is made before the file is sent");
    let upload = begun.json()["upload"].as_str().unwrap().to_string();
    part(&guest, &format!("{api}/uploads/{upload}?name=c"), 1, b"x").await;
    let whole = json!({"name": "c", "folder": "Trip", "batch": batch});
    let done = guest.json("POST", &format!("{api}/uploads/{upload}/complete"), whole).await;
    assert_eq!(done.status, StatusCode::CREATED, "{:?}", done.body);
    assert_eq!(names("/box").await, ["Trip", "Trip (2)"]);
    assert_eq!(names("/box/Trip (2)").await, ["c", "empty", "\u{e9}"]);
    assert_eq!(names("/box/Trip (2)/\u{e9}").await, ["a", "b"]);
    assert_eq!(names("/box/Trip").await.len(), 0);

    // Where guests only look, nothing is made.
    let asked = json!({"path": "/box"});
    let view = ada.json("POST", "/api/v1/drive/links", asked).await.json()["link"]["address"].clone();
    let made = guest.json("POST", &format!("{}/folder", json_of(view.as_str().unwrap())), folder("x")).await;
    assert_eq!(made.status, StatusCode::NOT_FOUND, "{:?}", made.body);
    world.stop().await;
}
