//! OpenDocument (OASIS, version 1.3, part 3): texts, tables and slides alike.

use super::archive::Archive;
use super::xml::{Seen, walk};
use crate::text::{Stop, Text};

pub(super) fn read(archive: &mut Archive<'_>, text: &mut Text<'_>) -> Result<(), Stop> {
    // Paragraphs that we are in: a note has its own. What was deleted is still there, elsewhere.
    let (mut paragraphs, mut deleted) = (0usize, 0usize);
    walk(archive.part("content.xml")?, |seen| {
        match seen {
            Seen::Start("tracked-changes", _) => deleted += 1,
            Seen::End("tracked-changes") => deleted = deleted.saturating_sub(1),
            Seen::Start("p" | "h", _) => paragraphs += 1,
            Seen::End("p" | "h") => {
                paragraphs = paragraphs.saturating_sub(1);
                text.line();
            }
            Seen::End("s" | "tab" | "table-cell") => text.space(),
            Seen::End("line-break") => text.line(),
            Seen::Text(found) if paragraphs > 0 && deleted == 0 => text.push(found)?,
            _ => {}
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::{packed, text_of};

    #[test]
    fn paragraphs_are_read() {
        let content = "<office:document-content><office:body><office:text>\
            <text:tracked-changes><text:deletion><text:p>gone</text:p></text:deletion></text:tracked-changes>\
            <text:h>Title</text:h> <text:p>one<text:s/>two<text:span>three</text:span><text:line-break/>four</text:p>\
            <table:table-cell><text:p>cell</text:p></table:table-cell></office:text></office:body></office:document-content>";
        let bytes = packed(&[("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", content)]);
        assert_eq!(text_of(&bytes), ("Title\none twothree\nfour\ncell".into(), true));
    }
}
