//! Texts and slides of Office Open XML (ECMA-376, part 1: WordprocessingML, 17; PresentationML, 19).

use super::archive::Archive;
use super::xml::{Seen, walk};
use crate::text::{Stop, Text};
use std::io::BufRead;

/// A text document: what is in its body first, then what stands around.
pub(super) fn read_word(archive: &mut Archive<'_>, text: &mut Text<'_>) -> Result<(), Stop> {
    read_runs(archive.part("word/document.xml")?, text)?;
    let around = ["word/footnotes.xml", "word/endnotes.xml", "word/comments.xml"].map(String::from).to_vec();
    let around = [around, archive.numbered("word/header"), archive.numbered("word/footer")].concat();
    for name in around {
        if archive.has(&name) {
            text.line();
            read_runs(archive.part(&name)?, text)?;
        }
    }
    Ok(())
}

/// Slides by their numbers, then the notes on them.
pub(super) fn read_slides(archive: &mut Archive<'_>, text: &mut Text<'_>) -> Result<(), Stop> {
    for begin in ["ppt/slides/slide", "ppt/notesSlides/notesSlide"] {
        for name in archive.numbered(begin) {
            text.line();
            read_runs(archive.part(&name)?, text)?;
        }
    }
    Ok(())
}

/// In both, what people wrote stands in elements `t`, in paragraphs `p`.
fn read_runs(part: impl BufRead, text: &mut Text<'_>) -> Result<(), Stop> {
    let mut within = false;
    walk(part, |seen| {
        match seen {
            Seen::Start("t", _) => within = true,
            Seen::End("t") => within = false,
            Seen::End("tab" | "tc") => text.space(),
            Seen::End("p" | "br" | "cr") => text.line(),
            Seen::Text(found) if within => text.push(found)?,
            _ => {}
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::{packed, text_of};

    #[test]
    fn runs_are_one_word_and_paragraphs_are_lines() {
        let document = "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body>\
            <w:p><w:r><w:t>Gr</w:t></w:r><w:r><w:t>üße &amp; more</w:t><w:tab/><w:t>right</w:t></w:r></w:p>\
            <w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:instrText>PAGE</w:instrText><w:t>last</w:t></w:p>\
            </w:body></w:document>";
        let notes = "<w:footnotes><w:p><w:t>a note</w:t></w:p></w:footnotes>";
        let bytes =
            packed(&[("[Content_Types].xml", ""), ("word/document.xml", document), ("word/footnotes.xml", notes)]);
        assert_eq!(text_of(&bytes), ("Grüße & more right\nlast\na note".into(), true));
    }

    #[test]
    fn slides_come_in_their_order() {
        let slide = |words: &str| format!("<p:sld><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:sld>");
        let (one, two, ten, notes) = (slide("one"), slide("two"), slide("ten"), slide("said"));
        let bytes = packed(&[
            ("ppt/presentation.xml", "<p/>"),
            ("ppt/slides/slide10.xml", &ten),
            ("ppt/slides/slide2.xml", &two),
            ("ppt/notesSlides/notesSlide1.xml", &notes),
            ("ppt/slides/slide1.xml", &one),
            ("ppt/slides/_rels/slide1.xml.rels", "<a:t>not this</a:t>"),
        ]);
        assert_eq!(text_of(&bytes).0, "one\ntwo\nten\nsaid");
    }

    #[test]
    fn what_is_declared_is_not_expanded() {
        let laughs: String = (1..20).map(|n| format!("<!ENTITY l{n} \"&l{};&l{};\">", n - 1, n - 1)).collect();
        let document = format!(
            "<!DOCTYPE d [<!ENTITY l0 \"lol\"><!ENTITY file SYSTEM \"file:///etc/passwd\">{laughs}]>\
             <d><t>before &l19; &file; after</t></d>"
        );
        assert_eq!(text_of(&packed(&[("word/document.xml", &document)])).0, "before after");
    }

    #[test]
    fn depth_costs_nothing_and_what_is_cut_is_read_so_far() {
        let deep = "<p>".repeat(1_000_000);
        let bytes = packed(&[("word/document.xml", &format!("<t>before</t>{deep}<t>after</t>"))]);
        assert_eq!(text_of(&bytes).0, "before after".replace(' ', ""));
        let bytes = packed(&[("word/document.xml", "<t>before</t><p><t>after")]);
        assert!(text_of(&bytes).0.starts_with("before"));
    }
}
