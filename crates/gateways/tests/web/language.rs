//! Pages, their scripts' words and what goes wrong, in the language that a browser asks for or that was chosen in it.

use crate::world::World;
use hyper::StatusCode;

const GERMAN: &[(&str, &str)] = &[("accept-language", "de-CH,de;q=0.9,en;q=0.8")];

/// The words that the page's scripts use.
async fn words(world: &World, page: &str) -> String {
    let start = page.find("/assets/").expect("assets");
    let folder = &page[start..start + page[start + 8..].find('/').unwrap() + 9];
    let answer = world.send("GET", &format!("{folder}text.js"), &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("cache-control").contains("immutable"));
    answer.text().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_is_answered_in_its_language() {
    let world = World::new().await;
    let stranger = world.stranger();
    let page = stranger.send("GET", "/login", GERMAN, "").await;
    assert!(page.text().contains(r#"<html lang="de">"#) && page.text().contains("Anmelden"), "{}", page.text());
    assert!(words(&world, page.text()).await.contains("Umbenennen"));
    let page = stranger.get("/login").await;
    assert!(page.text().contains(r#"<html lang="en">"#) && page.text().contains("Sign in"), "{}", page.text());
    assert!(words(&world, page.text()).await.contains("Rename"));

    let ben = world.browser("ben").await;
    let missing = ben.send("GET", "/api/v1/drive/entry?path=/none", GERMAN, "").await;
    assert_eq!(missing.kind(), "not_found");
    assert_eq!(missing.json()["error"]["message"], "Unter /none ist nichts.");
    let refused = ben.send("GET", "/people", GERMAN, "").await;
    assert!(refused.text().contains("Das darf nur die Verwaltung: die Personen auflisten."), "{}", refused.text());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_was_chosen_goes_before_the_browsers() {
    let world = World::new().await;
    let mut ben = world.browser("ben").await;
    let session = ben.cookie.clone();
    for (chosen, shown) in [("de", "de"), ("en", "en"), ("", "de"), ("xx", "de")] {
        ben.cookie = session.clone();
        let answer = ben.form("/settings/language", &format!("language={chosen}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        ben.take_cookie(&answer);
        ben.cookie = format!("{session}; {}", ben.cookie);
        let page = ben.send("GET", "/settings", GERMAN, "").await;
        assert!(page.text().contains(&format!(r#"<html lang="{shown}">"#)), "{chosen}: {}", page.text());
        let selected = format!(r#"<option value="{chosen}" lang="{chosen}" selected>"#);
        assert_eq!(page.text().contains(&selected), ["de", "en"].contains(&chosen), "{chosen}: {}", page.text());
    }
    world.stop().await;
}
