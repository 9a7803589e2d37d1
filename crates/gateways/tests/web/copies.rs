//! How many intact copies there are of a file, by JSON and on its page.

use crate::world::World;
use hyper::StatusCode;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn intact_copies_are_told_and_rot_is_found_by_reading() {
    let world = World::new().await;
    let (ada, ben) = (world.browser("ada").await, world.browser("ben").await);
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 16) as u8).collect();
    assert!(ada.put("/large", large).await.status.is_success());
    assert!(ada.put("/small", "a few words").await.status.is_success());
    for (path, blocks, words) in [("/large", 3, "1 of 1 intact"), ("/small", 0, "1 of 1 present")] {
        let looked = ada.get(&format!("/api/v1/drive/copies?path={path}")).await.json();
        assert_eq!((&looked["intact"], &looked["wanted"], &looked["next"]), (&json!(1), &json!(1), &json!(null)));
        let read = ada.json("POST", "/api/v1/drive/copies", json!({"path": path, "version": looked["version"]})).await;
        let read = read.json();
        // Of a file without blocks nothing is verified, and nothing of the kind is said.
        assert!(read["verified"].as_u64() >= looked["verified"].as_u64(), "{read}");
        assert_eq!((&read["blocks"], read["verified"].is_u64()), (&json!(blocks), blocks > 0), "{read}");
        assert_eq!((&read["intact"], &read["upto"]), (&json!(1), &read["size"]));
        let page = ada.get(&format!("/details?path={path}")).await;
        assert!(page.text().contains(words), "{}", page.text());
        assert_eq!(page.text().contains("data-verify"), blocks > 0);
    }
    // Rot shows as soon as somebody has it read, and then to everybody. What was read just now is not read again.
    let known = world.block_files();
    let other: Vec<u8> = (0..2_000_000u32).map(|n| (n.wrapping_mul(2_246_822_519) >> 16) as u8).collect();
    assert!(ada.put("/other", other).await.status.is_success());
    let damaged = &world.block_files().into_iter().find(|file| !known.contains(file)).unwrap();
    let mut bytes = std::fs::read(damaged).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    let read = ada.json("POST", "/api/v1/drive/copies", json!({"path": "/other"})).await.json();
    assert_eq!((&read["intact"], &read["nodes"][0]["damaged"]), (&json!(0), &json!(1)), "{read}");
    let page = ada.get("/details?path=/other").await;
    assert!(page.text().contains("0 of 1 intact"), "{}", page.text());

    // What is wrong is said, and nobody looks at what is not theirs.
    assert_eq!(ben.get("/api/v1/drive/copies?path=/large").await.kind(), "not_found");
    assert_eq!(world.stranger().get("/api/v1/drive/copies?path=/large").await.status, StatusCode::UNAUTHORIZED);
    let other = "0".repeat(32);
    let changed = ada.get(&format!("/api/v1/drive/copies?path=/large&version={other}")).await;
    assert_eq!(changed.kind(), "changed");
    assert_eq!(ada.get("/api/v1/drive/copies?path=/large&from=3000001").await.kind(), "bad_request");
    assert_eq!(ada.get("/api/v1/drive/copies?path=/").await.kind(), "is_a_folder");
    world.stop().await;
}
