//! Documents and bombs, read as a node reads them: by this very program, whose allocator and size count against what a
//! child may have.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

#[path = "../../extract/tests/bombs/mod.rs"]
mod bombs;

use bombs::{bombs, packed, page, word, written};
use bytes::Bytes;
use extract::{Extractor, Program, TEXT_BYTES_MAX};
use futures::stream;
use std::convert::Infallible;
use std::time::{Duration, Instant};

fn extractor() -> Extractor {
    let variables = vec![("_RJEM_MALLOC_CONF".into(), "retain:false,narenas:1".into())];
    let path = env!("CARGO_BIN_EXE_atoll").into();
    Extractor::new(Program { path, arguments: vec!["read-as-asked".into()], variables })
}

async fn text(extractor: &Extractor, document: &[u8]) -> String {
    let pieces: Vec<_> =
        document.chunks(64 * 1024).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
    extractor.text(stream::iter(pieces)).await.unwrap()
}

#[tokio::test]
async fn bombs_cost_nothing_but_themselves() {
    let extractor = extractor();
    for (what, bomb) in bombs() {
        let begun = Instant::now();
        let found = text(&extractor, &bomb).await;
        println!("{what}: {} bytes, {} of text, {:?}", bomb.len(), found.len(), begun.elapsed());
        assert_eq!(found, if what == "a flat archive" { "before" } else { "" }, "{what}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
    }
}

/// What is large and no bomb has room enough.
#[tokio::test]
async fn large_documents_are_read() {
    let extractor = extractor();
    assert_eq!(text(&extractor, &page(written("gr\\374ne Lagune"), "", &[])).await, "grüne Lagune");
    let noise = |bytes: usize| -> Vec<u8> {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    };
    // Pictures of twenty megabytes beside the words, and a hundred megabytes of words.
    let picture = noise(20 << 20);
    let pictures = packed(&[("word/document.xml", b"<d><p><t>The tide</t></p></d>"), ("word/media/a.png", &picture)]);
    assert!(pictures.len() > 20 << 20);
    assert_eq!(text(&extractor, &pictures).await, "The tide");
    assert_eq!(text(&extractor, &word(&"tide ".repeat(20 << 20))).await.len(), TEXT_BYTES_MAX);
    let mut sheet = b"<worksheet><sheetData>".to_vec();
    for row in 0..200_000 {
        sheet.extend(format!("<row><c t=\"inlineStr\"><is><t>row {row} of many</t></is></c></row>").bytes());
    }
    sheet.extend(b"</sheetData></worksheet>");
    let book = packed(&[("xl/workbook.xml", b"<workbook/>"), ("xl/worksheets/sheet1.xml", &sheet)]);
    assert!(text(&extractor, &book).await.contains("row 7 of many"), "a table of 200 000 rows");
}
