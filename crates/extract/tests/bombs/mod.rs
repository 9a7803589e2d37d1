//! Documents, and what is made to cost whoever reads it as much as it can.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

pub fn packed(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, part) in parts {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(part).unwrap();
    }
    out.finish().unwrap().into_inner()
}

pub fn word(paragraph: &str) -> Vec<u8> {
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
pub fn page(content: Vec<u8>, resources: &str, others: &[Vec<u8>]) -> Vec<u8> {
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

pub fn written(words: &str) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
    out.write_all(format!("BT /F1 12 Tf 72 700 Td ({words}) Tj ET").as_bytes()).unwrap();
    stream_object("/Filter/FlateDecode", &out.finish().unwrap())
}

/// What each is called, and its bytes. Nothing is read of any but the first, which says `before`.
pub fn bombs() -> Vec<(&'static str, Vec<u8>)> {
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
    vec![
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
    ]
}
