//! Folders as one archive, as `unzip` and Python read them.

use crate::world::{Answer, World, encode};
use hyper::StatusCode;
use serde_json::json;
use std::process::Command;

/// Names and contents, by Python's own reader.
pub fn read(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    let tested = Command::new("unzip").arg("-tqq").arg(file.path()).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
    let script = "import sys, json, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        print(json.dumps([[i.filename, z.read(i).decode()] for i in z.infolist()]))";
    let out = Command::new("python3").args(["-c", script]).arg(file.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, content)| (name.to_string(), content.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_come_as_one_archive() {
    let world = World::new().await;
    let ada = world.browser("ada").await;
    ada.json("POST", "/api/v1/drive/folder", json!({"path": "/Übung/deep/empty", "parents": true})).await;
    let big = "0123456789".repeat(300_000);
    for (path, content) in [
        ("/Übung/a.txt", "a"),
        ("/Übung/c:\\nul?", "c"),
        ("/Übung/deep/big", &*big),
        ("/Übung/nothing", ""),
        ("/top", "top"),
    ] {
        assert!(ada.put(path, content.to_string()).await.status.is_success());
    }
    let address = format!("/api/v1/drive/archive?path={}", encode("/Übung"));
    let answer = ada.get(&address).await;
    assert_eq!(answer.header("content-type"), "application/zip");
    assert!(answer.header("content-disposition").contains("filename*=UTF-8''%C3%9Cbung.zip"));
    assert!(answer.header("content-security-policy").contains("sandbox"));
    let whole = pairs(&[
        ("Übung/", ""),
        ("Übung/a.txt", "a"),
        ("Übung/c：＼nul？", "c"),
        ("Übung/deep/", ""),
        ("Übung/deep/big", &big),
        ("Übung/deep/empty/", ""),
        ("Übung/nothing", ""),
    ]);
    assert_eq!(read(&answer), whole);
    let head = ada.send("HEAD", &address, &[], "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-type"), "application/zip");

    // Several, by an address or a form; the drive itself without a folder around it.
    let both = format!("path={}&path={}", encode("/Übung/deep/empty"), encode("/top"));
    let several = ada.form("/api/v1/drive/archive", &both).await;
    assert_eq!(read(&several), pairs(&[("empty/", ""), ("top", "top")]));
    assert_eq!(read(&ada.get(&format!("/api/v1/drive/archive?{both}")).await).len(), 2);
    let all = read(&ada.get("/api/v1/drive/archive?path=/").await);
    assert_eq!((all.len(), &*all[0].0), (8, "top"));
    // The same name twice is told apart.
    let twice = format!("path={0}&path={0}", encode("/top"));
    assert_eq!(read(&ada.form("/api/v1/drive/archive", &twice).await), pairs(&[("top", "top"), ("top (2)", "top")]));

    for (query, status) in
        [("", 400), ("?path=/none", 404), ("?path=/none/x", 404), ("?path=/top/x", 409), ("?path=..", 400)]
    {
        let answer = ada.get(&format!("/api/v1/drive/archive{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {:?}", answer.body);
    }
    let theirs = world.browser("ben").await.get(&address).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(world.stranger().get(&address).await.status, StatusCode::UNAUTHORIZED);
    assert!(
        ada.get(&format!("/details?path={}", encode("/Übung"))).await.text().contains("/api/v1/drive/archive?path=")
    );
    world.stop().await;
}
