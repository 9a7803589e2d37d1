//! EPUB (W3C, 3.3): the pages of a book, in the order in which they are packed.

use super::archive::Archive;
use super::html;
use crate::text::{Stop, Text};
use std::io::Read;

/// Bytes of one page.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn read(archive: &mut Archive<'_>, text: &mut Text<'_>) -> Result<(), Stop> {
    let is_page = |name: &&str| [".xhtml", ".html", ".htm"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let pages: Vec<String> = archive.names().filter(is_page).map(String::from).collect();
    for name in pages {
        let mut page = Vec::new();
        archive.part(&name)?.take(PAGE_BYTES_MAX).read_to_end(&mut page).map_err(|_| Stop::Unreadable)?;
        text.line();
        html::read(&page, text)?;
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn pages_of_a_book_are_read() {
    use super::tests::{packed, text_of};
    let book = packed(&[
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", "<container/>"),
        ("OEBPS/one.xhtml", "<html><body><p>Chapter one</p></body></html>"),
        ("OEBPS/style.css", "p { color: red }"),
        ("OEBPS/two.xhtml", "<p>Chapter two</p>"),
    ]);
    assert_eq!(text_of(&book), ("Chapter one\nChapter two".into(), true));
}
