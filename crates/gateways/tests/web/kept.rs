//! What can come back by JSON: the trash, versions, batches and what undoes them; copies and orders.

use crate::world::World;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_or_replaced_comes_back() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    let ben = world.browser("ben").await;
    for text in ["one", "two!"] {
        assert!(ada.put("/f", text).await.status.is_success());
    }
    // Versions.
    let versions = ada.get("/api/v1/drive/versions?path=/f").await.json()["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 2);
    let old = versions[1]["version"].as_str().unwrap().to_string();
    assert_eq!(ada.get(&format!("/api/v1/drive/file?path=/f&version={old}")).await.text(), "one");
    let restored = ada.json("POST", "/api/v1/drive/versions/restore", json!({"path": "/f", "version": old})).await;
    assert_eq!(restored.status, StatusCode::OK, "{:?}", restored.body);
    assert_eq!(ada.get("/api/v1/drive/file?path=/f").await.text(), "one");
    let current = ada.send("DELETE", &format!("/api/v1/drive/versions?path=/f&version={old}"), &[], "").await;
    assert_eq!(current.kind(), "bad_request");
    let unknown = format!("/api/v1/drive/file?path=/f&version={}", "0".repeat(32));
    assert_eq!(ada.get(&unknown).await.kind(), "not_found");
    assert_eq!(ada.get("/api/v1/drive/file?path=/f&version=x").await.kind(), "bad_request");

    // The trash, and what undoes a delete.
    let deleted = ada.send("DELETE", "/api/v1/drive/file?path=/f", &[], "").await.json();
    assert_eq!(ada.names("/").await, Vec::<String>::new());
    let trash = ada.get("/api/v1/drive/trash").await.json();
    assert_eq!((trash["items"][0]["path"].as_str(), &trash["items"][0]["id"]), (Some("/f"), &deleted["trashed"]));
    assert_eq!(ben.get("/api/v1/drive/trash").await.json()["items"], json!([]));
    let id = deleted["trashed"].as_str().unwrap();
    let theirs = ben.json("POST", "/api/v1/drive/trash/restore", json!({ "id": id })).await;
    assert_eq!(theirs.kind(), "not_found", "nobody reaches into another's trash");
    let undone = ada.json("POST", "/api/v1/drive/batch", json!({"acts": deleted["undo"]})).await.json();
    assert_eq!(undone["outcomes"][0]["path"], "/f");
    let again = ada.json("POST", "/api/v1/drive/trash/restore", json!({ "id": id })).await;
    assert_eq!(again.kind(), "not_found");

    // Each act of a batch has its own outcome.
    let acts = json!({"acts": [
        {"act": "make_folder", "path": "/d"},
        {"act": "copy", "from": "/f", "to": "/d/f"},
        {"act": "move", "from": "/none", "to": "/x"},
        {"act": "move", "from": "/f", "to": "/d/f", "clash": "keep_both"},
        {"act": "trash", "path": "/d"},
        {"act": "trash", "path": "/d", "recursive": true},
    ]});
    let outcomes = ada.json("POST", "/api/v1/drive/batch", acts).await.json()["outcomes"].clone();
    let paths: Vec<&Value> = outcomes.as_array().unwrap().iter().map(|it| &it["path"]).collect();
    assert_eq!(paths, [&json!("/d"), &json!("/d/f"), &Value::Null, &json!("/d/f (2)"), &Value::Null, &json!("/d")]);
    assert_eq!(
        (&outcomes[2]["error"]["kind"], &outcomes[4]["error"]["kind"]),
        (&json!("not_found"), &json!("not_empty"))
    );
    for bad in
        [json!({"acts": []}), json!({"acts": [{"act": "dance"}]}), json!({"acts": [{"act": "purge", "id": "x"}]})]
    {
        assert_eq!(ada.json("POST", "/api/v1/drive/batch", bad).await.kind(), "bad_request");
    }
    let long = "x".repeat(200);
    let many: Vec<Value> = (0..1000).map(|n| json!({"act": "trash", "path": format!("/{n}{long}")})).collect();
    let outcomes_of_many = ada.json("POST", "/api/v1/drive/batch", json!({"acts": many})).await.json();
    assert_eq!(outcomes_of_many["outcomes"].as_array().map(Vec::len), Some(1000));
    let purge = format!("/api/v1/drive/trash?id={}", outcomes[5]["trashed"].as_str().unwrap());
    assert_eq!(ada.send("DELETE", &purge, &[], "").await.status, StatusCode::OK);
    assert_eq!(ada.send("DELETE", &purge, &[], "").await.kind(), "not_found");
    let gone = ada.send("DELETE", "/api/v1/drive/file?path=/f&permanent=true", &[], "").await;
    assert_eq!(gone.kind(), "not_found", "it went with its folder");
    assert!(ada.put("/g", "x").await.status.is_success());
    ada.send("DELETE", "/api/v1/drive/file?path=/g", &[], "").await;
    assert_eq!(ada.json("POST", "/api/v1/drive/trash/empty", json!({})).await.json()["removed"], 1);

    // Strangers.
    for path in ["trash", "versions?path=/f", "jobs", "search?text=f", "job?id=x"] {
        let answer = world.stranger().get(&format!("/api/v1/drive/{path}")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["batch", "copy", "trash/restore", "trash/empty", "versions/restore", "job/cancel"] {
        let answer = world.stranger().json("POST", &format!("/api/v1/drive/{path}"), json!({})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_copied_found_and_sorted() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/a/b", "parents": true})).await;
    for (path, text) in [("/a/small", "1"), ("/a/Large", "123"), ("/a/mid", "12")] {
        assert_eq!(ada.put(path, text).await.status, StatusCode::CREATED);
    }
    let names = async |query: &str| -> Vec<String> {
        let page = ada.get(&format!("/api/v1/drive/list?path=/a&{query}")).await.json();
        page["entries"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(names("order=size").await, ["b", "small", "mid", "Large"]);
    assert_eq!(names("order=size&reverse=true").await, ["b", "Large", "mid", "small"]);
    assert_eq!(names("order=name&reverse=true").await, ["small", "mid", "b", "Large"]);
    assert_eq!(ada.get("/api/v1/drive/list?path=/a&order=colour").await.kind(), "bad_request");

    let begun = ada.json("POST", "/api/v1/drive/copy", json!({"from": "/a", "to": "/c"})).await.json();
    let id = begun["job"]["id"].as_str().unwrap().to_string();
    let start = Instant::now();
    let ended = loop {
        let job = ada.get(&format!("/api/v1/drive/job?id={id}")).await.json();
        if job["state"] != "running" {
            break job;
        }
        assert!(start.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&ended["state"], &ended["done"]), (&json!("done"), &json!(4)), "{ended}");
    assert_eq!(ada.names("/c").await, ["Large", "b", "mid", "small"]);
    let late = ada.json("POST", "/api/v1/drive/job/cancel", json!({ "id": id })).await.json();
    assert_eq!(late["state"], "done", "what has ended stays as it is");
    assert_eq!(ada.json("POST", "/api/v1/drive/job/cancel", json!({"id": "0".repeat(32)})).await.kind(), "not_found");
    assert_eq!(ada.json("POST", "/api/v1/drive/copy", json!({"from": "/a", "to": "/a/b/x"})).await.kind(), "cycle");

    let found = ada.get("/api/v1/drive/search?text=LARG").await.json();
    let found = found["found"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap());
    // Equal names come in no order of their folders.
    assert_eq!(found.collect::<BTreeSet<_>>(), BTreeSet::from(["/a/Large", "/c/Large"]));
    let found = ada.get("/api/v1/drive/search?text=id&anywhere=true").await.json();
    assert_eq!(found["found"].as_array().unwrap().len(), 2);
    assert_eq!(ada.get("/api/v1/drive/search?text=").await.kind(), "bad_request");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_more_than_the_quota() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    assert_eq!(ben.put("/f", "x".repeat(600)).await.status, StatusCode::CREATED);
    let set = ada.json("PATCH", "/api/v1/users/ben", json!({"quota": 1000})).await;
    assert_eq!(set.status, StatusCode::OK);
    assert_eq!(ben.get("/api/v1/drive/usage").await.json()["room"], 400);
    assert_eq!(ben.put("/g", "x".repeat(600)).await.kind(), "quota");
    let copy = json!({"from": "/f", "to": "/g"});
    assert_eq!(ben.json("POST", "/api/v1/drive/copy", copy).await.kind(), "quota");
    let batch = json!({"acts": [{"act": "copy", "from": "/f", "to": "/g"}]});
    let outcomes = ben.json("POST", "/api/v1/drive/batch", batch).await.json();
    assert_eq!(outcomes["outcomes"][0]["error"]["kind"], "quota");
    // Another's bound is another's.
    assert_eq!(ada.put("/g", "x".repeat(1600)).await.status, StatusCode::CREATED);
    world.stop().await;
}

/// What does not fit is not taken in first, by whatever way it comes, and how long it is need not be told.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_is_refused_before_it_is_stored() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    const MIB: usize = 1 << 20;
    let different = |n: u8, len: usize| {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&[n]).finalize_xof().fill(&mut out);
        out
    };
    assert_eq!(ben.put("/f", different(0, MIB)).await.status, StatusCode::CREATED);
    let set = ada.json("PATCH", "/api/v1/users/ben", json!({"quota": 2 * MIB})).await;
    assert_eq!(set.status, StatusCode::OK);
    let before = world.block_files().len();
    let large = different(1, 12 * MIB);
    // Its length is told.
    assert_eq!(ben.put("/g", large.clone()).await.kind(), "quota");
    assert_eq!(world.block_files().len(), before);
    // It is not told: only what there is room for was taken, and a block or two that were at hand.
    let head = format!(
        "PUT /api/v1/drive/file?path=/g HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\ncookie: {1}\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        world.host, ben.cookie
    );
    let mut stream = tokio::net::TcpStream::connect(&world.host).await.unwrap();
    let sent = [head.as_bytes(), format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
    let _refused_meanwhile = stream.write_all(&sent).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 507") && answer.contains("\"quota\""), "{answer}");
    assert!(world.block_files().len() <= before + 2, "{} blocks", world.block_files().len() - before);
    // By the form, after a file that fits.
    let part = |name: &str, content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let before = world.block_files().len();
    let form = [part("fits", b"1"), part("does-not", &different(2, 12 * MIB)), b"--b--\r\n".to_vec()].concat();
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let told = ben.send("POST", "/forms/upload?path=%2F", &kind, form).await;
    assert_eq!(told.status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(
        told.text().contains("1 of the files were received and are saved. Then: The drive is full"),
        "{}",
        told.text()
    );
    assert_eq!(ben.names("/").await, ["f", "fits"]);
    assert!(world.block_files().len() <= before + 2, "{} blocks", world.block_files().len() - before);
    // By WebDAV.
    let sync = crate::dav::client(&world, "ben", true).await;
    let before = world.block_files().len();
    let put = world.send("PUT", "/dav/home/g", &[("authorization", &sync.authorization)], different(3, 12 * MIB)).await;
    assert_eq!(put.status, StatusCode::INSUFFICIENT_STORAGE, "{}", put.text());
    assert_eq!(world.block_files().len(), before);
    // What is the same needs no more, however full the drive is.
    assert_eq!(ben.put("/h", vec![b'x'; MIB - 1]).await.status, StatusCode::CREATED);
    assert_eq!(ben.put("/f", different(0, MIB)).await.status, StatusCode::OK);
    world.stop().await;
}
