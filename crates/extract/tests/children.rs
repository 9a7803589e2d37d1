//! Real children, real documents and bombs.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

mod bombs;
mod cost;

use atoll_extract::{DOCUMENT_BYTES_MAX, ExtractError, Extractor, TEXT_BYTES_MAX};
use bombs::{bombs, packed, page, word, written};
use bytes::Bytes;
use cost::{children, extractor, memory_at_most, running};
use futures::{StreamExt, stream};
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// One's children are nobody else's.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn text(extractor: &Extractor, document: &[u8]) -> Result<String, ExtractError<Infallible>> {
    let pieces: Vec<_> = document.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    extractor.text(stream::iter(pieces)).await
}

#[tokio::test]
async fn documents_are_read() {
    let _alone = ALONE.lock().await;
    let extractor = extractor();
    for (document, wanted) in [
        (word("The tide"), "The tide"),
        (page(written("gr\\374ne Lagune"), "", &[]), "grüne Lagune"),
        (b"<title>Reef</title><p>low &amp; high".to_vec(), "Reef\nlow & high"),
        (b"{\\rtf1 an \\'eelot}".to_vec(), "an îlot"),
        (packed(&[("content.xml", b"<b><p>open</p></b>")]), "open"),
        (Vec::new(), ""),
        (b"\x7fELF\0\0\0\0".to_vec(), ""),
    ] {
        assert_eq!(text(&extractor, &document).await.unwrap(), wanted);
    }
    let long = text(&extractor, &word(&"tide ".repeat(100_000))).await.unwrap();
    assert_eq!(long.len(), TEXT_BYTES_MAX, "as much as is wanted");
}

#[tokio::test]
async fn a_bomb_costs_nothing_but_itself() {
    let _alone = ALONE.lock().await;
    let bombs = bombs();
    let (extractor, memory) = (extractor(), memory_at_most());
    for (what, bomb) in bombs {
        assert!((bomb.len() as u64) < DOCUMENT_BYTES_MAX, "{what} would not be read at all");
        let begun = Instant::now();
        let found = text(&extractor, &bomb).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        println!("{what}: {} bytes, {} of text, {:?}", bomb.len(), found.len(), begun.elapsed());
        assert_eq!(found, if what == "a flat archive" { "before" } else { "" }, "{what}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        assert_eq!(text(&extractor, &word("the next")).await.unwrap(), "the next", "after {what}");
    }
    assert!(memory_at_most() < memory + (96 << 20), "{} and then {}", memory, memory_at_most());
    assert_eq!(children(), 0);
}

/// A parser that gives up by panicking tells as much of its document as one that crashes.
#[tokio::test]
async fn a_child_that_panics_dies_of_its_document() {
    let _alone = ALONE.lock().await;
    let panicking = running("/bin/sh", &["-c", "cat > /dev/null; echo before >&0; exit 101"]);
    assert_eq!(text(&panicking, b"<p>a").await.unwrap(), "before\n");
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let _alone = ALONE.lock().await;
    let extractor = extractor();
    let piece = Bytes::from(vec![b'a'; 1 << 20]);
    let endless = stream::repeat(Ok::<_, Infallible>(piece));
    assert_eq!(extractor.text(endless).await.unwrap(), "");
}

#[tokio::test]
async fn what_is_not_of_the_document_is_an_error() {
    let _alone = ALONE.lock().await;
    for (path, arguments) in
        [("/nowhere", &[][..]), ("/bin/sh", &["-c", "exit 2"]), ("/bin/sh", &["-c", "echo half >&0; kill -TERM $$"])]
    {
        let outcome = text(&running(path, arguments), b"<p>a").await;
        assert!(
            matches!(outcome, Err(ExtractError::Process(_) | ExtractError::Ended(_))),
            "{arguments:?}: {outcome:?}"
        );
    }
    let broken = stream::iter([Ok(Bytes::from_static(b"<p>a")), Err("lost")]);
    let outcome = extractor().text(broken).await;
    assert!(matches!(outcome, Err(ExtractError::Source("lost"))), "{outcome:?}");
}

#[tokio::test]
async fn a_child_has_nothing_and_ends_with_its_question() {
    let _alone = ALONE.lock().await;
    let said = text(&running("/bin/sh", &["-c", "cat > /dev/null; env >&0; pwd >&0"]), b"a").await.unwrap();
    assert!(!said.contains("PATH=") && !said.contains("CARGO") && said.ends_with("/\n"), "{said}");

    let extractor = extractor();
    let never = Box::pin(stream::pending::<Result<Bytes, Infallible>>());
    let asking = tokio::spawn(async move { extractor.text(never.fuse()).await });
    let begun = Instant::now();
    let child = loop {
        let found = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            let stat = std::fs::read_to_string(path.join("stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ours = name == "atoll-extract" && fields[1] == std::process::id().to_string();
            // Its niceness is the last that it changes.
            (ours && fields[16] == "19").then_some(path)
        });
        match found.last() {
            Some(child) => break child,
            None => assert!(begun.elapsed() < Duration::from_secs(20)),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let limits = std::fs::read_to_string(child.join("limits")).unwrap();
    for (what, most) in [("Max address space", "536870912"), ("Max cpu time", "20"), ("Max file size", "0")] {
        let line = limits.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        assert_eq!(line.split_whitespace().next(), Some(most), "{what}");
    }
    asking.abort();
    while child.exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the child is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
