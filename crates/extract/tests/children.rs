//! Real children, real documents and bombs.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

use atoll_extract::{DOCUMENT_BYTES_MAX, ExtractError, Extractor, Program, TEXT_BYTES_MAX};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures::{StreamExt, stream};
use std::convert::Infallible;
use std::io::Write;
use std::time::{Duration, Instant};

fn extractor() -> Extractor {
    running(env!("CARGO_BIN_EXE_atoll-extract"), &[])
}

fn running(path: &str, arguments: &[&str]) -> Extractor {
    let arguments = arguments.iter().map(Into::into).collect();
    Extractor::new(Program { path: path.into(), arguments, variables: Vec::new() })
}

async fn text(extractor: &Extractor, document: &[u8]) -> Result<String, ExtractError<Infallible>> {
    let pieces: Vec<_> = document.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    extractor.text(stream::iter(pieces)).await
}

fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, part) in parts {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(part).unwrap();
    }
    out.finish().unwrap().into_inner()
}

fn word(paragraph: &str) -> Vec<u8> {
    packed(&[("word/document.xml", format!("<d><p><t>{paragraph}</t></p></d>").as_bytes())])
}

/// So many zeros, packed a thousand to one, and again as often as it says.
fn squeezed(bytes: usize, times: usize) -> Vec<u8> {
    let mut squeezed = vec![b' '; bytes];
    for _ in 0..times {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
        out.write_all(&squeezed).unwrap();
        squeezed = out.finish().unwrap();
    }
    squeezed
}

/// A PDF of these objects, the first of which is its catalogue.
fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.5\n".to_vec();
    let mut places = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        places.push(out.len());
        out.extend(format!("{} 0 obj\n", n + 1).bytes().chain(object.iter().copied()).chain(*b"\nendobj\n"));
    }
    let table = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for place in places {
        out.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let trailer = format!("trailer\n<</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF", objects.len() + 1);
    [out, trailer.into_bytes()].concat()
}

fn stream_object(about: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("<<{about}/Length {}>>\nstream\n", bytes.len());
    [head.as_bytes(), bytes, b"\nendstream"].concat()
}

/// A PDF of one page, whose content is this stream, and what else there is from object 6 on.
fn page(content: Vec<u8>, resources: &str, others: &[Vec<u8>]) -> Vec<u8> {
    let page = format!(
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>{resources}>>>>"
    );
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        page.into_bytes(),
        content,
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
    ];
    objects.extend_from_slice(others);
    pdf(&objects)
}

fn written(words: &str) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
    out.write_all(format!("BT /F1 12 Tf 72 700 Td ({words}) Tj ET").as_bytes()).unwrap();
    stream_object("/Filter/FlateDecode", &out.finish().unwrap())
}

#[tokio::test]
async fn documents_are_read() {
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

/// Bytes that this process had in memory at most.
fn memory_at_most() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

fn children() -> usize {
    let of = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.unwrap().path().join("children"));
    let all = std::fs::read_dir("/proc/self/task").unwrap().map(of);
    all.map(|children| children.unwrap_or_default().split_whitespace().count()).sum()
}

#[tokio::test]
async fn a_bomb_costs_nothing_but_itself() {
    let spaces = squeezed(1 << 28, 1);
    let xml = [b"<d><t>before</t>".to_vec(), vec![b' '; 1 << 29], b"<t>after</t></d>".to_vec()].concat();
    let flat = packed(&[("word/document.xml", &xml)]);
    drop(xml);
    let endless = packed(&[("word/document.xml", &[b"<d><t ", &vec![b'a'; 1 << 28][..]].concat())]);
    let nested = (0..20).fold(word("inner"), |inner, _| packed(&[("word/document.xml", &inner)]));
    let laughs: String = (1..40).map(|n| format!("<!ENTITY l{n} \"&l{};&l{};\">", n - 1, n - 1)).collect();
    let laughs = format!("<!DOCTYPE d [<!ENTITY l0 \"lol\">{laughs}]><d><t>&l39;</t></d>");
    let again = stream_object(
        "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>",
        b"/X Do /X Do /X Do",
    );
    let bombs = [
        ("a flat archive", flat),
        ("a tag without end", endless),
        ("archives in archives", nested),
        ("a billion laughs", packed(&[("word/document.xml", laughs.as_bytes())])),
        ("a page squeezed once", page(stream_object("/Filter/FlateDecode", &spaces), "", &[])),
        (
            "a page squeezed twice",
            page(stream_object("/Filter[/FlateDecode/FlateDecode]", &squeezed(1 << 29, 2)), "", &[]),
        ),
        ("an object squeezed", pdf(&[stream_object("/Type/ObjStm/N 9/First 0/Filter/FlateDecode", &spaces)])),
        ("a form within itself", page(stream_object("", b"/X Do"), "/XObject<</X 6 0 R>>", &[again])),
        (
            "pages in a circle",
            pdf(&[b"<</Type/Catalog/Pages 2 0 R>>".to_vec(), b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>".to_vec()]),
        ),
        ("a deep array", pdf(&[[vec![b'['; 1 << 20], vec![b']'; 1 << 20]].concat()])),
        ("a deep dictionary", pdf(&[b"<</A ".repeat(1 << 20)])),
        ("deep groups", b"{\\rtf1".iter().copied().chain(std::iter::repeat_n(b'{', 1 << 24)).collect()),
        ("elements without end", b"<a ".repeat(1 << 22)),
    ];
    drop(spaces);
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

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let extractor = extractor();
    let piece = Bytes::from(vec![b'a'; 1 << 20]);
    let endless = stream::repeat(Ok::<_, Infallible>(piece));
    assert_eq!(extractor.text(endless).await.unwrap(), "");
}

#[tokio::test]
async fn what_is_not_of_the_document_is_an_error() {
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
