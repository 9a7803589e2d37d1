//! PDF (ISO 32000-1): page by page, as far as its fonts say what their glyphs mean.

use crate::text::{Stop, Text};
use pdf_extract::{ConvertToFmt, Document, PlainTextOutput, output_doc_page};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Pages that are read.
const PAGES_MAX: usize = 2000;

pub(super) fn read(bytes: &[u8], text: &mut Text<'_>) -> Result<(), Stop> {
    // The library gives up on some documents by panicking: that costs one page, or the document.
    let document = catch_unwind(|| open(bytes)).unwrap_or(None).ok_or(Stop::Unreadable)?;
    let pages = catch_unwind(AssertUnwindSafe(|| document.get_pages())).unwrap_or_default();
    let mut read = pages.is_empty();
    for page in pages.keys().take(PAGES_MAX) {
        text.line();
        let mut page_text = PageText { text, enough: false };
        let done = catch_unwind(AssertUnwindSafe(|| {
            output_doc_page(&document, &mut PlainTextOutput::new(&mut page_text), *page).is_ok()
        }));
        if page_text.enough {
            return Err(Stop::Enough);
        }
        read |= done.unwrap_or_default();
    }
    if read { Ok(()) } else { Err(Stop::Unreadable) }
}

/// The document, without what keeps nobody from reading it: an empty password.
fn open(bytes: &[u8]) -> Option<Document> {
    let mut document = Document::load_mem(bytes).ok()?;
    if document.is_encrypted() {
        document.decrypt("").ok()?;
    }
    Some(document)
}

/// Where the text of a page goes.
struct PageText<'a, 'b> {
    text: &'a mut Text<'b>,
    enough: bool,
}

impl fmt::Write for PageText<'_, '_> {
    fn write_str(&mut self, found: &str) -> fmt::Result {
        for (n, line) in found.split('\n').enumerate() {
            if n > 0 {
                self.text.line();
            }
            if self.text.push(line).is_err() {
                self.enough = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

impl<'a, 'b, 'c> ConvertToFmt for &'c mut PageText<'a, 'b> {
    type Writer = &'c mut PageText<'a, 'b>;

    fn convert(self) -> Self::Writer {
        self
    }
}
